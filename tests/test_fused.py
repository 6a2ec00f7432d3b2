"""The compiled convolution against the plain one."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from spmat_nb import fused
from spmat_nb.encoders import GatedConvolution, make_encoder
from spmat_nb.graphs import Batch
from spmat_nb.layers import GaussianBasis
from spmat_nb.settings import EncoderSettings

ATOMS = 30
BASIS = GaussianBasis(8.0, 0.2)


@pytest.fixture(autouse=True)
def allowed(monkeypatch):
    monkeypatch.delenv("SPMAT_FUSED", raising=False)


def edges(seed=0, most=12, atoms=ATOMS, low=0.1, high=9.0):
    """A batch of one crystal with 0 to `most` edges an atom; the last atom has none and sends none."""
    random = torch.Generator().manual_seed(seed)
    degree = torch.randint(0, most + 1, (atoms,), generator=random)
    degree[0], degree[-1] = most, 0
    count = int(degree.sum())
    distance = low + (high - low) * torch.rand(count, generator=random)
    distance[:2] = torch.tensor([0.1, 9.0])
    none = torch.zeros(count, dtype=torch.long)
    return Batch(
        z=torch.randint(1, 80, (atoms,), generator=random),
        centre=torch.repeat_interleave(torch.arange(atoms), degree),
        neighbour=torch.randint(0, atoms - 1, (count,), generator=random),
        distance=distance,
        crystal=torch.zeros(atoms, dtype=torch.long),
        size=1,
        **dict.fromkeys(("row", "atom_id", "edge_id", "pair_id"), none),
    )


def convolution(features, basis=BASIS, seed=0):
    torch.manual_seed(seed)
    conv = GatedConvolution(features, len(basis.centres))
    for norm in (conv.bn1, conv.bn2):
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean), nn.init.uniform_(norm.running_var, 0.5, 2)
    return conv


def prepared(atoms, batch, basis=BASIS):
    return fused.edges_of(atoms, batch.centre, batch.neighbour, batch.distance, basis.centres)


def results(conv, batch, compiled, scale=1.0, basis=BASIS):
    """Values, gradients and buffers after one call, by name; twice the precision if the convolution has it."""
    conv = copy.deepcopy(conv)
    precision = conv.fc_full.weight.dtype
    generator = torch.Generator().manual_seed(1)
    atoms = (scale * torch.randn(len(batch.z), conv.features, generator=generator)).to(precision).requires_grad_()
    aim = torch.randn(len(batch.z), conv.features, generator=generator).to(precision)
    ready = prepared(atoms, batch, basis) if compiled else basis(batch.distance).to(precision)
    assert ready is not None
    value = conv(atoms, ready, batch)
    (value * aim).sum().backward()
    out = {"value": value.detach(), "atoms": atoms.grad}
    return out | {n: p.grad for n, p in conv.named_parameters()} | {n: b for n, b in conv.named_buffers()}


def assert_equal(found, wanted, share=1e-5):
    """Each result to a share of its kind's largest value; gradients are one kind."""
    assert found.keys() == wanted.keys()
    largest = max(float(v.abs().max()) for k, v in wanted.items() if k == "atoms" or "weight" in k)
    for name, value in wanted.items():
        by_itself = name == "value" or "running" in name or "num" in name
        scale = max(float(value.abs().max()), 1.0) if by_itself else largest
        torch.testing.assert_close(
            found[name].double(), value.double(), atol=share * scale, rtol=0, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize("features", [64, 16, 10])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("most", [12, 3])
def test_values_gradients_and_statistics_equal_the_plain_ones(features, training, most):
    conv, batch = convolution(features).train(training), edges(most=most)
    assert_equal(results(conv, batch, True), results(conv, batch, False))


def test_values_and_gradients_equal_those_of_double_precision():
    conv, batch = convolution(16).train(), edges()
    assert_equal(results(conv, batch, True), results(convolution(16).double().train(), batch, False), 3e-6)


def test_gradients_are_those_of_finite_differences():
    conv, batch = convolution(4).train(), edges(atoms=6, most=4)
    atoms = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    ready = prepared(atoms, batch)
    parameters = {**dict(conv.named_parameters()), "atoms": atoms.requires_grad_()}
    weights = torch.linspace(-1, 1, 24).view(6, 4)

    def loss():
        return (fused.gated_sum(atoms, conv.fc_full, conv.bn1, ready) * weights).sum()

    loss().backward()
    for name in ("atoms", "fc_full.weight", "bn1.weight", "bn1.bias"):
        flat, slopes, step = parameters[name].data.view(-1), parameters[name].grad.view(-1), 1e-2
        place = int(slopes.abs().argmax())
        sides = []
        for sign in (1, -1):
            flat[place] += sign * step
            sides.append(loss().item())
            flat[place] -= sign * step
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(float(slopes[place]), rel=0.01), name


@pytest.mark.parametrize(("cutoff", "step"), [(8.0, 0.1), (6.0, 0.5), (2.0, 0.5)])
def test_other_gaussians(cutoff, step):
    basis = GaussianBasis(cutoff, step)
    conv, batch = convolution(16, basis).train(), edges()
    assert_equal(results(conv, batch, True, basis=basis), results(conv, batch, False, basis=basis))


def test_gaussians_that_are_left_out_are_below_1e_7():
    distance = torch.cat([torch.linspace(0, 10, 4001), torch.tensor([0.1, 8.5])])
    first, near = fused.nearest_gaussians(distance, BASIS.centres)
    used = torch.zeros(len(distance), 41).scatter(1, first[:, None] + torch.arange(fused.TAPS), near)
    torch.testing.assert_close(used, BASIS(distance), atol=1e-8, rtol=0)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_saturated_gates_stay_finite(training):
    conv, batch = convolution(16).train(training), edges()
    nn.init.constant_(conv.bn1.weight, 200.0)
    found = results(conv, batch, True, scale=100.0)
    assert all(value.isfinite().all() for value in found.values())
    assert_equal(found, results(conv, batch, False, scale=100.0), 1e-4)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_what_is_not_a_number_stays_so(training):
    conv, batch = convolution(16).train(training), edges()
    for broken in (replace(batch, distance=batch.distance.index_fill(0, torch.tensor([20]), torch.nan)), batch):
        atoms = torch.randn(ATOMS, 16)
        if broken is batch:
            atoms[3, 2] = torch.nan
        ready = prepared(atoms, broken)
        found = fused.gated_sum(atoms, conv.fc_full, conv.bn1, ready)
        wanted = conv.plain_sum(atoms, BASIS(broken.distance), broken)
        assert found.isnan().any() and torch.equal(found.isnan()[:, 0], wanted.isnan()[:, 0])


def test_statistics_of_a_large_mean_with_a_small_spread():
    conv, batch = convolution(16).train(), edges()
    nn.init.constant_(conv.fc_full.bias, 1000.0)
    conv.fc_full.weight.data *= 0.1
    atoms = torch.randn(ATOMS, 16)
    products = nn.functional.linear(
        atoms.double(), torch.cat(conv.fc_full.weight.double().split([16, 16, 41], 1)[:2]).detach()
    )
    total = products[batch.centre, :32] + products[batch.neighbour, 32:] + 1000
    total = total + BASIS(batch.distance).double() @ conv.fc_full.weight[:, 32:].double().T
    for norm, value in ((conv.bn1.running_mean, 0.0), (conv.bn1.running_var, 0.0)):
        nn.init.constant_(norm, value)
    fused.gated_sum(atoms, conv.fc_full, conv.bn1, prepared(atoms, batch))
    torch.testing.assert_close(conv.bn1.running_mean.double(), 0.1 * total.mean(0), atol=0, rtol=1e-6)
    torch.testing.assert_close(conv.bn1.running_var.double(), 0.1 * total.var(0), atol=0, rtol=1e-3)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
def test_batches_are_counted_as_torch_does(compiled):
    for training in (True, False):
        found = results(convolution(16).train(training), edges(), compiled)
        assert found["bn1.num_batches_tracked"] == found["bn2.num_batches_tracked"] == int(training)


def test_two_calls_give_the_same_bits():
    conv, batch = convolution(64).train(), edges(atoms=200)
    first, second = (results(conv, batch, True) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_frozen_parameters_and_no_gradient_at_all():
    conv, batch = convolution(16).eval(), edges()
    wanted = results(conv, batch, False)
    conv.bn1.requires_grad_(False), conv.fc_full.bias.requires_grad_(False)
    found = results(conv, batch, True)
    for name in ("bn1.weight", "bn1.bias", "fc_full.bias"):
        assert found.pop(name) is None and wanted.pop(name) is not None
    assert_equal(found, wanted)
    with torch.no_grad():
        atoms = torch.randn(ATOMS, 16)
        assert not conv(atoms, prepared(atoms, batch), batch).requires_grad


def test_second_derivatives_are_refused():
    conv, batch = convolution(16).train(), edges()
    atoms = torch.randn(ATOMS, 16, requires_grad=True)
    value = conv(atoms, prepared(atoms, batch), batch).square().sum()
    (slope,) = torch.autograd.grad(value, atoms, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_an_edge_to_an_atom_that_is_not_there_is_refused():
    batch = edges()
    for name in ("centre", "neighbour"):
        wrong = getattr(batch, name).index_fill(0, torch.tensor([5]), ATOMS)
        with pytest.raises(IndexError, match=f"atom {ATOMS} of {ATOMS}"):
            prepared(torch.zeros(ATOMS, 16), replace(batch, **{name: wrong}))


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("context", [fused.disabled, autocast])
def test_contexts_in_which_the_plain_code_runs(context):
    atoms, batch = torch.zeros(ATOMS, 16), edges()
    assert prepared(atoms, batch) is not None
    with context():
        assert prepared(atoms, batch) is None
    assert prepared(atoms, batch) is not None


def test_inputs_for_which_the_plain_code_runs():
    atoms, batch = torch.zeros(ATOMS, 16), edges()
    assert prepared(atoms.double(), batch) is None
    assert prepared(atoms, replace(batch, distance=batch.distance.double())) is None
    assert prepared(atoms, replace(batch, distance=batch.distance.requires_grad_())) is None
    for count in (0, 1):
        assert prepared(atoms, batch.with_edges(torch.arange(count))) is None


def test_the_environment_can_forbid_it(monkeypatch):
    monkeypatch.setenv("SPMAT_FUSED", "0")
    assert prepared(torch.zeros(ATOMS, 16), edges()) is None


def test_without_numba_the_plain_code_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert fused.compiled_loops.__wrapped__() is None
    monkeypatch.setattr(fused, "compiled_loops", lambda: None)
    assert prepared(torch.zeros(ATOMS, 16), edges()) is None


def test_where_no_cache_can_be_written_the_loops_are_compiled_all_the_same():
    def njit(types, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function")
        return lambda loop: (loop, types)

    assert fused._compile(SimpleNamespace(njit=njit), len, ("types",)) == (len, ("types",))


def test_a_long_compilation_is_announced_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(fused, "PATIENCE", 0.01)
    monkeypatch.setattr(fused, "_compile_all", lambda: __import__("time").sleep(0.3))
    fused.compiled_loops.__wrapped__()
    assert capsys.readouterr().err == "compiling the fused convolution (once on this machine) ...\n"


def test_numba_is_imported_only_when_it_is_used():
    code = "import sys, spmat_nb.encoders; print('numba' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("count", [0, 1])
def test_an_encoder_with_hardly_any_edge_does_what_the_plain_one_does(training, count):
    encoder = make_encoder(EncoderSettings(node_features=16)).train(training)
    batch = edges().with_edges(torch.arange(count))
    if training and count == 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            encoder(batch)
    else:
        assert encoder(batch).isfinite().all()


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_encoders_agree_on_masked_crystals(batch, training):
    encoder = make_encoder(EncoderSettings()).train(training)
    kept = torch.arange(0, len(batch.centre), 3)
    masked = replace(batch.with_edges(kept), visible=torch.arange(len(batch.z)) % 4 > 0)
    with fused.disabled():
        plain = copy.deepcopy(encoder)(masked)
    torch.testing.assert_close(encoder(masked), plain, atol=1e-5, rtol=1e-5)


def test_an_encoder_that_was_used_can_be_copied_and_pickled(batch):
    encoder = make_encoder(EncoderSettings(node_features=16)).eval()
    value = encoder(batch)
    value.sum().backward()
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert torch.equal(other(batch), value)


def test_elementary_functions_are_accurate():
    """In plain Python: the same code that numba compiles."""
    for x in (0.0, 1e-6, -0.3, 1.0, -5.0, 30.0, -80.0):
        decay = fused._decay(np.float32(x))
        assert decay == pytest.approx(np.exp(-abs(np.float32(x).astype(float))), rel=3e-7 + 1e-7 * abs(x))
        assert fused._log1p(decay) == pytest.approx(np.log1p(float(decay)), rel=3e-7)
        wanted = 1 / (1 + np.exp(-float(x)))
        assert fused._sigmoid(np.float32(x), decay) == pytest.approx(wanted, rel=3e-7 + 1e-7 * abs(x))
    assert fused._decay(np.float32(-1e30)) < 1e-37
