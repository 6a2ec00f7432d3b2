from dataclasses import replace

import numpy as np
import pytest
import torch

from spmat_nb import augment
from spmat_nb.checks import views as checks
from spmat_nb.draws import Draws
from spmat_nb.layers import GaussianBasis


def masking(count, choose=lambda n, k, rng: rng.permutation(n)[:k]):
    def hidden(n, share, rng):
        out = np.zeros(n, dtype=bool)
        out[choose(n, count(n, share, rng), rng)] = True
        return out

    return hidden


def ours(n, share, rng):
    return min(int(share * n + rng.random()), n - 1)


HIDDEN = {
    "coins": (lambda n, share, rng: rng.random(n) < share, "A coin for each atom"),
    "rounded down": (masking(lambda n, share, rng: int(share * n)), "never hides an atom"),
    "round": (masking(lambda n, share, rng: round(share * n) if n > 2 else 0), "never hides an atom"),
    "at least one": (masking(lambda n, share, rng: max(1, int(share * n))), "max(1, ...) empties"),
    "one, not the last": (masking(lambda n, share, rng: min(max(1, int(share * n)), n - 1)), "25 % here"),
    "all": (masking(lambda n, share, rng: int(share * n + rng.random())), "never hide more than n - 1".capitalize()),
    "inverted": (lambda n, share, rng: ~masking(ours)(n, share, rng), "mask is inverted"),
    "the first": (masking(ours, lambda n, k, rng: np.arange(k)), "same chance"),
    "replacement": (masking(ours, lambda n, k, rng: rng.integers(0, n, k)), "drawn twice"),
    "positions": (lambda n, share, rng: rng.permutation(n)[: ours(n, share, rng)], "not the numbers of the hidden"),
    "own seed": (lambda n, share, rng: masking(ours)(n, share, np.random.default_rng()), "generator that is passed in"),
    "half": (masking(lambda n, share, rng: min(int(share * n / 2 + rng.random()), n - 1)), "is 100 for every u"),
}


@pytest.mark.parametrize(("answer", "words"), HIDDEN.values(), ids=HIDDEN)
def test_wrong_masks_are_told_apart(answer, words):
    outcome = checks.check_hidden_atoms(answer)
    assert outcome.state == "wrong" and words in outcome.text


def test_the_right_mask_passes():
    assert checks.check_hidden_atoms(masking(ours))
    assert checks.check_hidden_atoms(masking(ours, lambda n, k, rng: rng.choice(n, k, replace=False)))


def shaken(batch, noise):
    return replace(batch, distance=(batch.distance + noise).clamp(min=0.1))


def unit(batch, draws):
    """In [-1, 1), an own number for each edge."""
    return 2 * draws.uniform(batch.edge_id, "distances") - 1


def in_place(batch, delta, draws):
    batch.distance.add_(delta * unit(batch, draws))
    return batch


def expanded(batch, delta, draws):
    return replace(batch, distance=GaussianBasis(8.0, 0.2)(batch.distance) + delta * unit(batch, draws)[:, None])


def rewired(batch, delta, draws):
    return replace(augment.gndn(batch, delta, draws), neighbour=batch.neighbour.flip(0))


def fewer(batch, delta, draws):
    return augment.mask_edges(augment.gndn(batch, delta, draws), 0.1, draws)


def gaussian(scale):
    def answer(batch, delta, draws):
        u, v = (draws.uniform(batch.edge_id, name).clamp(min=1e-6) for name in "uv")
        return shaken(batch, delta * scale * torch.sqrt(-2 * torch.log(u)) * torch.cos(2 * torch.pi * v))

    return answer


def clipped(batch, delta, draws):
    noisy = gaussian(0.4)(batch, delta, draws)
    return shaken(batch, (noisy.distance - batch.distance).clamp(-delta, delta))


def by_crystal(batch, delta, draws):
    return shaken(batch, delta * (2 * draws.uniform(batch.row, "crystal") - 1)[batch.crystal[batch.centre]])


GNDN = {
    "on the expansion": (expanded, "Noise on the Gaussian expansion"),
    "expansion alone": (lambda b, d, w: GaussianBasis(8.0, 0.2)(b.distance), "Noise on the Gaussian expansion"),
    "on the topology": (rewired, "leaves the topology alone"),
    "edges removed": (fewer, "leaves the topology alone"),
    "atoms hidden": (lambda b, d, w: augment.mask_atoms(augment.gndn(b, d, w), 0.2, w), "leaves the topology alone"),
    "gaussian": (gaussian(1.0), "as if it were Gaussian"),
    "clipped gaussian": (clipped, "Not all changes are equally likely"),
    "negative": (lambda b, d, w: replace(b, distance=b.distance + d * unit(b, w)), "A distance is positive"),
    "same in both views": (lambda b, d, w: shaken(b, d * unit(b, Draws(0))), "Both views get the same noise"),
    "scaled": (lambda b, d, w: shaken(b, b.distance * d * unit(b, w)), "grows with the distance"),
    "one-sided": (lambda b, d, w: shaken(b, d * w.uniform(b.edge_id, "x")), "one sign only"),
    "rounded": (lambda b, d, w: shaken(b, d * (100 * unit(b, w)).round() / 100 * 0.9), "Not all changes"),
    "half as wide": (lambda b, d, w: shaken(b, d / 2 * unit(b, w)), "half-width"),
    "by crystal": (by_crystal, "share one number"),
    "no noise": (lambda b, d, w: b, "Both views get the same noise"),
    "unrepeatable": (lambda b, d, w: shaken(b, d * (2 * torch.rand(len(b.distance)) - 1)), "so that a rerun repeats"),
    "in place": (in_place, "in place"),
    "distances": (lambda b, d, w: b.distance + d * unit(b, w), "dataclasses.replace"),
    "signs": (lambda b, d, w: shaken(b, d * unit(b, w).sign()), "share one number"),
}


@pytest.mark.parametrize(("answer", "words"), GNDN.values(), ids=GNDN)
def test_wrong_noises_are_told_apart(answer, words):
    outcome = checks.check_gndn(answer)
    assert outcome.state == "wrong" and words in outcome.text, str(outcome)


def test_the_right_noise_passes():
    assert checks.check_gndn(augment.gndn)
    assert checks.check_gndn(lambda b, d, w: augment.gndn(b, d, w, symmetric=True)), "the paper leaves it open"
    assert checks.check_gndn(lambda b, d, w: replace(b, distance=(b.distance + d * unit(b, w)).abs() + 1e-6))


def test_the_trial_crystals_are_those_they_are_called(named):
    batch = checks.trial_batch()
    assert batch.size == 2 and batch.z.tolist() == [11] * 4 + [17] * 4 + [29] * 4 and len(batch.distance) == 144
    assert torch.unique(batch.distance.round(decimals=2)).tolist() == pytest.approx([2.55, 2.82, 3.99])


DELTAS = {
    "the whole gap": (1.17, "the whole gap"),
    "rounded up": (0.6, "pass the shortest"),
    "one": (0.9, "pass the shortest"),
    "too careful": (0.1, "does not mix them either"),
    "negative": (-0.5, "positive length"),
    "picometres": (50, "100 pm"),
    "with its unit": ("0.5 Å", "without its unit"),
}


@pytest.mark.parametrize(("answer", "words"), DELTAS.values(), ids=DELTAS)
def test_wrong_deltas_are_told_apart(answer, words):
    outcome = checks.check_delta(lambda: answer)
    assert outcome.state == "wrong" and words in outcome.text


@pytest.mark.parametrize("answer", [0.5, 0.55, np.float64(0.58), torch.tensor(0.5)])
def test_deltas_below_half_the_gap_are_right(answer):
    assert checks.check_delta(lambda: answer)


@pytest.mark.parametrize("check", [checks.check_hidden_atoms, checks.check_gndn, checks.check_delta])
def test_stubs_are_open(check):
    def stub(*_):
        raise NotImplementedError

    assert check(stub).state == "open"
