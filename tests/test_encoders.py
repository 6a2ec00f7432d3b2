import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from cgcnn2.model import CrystalGraphConvNet
from pymatgen.core import Lattice, Structure
from torch.overrides import TorchFunctionMode

from spmat_nb.checkpoints import from_dict
from spmat_nb.crystals import load
from spmat_nb.elements import element_table
from spmat_nb.encoders import CGCNN, ENCODERS, count_parameters, make_encoder
from spmat_nb.errors import SettingsError
from spmat_nb.finetune import finetune
from spmat_nb.graphs import build_graphs
from spmat_nb.layers import AtomEncoder, GaussianBasis, mean_pool
from spmat_nb.models import Pretrained, random_encoder
from spmat_nb.pretrain import pretrain
from spmat_nb.settings import EncoderSettings, FinetuneSettings, PretrainSettings

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
LONELY = Structure(Lattice.cubic(20.0), ["Ar"], [[0, 0, 0]])
BLOCK_COLUMNS = slice(78, 82)


def graphs_of(*structures):
    return build_graphs(load(list(structures)), cache=False)


def embed_alone(encoder, structure):
    return encoder(graphs_of(structure).batch(torch.tensor([0])))[0]


@pytest.fixture(scope="module")
def cgcnn():
    return random_encoder(seed=3).encoder.eval()


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request):
    """Each encoder of the registry."""
    return random_encoder(EncoderSettings(name=request.param), seed=3).encoder.eval()


@pytest.fixture
def full(tiny_graphs):
    """The crystals whose atoms all have twelve neighbours, as one batch."""
    atoms, edges = torch.diff(tiny_graphs.atom_start), torch.diff(tiny_graphs.edge_start)
    rows = (edges == 12 * atoms).nonzero().squeeze(1)
    assert len(rows) > 30
    return tiny_graphs.batch(rows)


@pytest.fixture
def reference(cgcnn):
    """CGCNN as others wrote it, with the same weights; its output layer is not compared."""
    model = CrystalGraphConvNet(92, 41)
    missing, unexpected = model.load_state_dict(cgcnn.state_dict(), strict=False)
    assert set(missing) == {"fc_out.weight", "fc_out.bias"} and not unexpected
    return model


def reference_embedding(model, batch):
    basis = torch.exp(-(((batch.distance[:, None] - torch.linspace(0, 8, 41)) / 0.2) ** 2))
    members = [(batch.crystal == i).nonzero().squeeze(1) for i in range(batch.size)]
    return model(element_table()[batch.z], basis.view(-1, 12, 41), batch.neighbour.view(-1, 12), members)[1]


def test_cgcnn_equals_the_reference_in_eval_mode(cgcnn, reference, full):
    torch.testing.assert_close(cgcnn(full), reference_embedding(reference.eval(), full), **CLOSE)


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


def test_an_atom_without_neighbours_has_a_finite_embedding(encoder, named):
    alone = graphs_of(LONELY)
    assert alone.isolated_atoms() == 1 and len(alone.distance) == 0
    together = encoder(graphs_of(LONELY, named["NaCl"]).batch(torch.tensor([0, 1])))
    assert together.isfinite().all()
    torch.testing.assert_close(encoder(alone.batch(torch.tensor([0])))[0], together[0], **CLOSE)


def test_removed_edges_change_their_crystal_and_no_other(encoder, batch):
    kept = (torch.arange(len(batch.distance)) % 3 > 0) | (batch.crystal[batch.centre] != 5)
    changed = (encoder(batch.with_edges(kept.nonzero().squeeze(1))) - encoder(batch)).abs().amax(1)
    assert changed[5] > 1e-4 and changed[torch.arange(batch.size) != 5].max() < 1e-5


def test_distances_change_the_embedding_and_have_gradients(encoder, batch):
    distance = batch.distance.clone().requires_grad_()
    encoder(replace(batch, distance=distance)).square().sum().backward()
    assert distance.grad.isfinite().all() and (distance.grad != 0).float().mean() > 0.9
    longer = encoder(replace(batch, distance=batch.distance + 0.3))
    assert (longer - encoder(batch)).abs().amax(1).min() > 1e-4


def test_embeddings_are_positive(encoder, batch):
    assert encoder(batch).min() > 0


def test_double_precision_gives_the_same_embedding(encoder, batch):
    double = make_encoder(encoder.settings).eval().double()
    double.load_state_dict(encoder.state_dict())
    values = double(replace(batch, distance=batch.distance.double()))
    assert values.dtype == torch.float64
    torch.testing.assert_close(values.float(), encoder(batch), atol=1e-4, rtol=1e-4)


class GpuRules(TorchFunctionMode):
    """Autocast of a GPU on a CPU: these functions then compute and answer in single precision."""

    SINGLE = (torch.exp, torch.nn.functional.softplus, torch.nn.functional.layer_norm, torch.sum, torch.Tensor.sum)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in self.SINGLE:
            args = tuple(a.float() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in args)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("rules", [nullcontext, GpuRules])
def test_bfloat16_gives_nearly_the_same_embedding(encoder, batch, rules):
    with torch.autocast("cpu", torch.bfloat16), rules():
        half = encoder(batch)
    wanted = encoder(batch)
    assert 0 < (half.float() - wanted).abs().mean() < 0.1 * wanted.std(0).mean(), "of the spread between crystals"


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


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "random"])
def test_gradients_reach_all_parameters(small, batch, name):
    model = random_encoder(replace(small, name=name))
    parameters = dict(model.encoder.named_parameters()) | dict(model.projector.named_parameters())
    model.projector.eval()(model.encoder.eval()(batch)).square().sum().backward()
    assert [name for name, p in parameters.items() if p.grad is None or not 0 < p.grad.abs().max() < np.inf] == []


@pytest.mark.parametrize("hidden", [16, 48])
@pytest.mark.parametrize("name", ENCODERS)
def test_sizes_come_from_the_settings(batch, name, hidden):
    encoder = make_encoder(EncoderSettings(name, node_features=8, convolutions=1, hidden=hidden))
    assert isinstance(encoder, AtomEncoder) and len(encoder.convs) == 1
    assert encoder(batch).shape == (batch.size, hidden) and encoder.width == hidden


def test_parameters_are_counted_by_hand():
    f, k, h = 8, 41, 16
    norms = 2 * (2 * f) + 2 * f
    wanted = (92 * f + f) + ((2 * f + k) * 2 * f + 2 * f + norms) + (f * h + h)
    assert count_parameters(make_encoder(EncoderSettings(node_features=f, convolutions=1, hidden=h))) == wanted


@pytest.mark.parametrize(
    "values",
    [{name: 0} for name in ("node_features", "convolutions", "hidden", "projection", "heads")]
    + [{"gaussian_step": step} for step in (0.0, -0.2, float("nan"), float("inf"))],
)
def test_sizes_that_make_no_encoder_are_refused(values):
    with pytest.raises(SettingsError, match=r"at least 1 and gaussian_step positive"):
        EncoderSettings(**values)


def test_settings_saved_before_there_were_heads_can_be_read():
    old = {key: value for key, value in asdict(EncoderSettings(node_features=6)).items() if key != "heads"}
    assert from_dict(EncoderSettings, old) == EncoderSettings(node_features=6)


def test_encoders_can_be_imported_without_torch_geometric():
    code = "import sys, spmat_nb.encoders; print('torch_geometric' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_an_unknown_encoder_is_named_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"'alignn'.*cgcnn, transformer, random"):
        make_encoder(EncoderSettings(name="alignn"))


def test_a_random_encoder_is_fixed_by_its_seed():
    first, again, other = (random_encoder(seed=s).encoder.embedding.weight for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.fixture
def frozen(small):
    return random_encoder(replace(small, name="random"), seed=1)


def as_vector(module):
    return torch.cat([tensor.flatten().double() for tensor in module.state_dict().values()])


def test_the_random_encoder_is_an_untrained_cgcnn(small, frozen, batch):
    start = random_encoder(small, seed=1).encoder.eval()
    assert type(start) is CGCNN and torch.equal(frozen.encoder(batch), start(batch))


def test_the_random_encoder_stays_in_eval_mode(frozen, batch):
    before = frozen.encoder(batch)
    assert frozen.encoder.train() is frozen.encoder
    torch.nn.ModuleList([frozen.encoder]).train()
    assert not any(module.training for module in frozen.encoder.modules())
    assert torch.equal(frozen.encoder(batch), before)


def test_the_random_encoder_has_nothing_to_train(frozen, batch):
    assert count_parameters(frozen.encoder) == 0 and not frozen.encoder(batch).requires_grad


def test_pretraining_with_the_random_encoder_trains_the_projector_alone(tiny, tiny_graphs, frozen):
    settings = PretrainSettings(epochs=1, batch_size=16, seed=1)
    model = pretrain(tiny, settings, frozen.encoder_settings, tiny_graphs, show=False)
    assert torch.equal(as_vector(model.encoder), as_vector(frozen.encoder))
    assert not torch.equal(as_vector(model.projector), as_vector(frozen.projector))


@pytest.mark.parametrize("saved", [False, True])
def test_fine_tuning_from_the_random_encoder_trains_the_head_alone(tiny, frozen, tmp_path, saved):
    frozen.save_pretrained(tmp_path)
    start = Pretrained.from_pretrained(tmp_path) if saved else frozen
    result = finetune(tiny, start, FinetuneSettings(epochs=3, batch_size=6), show=False)
    assert torch.equal(as_vector(result.model.encoder), as_vector(frozen.encoder))
    assert result.history["loss"].iloc[-1] < result.history["loss"].iloc[0], "the head learns"


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
