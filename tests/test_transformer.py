import math
from dataclasses import replace

import pytest
import torch

from spmat_nb.encoders import count_parameters, make_encoder
from spmat_nb.errors import SettingsError
from spmat_nb.models import random_encoder
from spmat_nb.settings import EncoderSettings
from spmat_nb.transformer import NeighbourAttention

HEADS, FEATURES, GAUSSIANS = 4, 16, 41
SIZES = EncoderSettings("transformer", node_features=FEATURES, convolutions=2, hidden=16, heads=HEADS)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def encoder():
    return random_encoder(SIZES, seed=3).encoder.train()


@pytest.fixture
def attention():
    """With scores that differ by more than those of fresh weights, so that no head is nearly uniform."""
    torch.manual_seed(0)
    attention = NeighbourAttention(FEATURES, GAUSSIANS, HEADS)
    with torch.no_grad():
        for part in (attention.query.weight, attention.key.weight, attention.distance_bias.weight):
            part.mul_(4)
    return attention


@pytest.fixture
def thinned(tiny_graphs):
    """Four crystals of four atoms without a third of their edges, one atom without any."""
    batch = tiny_graphs.batch((torch.diff(tiny_graphs.atom_start) == 4).nonzero().squeeze(1)[:4])
    assert len(batch.z) == 16
    keep = (torch.arange(len(batch.distance)) % 3 > 0) & (batch.centre != 7)
    return batch.with_edges(keep.nonzero().squeeze(1))


@pytest.fixture
def inputs(thinned, encoder):
    """Random features of the atoms, expanded distances of the edges."""
    torch.manual_seed(1)
    return torch.randn(len(thinned.z), FEATURES), encoder.basis(thinned.distance)


def by_loops(attention, atoms, edges, batch):
    """The formula of the docstring, one atom and one head at a time."""
    size = FEATURES // HEADS
    q, k, v = (layer(atoms) for layer in (attention.query, attention.key, attention.value))
    bias, filters = edges @ attention.distance_bias.weight.T, edges @ attention.filter.weight.T
    result = torch.zeros(len(atoms), FEATURES)
    for i in range(len(atoms)):
        mine = [e for e in range(len(batch.centre)) if batch.centre[e] == i]
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            senders = [int(batch.neighbour[e]) for e in mine]
            scores = [float(q[i, part] @ k[j, part]) / math.sqrt(size) for j in senders]
            loudness = [math.exp(s + float(bias[e, head])) for s, e in zip(scores, mine, strict=True)]
            for j, e, w in zip(senders, mine, loudness, strict=True):
                result[i, part] += w / sum(loudness) * v[j, part] * (1 + filters[e, part])
    return result


@torch.no_grad()
def test_attention_equals_the_same_sum_by_slow_loops(attention, inputs, thinned):
    torch.testing.assert_close(attention(*inputs, thinned), by_loops(attention, *inputs, thinned), **CLOSE)


def test_the_weights_of_an_atom_sum_to_one_in_each_head(attention, inputs, thinned):
    weights = attention.weights(*inputs, thinned)
    assert weights.shape == (len(thinned.centre), HEADS) and weights.min() > 0
    sums = torch.zeros(len(thinned.z), HEADS).index_add(0, thinned.centre, weights)
    hears = torch.bincount(thinned.centre, minlength=len(thinned.z)) > 0
    torch.testing.assert_close(sums, hears[:, None].float().expand_as(sums), **CLOSE)
    assert not hears[7] and hears.sum() == len(thinned.z) - 1


def test_the_weights_have_full_precision_under_autocast(attention, inputs, thinned):
    with torch.autocast("cpu", torch.bfloat16):
        assert attention.weights(*inputs, thinned).dtype == torch.float32


def test_an_atom_without_edges_hears_nothing(attention, inputs, thinned):
    heard = attention(*inputs, thinned)
    assert not heard[7].any() and heard[8].any()


def test_heads_attend_differently(attention, inputs, thinned):
    assert (attention.weights(*inputs, thinned).std(1) > 0.01).float().mean() > 0.5


@pytest.mark.parametrize("through", ["distance_bias", "filter"])
def test_a_distance_acts_through_the_weights_and_through_the_values(attention, inputs, thinned, encoder, through):
    longer = encoder.basis(thinned.distance + 0.1 * torch.rand(len(thinned.distance)))
    for name in {"distance_bias", "filter"} - {through}:
        torch.nn.init.zeros_(getattr(attention, name).weight)
    atoms, edges = inputs
    change = (attention(atoms, longer, thinned) - attention(atoms, edges, thinned)).abs().amax(1)
    assert (change > 1e-4).float().mean() > 0.9
    torch.nn.init.zeros_(getattr(attention, through).weight)
    assert torch.equal(attention(atoms, longer, thinned), attention(atoms, edges, thinned))


@pytest.mark.parametrize("training", [False, True])
def test_an_embedding_never_depends_on_its_batch(encoder, tiny_graphs, batch, training):
    together = encoder.train(training)(batch)
    for row in (0, 17, 59):
        torch.testing.assert_close(encoder(tiny_graphs.batch(torch.tensor([row])))[0], together[row], **CLOSE)


def test_gradients_of_the_parts_of_a_batch_add_up_to_those_of_the_whole(encoder, tiny_graphs):
    def gradients(*parts):
        encoder.zero_grad()
        sum(encoder(tiny_graphs.batch(part)).square().sum() for part in parts).backward()
        return torch.cat([p.grad.flatten() for p in encoder.parameters()])

    rows = torch.arange(20)
    whole = gradients(rows)
    torch.testing.assert_close(gradients(rows[:7], rows[7:]) / whole.abs().max(), whole / whole.abs().max(), **CLOSE)


def test_gradients_with_respect_to_distances_are_those_of_small_steps(encoder, tiny_graphs):
    batch = tiny_graphs.batch(torch.tensor([3]))
    double = encoder.double()
    distance = batch.distance.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda d: double(replace(batch, distance=d)), distance)


def test_graphs_without_edges_can_be_trained_on(encoder, batch):
    bare = batch.with_edges(torch.tensor([], dtype=torch.long))
    encoder(bare).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in encoder.parameters())


def test_torch_compile_sees_the_whole_encoder(encoder, batch):
    compiled = torch.compile(encoder, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch), encoder(batch), **CLOSE)


def test_parameters_are_counted_by_hand():
    f, k, a, h = FEATURES, GAUSSIANS, HEADS, 16
    attention = 3 * f * f + 2 * f + k * a + k * f
    block = attention + 2 * 2 * f + 2 * (f * f + f)
    wanted = (92 * f + f) + 2 * block + 2 * f + (f * h + h)
    assert count_parameters(make_encoder(SIZES)) == wanted


def test_it_is_as_large_as_cgcnn():
    transformer, cgcnn = (count_parameters(make_encoder(EncoderSettings(name))) for name in ("transformer", "cgcnn"))
    assert transformer == pytest.approx(cgcnn, rel=0.1)


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_the_number_of_heads_changes_the_embedding_and_not_the_width(batch, heads):
    encoder = random_encoder(replace(SIZES, heads=heads), seed=3).encoder
    assert encoder(batch).shape == (batch.size, 16)
    assert encoder.convs[0].attention.heads == heads


def test_a_width_that_the_heads_cannot_share_is_refused():
    with pytest.raises(SettingsError, match=r"node_features \(16\) must be a multiple of heads \(3\)"):
        replace(SIZES, heads=3)
    assert EncoderSettings("cgcnn", node_features=16, heads=3).heads == 3, "heads mean nothing to CGCNN"
