"""Each check of the losses calls the right answer right and names the mistake in answers that are nearly right."""

import math

import answers
import pytest
import torch
from answers import assert_names
from torch.nn import functional

from spmat_nb import losses
from spmat_nb.checks.losses import check_class_mask, check_floor, check_supervised_barlow, check_supervised_simclr

MASK = """
def answer(labels):
    equal = labels[:, None] == labels[None, :]
    known = labels != -1
    own = torch.eye(len(labels), dtype=torch.bool)
    return own | (equal & known[:, None] & known[None, :])
"""
SIMCLR = """
def answer(z1, z2, labels, temperature):
    z = functional.normalize(torch.cat([z1, z2]), dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    same = class_mask(labels).repeat(2, 2)
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    log_share = torch.log_softmax(logits, dim=1)
    positive = same & ~itself
    means = torch.where(positive, log_share, 0.0).sum(1) / positive.sum(1)
    return -means.mean()
"""
BARLOW = """
def answer(z1, z2, labels, balance):
    cosine = functional.normalize(z1, dim=1) @ functional.normalize(z2, dim=1).T
    same = class_mask(labels)
    pull = (1 - cosine[same]) ** 2
    push = cosine[~same] ** 2
    return pull.mean() + balance * push.sum() / max(len(push), 1)
"""


def function(source, *changes):
    """The function of a source with some of its text replaced; it may use the class mask of the package."""
    mask = {"class_mask": lambda labels: losses.class_mask(labels, len(labels), labels.device)}
    return answers.function(source, *changes, torch=torch, functional=functional, math=math, **mask)


@pytest.mark.parametrize(
    ("check", "source"),
    [(check_class_mask, MASK), (check_supervised_simclr, SIMCLR), (check_supervised_barlow, BARLOW)],
)
def test_a_right_answer_is_right_and_nothing_is_open(check, source):
    assert check(function(source)).state == "right"
    first = source.splitlines()[2]
    assert check(function(source, (first, "    raise NotImplementedError"))).state == "open"
    assert_names(check(lambda *inputs: None), "Does the function end with `return`?")
    assert_names(check(lambda *inputs: "a"), "Return a number or a tensor")


@pytest.mark.parametrize(
    "package",
    [(check_supervised_simclr, losses.supervised_simclr), (check_supervised_barlow, losses.supervised_barlow)],
)
def test_the_losses_of_the_package_are_right(package):
    assert package[0](package[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("equal & known[:, None] & known[None, :]", "equal")], "missing label count as one class"),
        ([("own | (equal", "(equal")], "lost its own other view"),
        ([("return own | ", "return ~own & ")], "The diagonal is false"),
        ([("return own | (", "return ~(own | ("), ("known[None, :])", "known[None, :]))")], "other way round"),
        ([("own | (equal & known[:, None] & known[None, :])", "own")], "Only the diagonal"),
        ([("equal & known[:, None] & known[None, :]", "equal | ~known[:, None] | ~known[None, :]")], "every class"),
        ([("labels != -1", "labels > 0")], "Class 0 is a class too"),
        ([("labels[:, None] == labels[None, :]", "labels == labels"), ("return", "return equal #")], "labels[:, None]"),
        ([("return own", "return 1 * own")], "combine with & and |"),
        ([("equal =", "labels = labels[:3]\n    equal =")], "The shape is (3, 3) and should be (6, 6)"),
    ],
)
def test_a_mistake_in_the_mask_is_named(changes, words):
    assert_names(check_class_mask(function(MASK, *changes)), words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(".masked_fill(itself, -torch.inf)", "")], "still in the denominator"),
        ([(".masked_fill(itself, -torch.inf)", ""), ("same & ~itself", "same")], "take the diagonal out of both"),
        ([("same & ~itself", "same & ~torch.eye(len(z1), dtype=torch.bool).repeat(2, 2)")], "lost i's own other view"),
        ([("same & ~itself", "torch.eye(len(z1), dtype=torch.bool).repeat(2, 2) & ~itself")], "Use the labels"),
        ([("functional.normalize(torch.cat([z1, z2]), dim=1)", "torch.cat([z1, z2])")], "not normalised"),
        ([("/ temperature", "* temperature")], "multiplied by the temperature"),
        ([(" / temperature", "")], "The temperature is missing"),
        ([("means.mean()", "torch.where(positive, log_share, 0.0).sum() / positive.sum()")], "All positive pairs"),
        ([(" / positive.sum(1)", "")], "not divided by |P(i)|"),
        ([("means.mean()", "means.sum()")], "not divided by 2B"),
        ([("means.mean()", "means.sum() / len(z1)")], "two views of each crystal"),
        ([("means.mean()", "means[: len(z1)].mean()")], "Only the first view asks"),
        ([("-means.mean()", "means.mean()")], "minus sign"),
        (
            [("torch.where(positive, log_share, 0.0).sum(1) / positive.sum(1)",
              "((log_share.exp() * positive).sum(1) / positive.sum(1)).log()")],
            "The mean over P(i) is inside the logarithm",
        ),
        (
            [("torch.where(positive, log_share, 0.0).sum(1) / positive.sum(1)",
              "(log_share.exp() * positive).sum(1).log()")],
            "The sum over P(i) is inside the logarithm",
        ),
        ([("masked_fill(itself", "masked_fill(same"), ("torch.log_softmax(logits, dim=1)",
          "z @ z.T / temperature - torch.logsumexp(logits, dim=1, keepdim=True)")], "only negatives"),
        ([("torch.where(positive, log_share, 0.0)", "(positive * log_share)")], "0 * -inf"),
        ([("class_mask(labels)", "(labels[:, None] == labels[None, :])")], "missing label count as one class"),
        (
            [("(z @ z.T / temperature).masked_fill(itself, -torch.inf)", "torch.exp(z @ z.T / temperature) * ~itself"),
             ("torch.log_softmax(logits, dim=1)", "torch.log(logits / logits.sum(1, keepdim=True))")],
            "larger than any float32",
        ),
        ([("-means.mean()", "-means")], "The shape is (12,) and should be ()"),
    ],
)  # fmt: skip
def test_a_mistake_in_supervised_simclr_is_named(changes, words):
    assert_names(check_supervised_simclr(function(SIMCLR, *changes)), words)


def test_comparing_one_view_with_the_other_only_is_named():
    def across(z1, z2, labels, temperature):
        cosine = functional.normalize(z1, dim=1) @ functional.normalize(z2, dim=1).T
        same = losses.class_mask(labels, len(labels), labels.device)
        share = torch.log_softmax(cosine / temperature, dim=1)
        return -((share * same).sum(1) / same.sum(1)).mean()

    assert_names(check_supervised_simclr(across), "one list of 2B views")


def test_a_gradient_that_is_not_finite_is_found():
    def masked(z1, z2, labels, temperature):
        """The right value, by a logarithm of zeros that are thrown away afterwards."""
        z = functional.normalize(torch.cat([z1, z2]), dim=1)
        itself = torch.eye(len(z), dtype=torch.bool)
        positive = losses.class_mask(labels, len(labels), labels.device).repeat(2, 2) & ~itself
        share = torch.softmax((z @ z.T / temperature).masked_fill(itself, -torch.inf), dim=1)
        safe = torch.log_softmax((z @ z.T / temperature).masked_fill(itself, -torch.inf), dim=1)
        wrong_gradient = torch.where(positive, share.log() * 0, 0.0).nan_to_num()
        return -((torch.where(positive, safe, 0.0) + wrong_gradient).sum(1) / positive.sum(1)).mean()

    assert_names(check_supervised_simclr(masked), "torch.where")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("functional.normalize(z1, dim=1) @ functional.normalize(z2, dim=1).T", "z1 @ z2.T")], "not normalised"),
        ([("pull = (1 - cosine[same])", "pull = (1 - cosine[same & ~torch.eye(len(z1), dtype=torch.bool)])")],
         "lost the own other view"),
        ([("class_mask(labels)", "torch.eye(len(z1), dtype=torch.bool)")], "Labels are not used"),
        ([("normalize(z2", "normalize(z1")], "compared with itself"),
        ([("pull.mean()", "pull.sum() / cosine.numel()"), ("max(len(push), 1)", "cosine.numel()")],
         "number of all pairs"),
        ([("pull.mean()", "pull.sum() / len(z1)"), ("max(len(push), 1)", "len(z1)")], "number of crystals"),
        ([("pull.mean()", "pull.sum()"), ("max(len(push), 1)", "1")], "These are sums"),
        ([("pull.mean() + balance *", "balance * pull.mean() +")], "wrong term"),
        ([("balance *", "1 *")], "Lambda is missing"),
        ([("balance * push.sum()", "push.sum() / balance")], "multiply by it"),
        ([("+ balance", "- balance")], "subtracted"),
        ([("push = cosine[~same] ** 2", "push = (1 + cosine[~same]) ** 2")], "pushed to -1"),
        ([("push = cosine[~same] ** 2", "push = cosine[~same]")], "would be rewarded"),
        ([("(1 - cosine[same]) ** 2", "1 - cosine[same]")], "distance to 1 is not squared"),
        ([("(1 - cosine[same]) ** 2", "1 - cosine[same] ** 2")], "minimum at C = -1"),
        ([("class_mask(labels)", "(labels[:, None] == labels[None, :])")], "missing label count as one class"),
        ([("push.sum() / max(len(push), 1)", "push.mean()")], "the mean of nothing is NaN"),
        ([("cosine = functional.normalize(z1, dim=1) @ functional.normalize(z2, dim=1).T",
           "cosine = functional.normalize(z1, dim=0).T @ functional.normalize(z2, dim=0)")], "stopped with IndexError"),
    ],
)  # fmt: skip
def test_a_mistake_in_supervised_barlow_is_named(changes, words):
    assert_names(check_supervised_barlow(function(BARLOW, *changes)), words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda b: math.log(2 * b), "not 2B"),
        (lambda b: math.log(2 * b - 2), "not 2B - 2"),
        (lambda b: math.log(b), "does not compete with itself"),
        (lambda b: math.log(b - 1), "two views of each crystal"),
        (lambda b: 0.0, "none gets more than"),
        (lambda b: -math.log(2 * b - 1), "it is positive"),
        (lambda b: math.log2(2 * b - 1), "natural logarithm"),
        (lambda b: 1 / (2 * b - 1), "the share itself"),
        (lambda b: 2.7081, "How many other views"),
    ],
)
def test_a_wrong_floor_is_explained(answer, words):
    assert_names(check_floor(answer), words)


def test_the_floor_is_what_the_loss_gives():
    def measured(count):
        z = torch.ones(count, 3)
        return losses.supervised_simclr(z, z, torch.zeros(count, dtype=torch.long), 0.2)

    assert check_floor(measured) and check_floor(lambda b: math.log(2 * b - 1))
