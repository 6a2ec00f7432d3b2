import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spmat_nb.sampling import paired_batches, partner_share, shuffled_batches


@pytest.mark.parametrize(("count", "size"), [(57, 16), (5, 2), (2, 128), (200, 128), (3, 2), (7, 2)])
def test_batches_cover_an_epoch_and_none_has_one_crystal(count, size):
    batches = shuffled_batches(count, size, 0, 0)
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
    sizes = [len(b) for b in batches]
    assert min(sizes) >= 2 and max(sizes) - min(sizes) <= 1


def test_batches_differ_between_epochs_and_repeat_with_the_key():
    first, again, other = (torch.cat(shuffled_batches(50, 16, 0, epoch)) for epoch in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 8), min_size=2, max_size=200), st.integers(2, 64), st.integers(0, 5))
def test_in_paired_batches_every_class_of_two_meets_a_partner(classes, size, seed):
    classes = np.array(classes)
    batches = paired_batches(classes, size, seed, 0)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(classes)))
    assert min(map(len, batches)) >= 2
    alone = sum((classes == one).sum() == 1 for one in np.unique(classes[classes >= 0]))
    labelled = (classes >= 0).sum()
    assert partner_share(batches, classes) == pytest.approx((labelled - alone) / labelled if labelled else 0.0)


def test_paired_batches_have_about_the_size_that_was_asked_for():
    sizes = [len(b) for b in paired_batches(np.arange(1000) % 300, 50, 0)]
    assert len(sizes) == 20 and max(abs(size - 50) for size in sizes) <= 4


def test_shuffled_batches_leave_many_of_a_rare_class_alone():
    classes = np.arange(1000) % 300
    assert partner_share(shuffled_batches(1000, 50, 0), classes) < 0.3
    assert partner_share(paired_batches(classes, 50, 0), classes) == 1.0


def test_paired_batches_differ_between_epochs_and_repeat_with_the_key():
    classes = np.arange(100) % 7
    first, again, other = (torch.cat(paired_batches(classes, 16, 0, epoch)) for epoch in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
