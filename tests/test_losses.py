import itertools
import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss
from torch.nn import functional

from spmat_nb.errors import SettingsError, TrainingError
from spmat_nb.losses import (
    FEATURE_BALANCE,
    LOSSES,
    barlow_features,
    classification,
    get_loss,
    supervised_barlow,
    supervised_simclr,
)

SAMPLEWISE = {"simclr": supervised_simclr, "barlow": supervised_barlow}
LABELS = {
    "mixed": [0, 1, 0, 2, 1, 0],
    "one class": [3, 3, 3, 3, 3, 3],
    "all unique": [0, 1, 2, 3, 4, 5],
    "some missing": [0, -1, 0, -1, 1, 1],
    "all missing": [-1] * 6,
    "none": None,
}
each_labels = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
each_samplewise = pytest.mark.parametrize("loss", SAMPLEWISE.values(), ids=SAMPLEWISE)


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(6, 5, generator=generator)
    return first, first + 0.5 * torch.randn(6, 5, generator=generator)


def tensor(labels):
    return None if labels is None else torch.tensor(labels)


def one_class(labels, i, j):
    return i == j or (labels is not None and labels[i] == labels[j] != -1)


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def slow_simclr(z1, z2, labels, tau):
    views = [(i, z) for z in (z1, z2) for i, z in enumerate(z)]
    total = 0.0
    for a, (i, zi) in enumerate(views):
        others = [(b, j, cosine(zi, zj)) for b, (j, zj) in enumerate(views) if b != a]
        denominator = sum(math.exp(s / tau) for _, _, s in others)
        positive = [s for _, j, s in others if one_class(labels, i, j)]
        total += sum(math.log(math.exp(s / tau) / denominator) for s in positive) / len(positive)
    return -total / len(views)


def slow_barlow(z1, z2, labels, balance):
    same, different = [], []
    for i, j in itertools.product(range(len(z1)), repeat=2):
        c = cosine(z1[i], z2[j])
        (same.append((1 - c) ** 2) if one_class(labels, i, j) else different.append(c**2))
    return np.mean(same) + balance * (np.mean(different) if different else 0.0)


@each_labels
@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_supervised_simclr_is_the_double_loop(views, labels, tau):
    fast = supervised_simclr(*views, tensor(labels), tau)
    assert fast.item() == pytest.approx(slow_simclr(*(v.double() for v in views), labels, tau), rel=1e-5)


@each_labels
@pytest.mark.parametrize("balance", [0.3, 1.0, 5.0])
def test_supervised_barlow_is_the_double_loop(views, labels, balance):
    fast = supervised_barlow(*views, tensor(labels), balance)
    assert fast.item() == pytest.approx(slow_barlow(*(v.double() for v in views), labels, balance), rel=1e-5)


def test_barlow_features_is_the_matrix_written_out(views):
    normal = [(v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5) for v in (z.double().numpy() for z in views)]
    cross = normal[0].T @ normal[1] / 6
    wanted = sum((cross[i, j] - 1) ** 2 if i == j else 0.0051 * cross[i, j] ** 2 for i, j in np.ndindex(5, 5))
    assert FEATURE_BALANCE == 0.0051
    assert barlow_features(*views).item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 1, 0], [0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5]])
def test_supervised_simclr_agrees_with_another_library(views, labels):
    classes = torch.tensor(labels)
    other = SupConLoss(temperature=0.2)(torch.cat(views), torch.cat([classes, classes]))
    assert supervised_simclr(*views, classes, 0.2).item() == pytest.approx(other.item(), rel=1e-5)


def test_unsupervised_simclr_agrees_with_another_library(views):
    other = NTXentLoss(temperature=0.2)(torch.cat(views), torch.arange(6).repeat(2))
    assert supervised_simclr(*views, None, 0.2).item() == pytest.approx(other.item(), rel=1e-5)


@each_samplewise
@pytest.mark.parametrize("labels", ["all unique", "all missing"])
def test_without_shared_classes_the_loss_is_the_unsupervised_one(views, loss, labels):
    assert loss(*views, torch.tensor(LABELS[labels])) == loss(*views)


@each_samplewise
def test_a_missing_label_is_a_class_of_its_own(views, loss):
    missing, own = torch.tensor([0, -1, 0, -1, 1, 1]), torch.tensor([0, 7, 0, 8, 1, 1])
    assert loss(*views, missing) == loss(*views, own) != loss(*views, torch.tensor([0, 7, 0, 7, 1, 1]))


@each_samplewise
def test_the_names_of_the_classes_do_not_matter(views, loss):
    torch.testing.assert_close(
        loss(*views, torch.tensor([0, 1, 0, 2, 1, 0])), loss(*views, torch.tensor([9, 4, 9, 5, 4, 9]))
    )


def test_nt_xent_of_two_orthogonal_crystals_is_the_closed_form():
    z, tau = torch.eye(2), 0.5
    wanted = -math.log(math.exp(1 / tau) / (math.exp(1 / tau) + 2))
    assert supervised_simclr(z, z, None, tau).item() == pytest.approx(wanted)


def test_supervised_barlow_is_zero_when_classes_are_orthogonal_points():
    z, labels = torch.eye(3)[[0, 1, 0, 2]], torch.tensor([0, 1, 0, 2])
    assert supervised_barlow(z, 4 * z, labels).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("key", LOSSES)
def test_the_views_may_be_exchanged(views, key):
    labels, compute = torch.tensor(LABELS["mixed"]), LOSSES[key].compute
    torch.testing.assert_close(compute(*views, labels, 0.1, 1.0), compute(*views[::-1], labels, 0.1, 1.0))


@pytest.mark.parametrize("key", LOSSES)
def test_the_order_of_the_crystals_does_not_matter(views, key):
    labels, order = torch.tensor(LABELS["mixed"]), torch.tensor([3, 0, 5, 1, 4, 2])
    compute = LOSSES[key].compute
    moved = compute(views[0][order], views[1][order], labels[order], 0.1, 1.0)
    torch.testing.assert_close(moved, compute(*views, labels, 0.1, 1.0))


@each_samplewise
def test_the_lengths_of_the_projections_do_not_matter(views, loss):
    torch.testing.assert_close(loss(3 * views[0], 0.2 * views[1]), loss(*views))


@pytest.mark.parametrize("key", LOSSES)
@pytest.mark.parametrize("tau", [1e-6, 1e-2, 0.1, 10.0, 1e12])
@each_labels
def test_value_and_gradient_are_finite_for_any_labels_and_temperature(views, key, tau, labels):
    if key == "classification" and (labels is None or max(labels) >= views[0].shape[1]):
        with pytest.raises(TrainingError, match="needs labels below the number of scores, 5"):
            assert_finite(key, views, tensor(labels), tau)
    else:
        assert_finite(key, views, tensor(labels), tau)


@pytest.mark.parametrize("key", LOSSES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_value_and_gradient_are_finite_for_constant_embeddings(key, value):
    assert_finite(key, (torch.full((4, 3), value), torch.full((4, 3), value)), torch.tensor([0, 0, 1, -1]), 0.1)


@pytest.mark.parametrize("key", LOSSES)
def test_value_and_gradient_are_finite_for_two_crystals(views, key):
    assert_finite(key, [v[:2] for v in views], torch.tensor([0, 0]), 0.1)


@pytest.mark.parametrize("key", [k for k in LOSSES if k != "barlow"])
def test_value_and_gradient_are_finite_for_one_crystal(views, key):
    assert_finite(key, [v[:1] for v in views], torch.tensor([0]), 0.1)


def test_barlow_features_refuses_one_crystal(views):
    with pytest.raises(TrainingError, match="at least 2, got 1"):
        barlow_features(*(v[:1] for v in views))


def assert_finite(key, views, labels, tau):
    leaves = [v.clone().requires_grad_() for v in views]
    value = LOSSES[key].compute(*leaves, labels, tau, 1.0)
    value.backward()
    assert value.isfinite() and all(leaf.grad.isfinite().all() for leaf in leaves)


@pytest.mark.parametrize("key", LOSSES)
def test_the_gradient_is_the_derivative(views, key):
    labels, compute = torch.tensor(LABELS["some missing"]), LOSSES[key].compute
    inputs = [v.double().requires_grad_() for v in views]
    assert torch.autograd.gradcheck(lambda a, b: compute(a, b, labels, 0.5, 1.0), inputs)


@pytest.mark.parametrize("key", LOSSES)
def test_half_precision_is_computed_in_single(views, key):
    halves = [v.bfloat16() for v in views]
    value = LOSSES[key].compute(*halves, torch.tensor(LABELS["mixed"]), 0.1, 1.0)
    torch.testing.assert_close(
        value, LOSSES[key].compute(*(h.float() for h in halves), torch.tensor(LABELS["mixed"]), 0.1, 1.0)
    )


@pytest.mark.parametrize("key", LOSSES)
def test_only_supervised_losses_look_at_the_labels(views, key):
    values = {LOSSES[key].compute(*views, torch.tensor(LABELS[n]), 0.1, 1.0).item() for n in ("mixed", "one class")}
    assert len(values) == (2 if LOSSES[key].needs_label else 1)


def test_the_sample_wise_control_is_the_supervised_form_without_labels(views):
    mixed = torch.tensor(LABELS["mixed"])
    assert LOSSES["barlow_samples"].compute(*views, mixed, 0.1, 2.0) == supervised_barlow(*views, None, 2.0)
    assert LOSSES["simclr"].compute(*views, mixed, 0.3, 1.0) == supervised_simclr(*views, None, 0.3)


def test_temperature_and_balance_reach_their_losses(views):
    labels = torch.tensor(LABELS["mixed"])
    assert LOSSES["sup_simclr"].compute(*views, labels, 0.3, 1.0) == supervised_simclr(*views, labels, 0.3)
    assert LOSSES["sup_barlow"].compute(*views, labels, 0.1, 4.0) == supervised_barlow(*views, labels, 4.0)


def test_pulling_a_view_towards_its_partner_lowers_every_loss(views):
    apart = functional.normalize(views[0].roll(1, 0), dim=1)
    for loss in (loss for loss in LOSSES.values() if not loss.classifies):
        good, bad = (loss.compute(views[0], z, None, 0.1, 1.0) for z in (views[0], apart))
        assert good < bad, loss.key


@pytest.mark.parametrize(
    ("shapes", "labels"),
    [(((4, 3), (5, 3)), 4), (((4, 3), (4, 2)), 4), (((4,), (4,)), 4), (((4, 3), (4, 3)), 5), (((0, 3), (0, 3)), 0)],
)
@each_samplewise
def test_shapes_that_do_not_fit_are_refused(loss, shapes, labels):
    with pytest.raises(TrainingError):
        loss(*(torch.ones(shape) for shape in shapes), torch.zeros(labels))


def test_classification_is_the_mean_cross_entropy_of_the_labelled(views):
    labels = [0, -1, 2, -1, 1, 1]
    scores = [(z[i].double(), label) for z in views for i, label in enumerate(labels) if label != -1]
    wanted = np.mean([-math.log(math.exp(s[c]) / sum(map(math.exp, s))) for s, c in scores])
    assert classification(*views, tensor(labels)).item() == pytest.approx(wanted, rel=1e-5)


def test_classification_of_even_scores_is_the_logarithm_of_their_number():
    flat = torch.zeros(6, 5)
    assert classification(flat, flat, tensor(LABELS["mixed"])).item() == pytest.approx(math.log(5))


@pytest.mark.parametrize("key", LOSSES)
def test_inside_autocast_a_loss_is_the_one_in_single_precision(views, key):
    labels = tensor(LABELS["mixed"])
    wanted = LOSSES[key].compute(*views, labels, 0.1, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LOSSES[key].compute(*views, labels, 0.1, 1.0), wanted)


def test_an_unknown_loss_is_named_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"'vicreg'.*sup_barlow.*simclr"):
        get_loss("vicreg")


@pytest.mark.parametrize("tau", [0.0, -1.0, 1e-9, math.nan])
def test_a_temperature_that_leaves_no_precision_is_refused(views, tau):
    with pytest.raises(TrainingError, match="too low"):
        supervised_simclr(*views, None, tau)


JOINT = {key: loss for key, loss in LOSSES.items() if loss.adds_classes}
each_joint = pytest.mark.parametrize("loss", JOINT.values(), ids=JOINT)


@each_joint
@pytest.mark.parametrize("labels", ["mixed", "some missing", "all missing"])
def test_a_joint_loss_is_the_sum_of_both_on_their_columns(views, loss, labels):
    scores = [torch.randn(6, 3, generator=torch.Generator().manual_seed(number)) for number in (1, 2)]
    both, labels = [torch.cat(pair, dim=1) for pair in zip(views, scores, strict=True)], tensor(LABELS[labels])
    alone = LOSSES[loss.key.removesuffix("+classes")].compute(*views, labels, 0.3, 2.0)
    assert loss.total(*both, labels, 0.3, 2.0, 3) == alone + classification(*scores, labels)


@each_joint
def test_the_class_of_a_crystal_without_a_label_is_not_asked_for(views, loss):
    both = [torch.cat([z, torch.zeros(6, 3)], dim=1).requires_grad_() for z in views]
    loss.total(*both, tensor(LABELS["some missing"]), 0.3, 2.0, 3).backward()
    for z in both:
        asked = z.grad[:, -3:].abs().sum(1) > 0
        assert asked.tolist() == [label != -1 for label in LABELS["some missing"]]
        assert (z.grad[:, :-3].abs().sum(1) > 0).all()  # compared are all


@pytest.mark.parametrize("key", LOSSES)
def test_columns_of_the_projector(views, key):
    loss = LOSSES[key]
    assert loss.width(5, 3) == {(True, False): 3, (False, True): 8}.get((loss.classifies, loss.adds_classes), 5)
    if not loss.adds_classes:
        labels = tensor(LABELS["mixed"])
        assert loss.total(*views, labels, 0.3, 2.0, 3) == loss.compute(*views, labels, 0.3, 2.0)
        assert loss.projection(views[0], 3) is views[0]


@pytest.mark.parametrize("key", LOSSES)
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_value_and_gradient_are_finite_for_projections_of_any_size(views, key, scale):
    assert_finite(key, [v * scale for v in views], torch.tensor(LABELS["mixed"]), 0.1)
