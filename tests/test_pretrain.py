import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from spmat_nb import checkpoints
from spmat_nb import pretrain as module
from spmat_nb.embed import embed
from spmat_nb.encoders import ENCODERS
from spmat_nb.errors import CheckpointError, InputError, SettingsError, SpmatError, TrainingError
from spmat_nb.graphs import build_graphs
from spmat_nb.labels import LABELS
from spmat_nb.losses import LOSSES, classification
from spmat_nb.models import Pretrained, load_pretrained, random_encoder, shipped_names
from spmat_nb.pretrain import pretrain, validation_split
from spmat_nb.settings import GraphSettings, PretrainSettings
from spmat_nb.training import RESUME

SHORT = PretrainSettings(epochs=2, batch_size=16, learning_rate=3e-3)


@pytest.fixture
def run(tiny, tiny_graphs, small):
    """Pretrain on the tiny set with some settings changed."""

    def go(crystals=tiny, graphs=tiny_graphs, **changes):
        return pretrain(crystals, replace(SHORT, **changes), small, graphs, show=False)

    return go


def weights(model):
    return torch.cat([p.detach().flatten() for p in (*model.encoder.parameters(), *model.projector.parameters())])


def with_column(crystals, **columns):
    return replace(crystals, table=crystals.table.assign(**columns))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_falls(run, loss):
    history = run(loss=loss, epochs=4, validation_share=0.1).history
    assert np.isfinite(history.to_numpy()).all()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]


@pytest.mark.parametrize("label", [*LABELS, "bins:density:4", "shuffled:gap_class", "crossed:is_metal,family"])
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if loss.needs_label])
def test_every_loss_trains_every_encoder_with_every_label(tiny, tiny_graphs, small, loss, encoder, label):
    crystals = with_column(tiny, is_gap_direct=np.arange(60) % 2 == 0)
    settings = replace(SHORT, loss=loss, label=label, epochs=1)
    model = pretrain(crystals, settings, replace(small, name=encoder), tiny_graphs, show=False)
    assert np.isfinite(model.history["loss"]).all()


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if not loss.needs_label])
def test_every_unsupervised_loss_trains_every_encoder(tiny, tiny_graphs, small, loss, encoder):
    settings = replace(SHORT, loss=loss, label=None, epochs=1)
    model = pretrain(tiny, settings, replace(small, name=encoder), tiny_graphs, show=False)
    assert np.isfinite(model.history["loss"]).all()


def test_classification_has_one_score_a_class(run, tmp_path):
    model = run(loss="classification", label="family")
    assert model.encoder_settings.projection == 7
    model.save_pretrained(tmp_path)
    assert torch.equal(weights(load_pretrained(tmp_path)), weights(model))


@pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if loss.adds_classes])
def test_a_joint_loss_has_a_projection_and_scores_and_is_saved_with_both(run, tiny, tiny_graphs, tmp_path, loss):
    model = run(loss=loss, label="family")
    assert model.encoder_settings.projection == 16 + 7
    model.save_pretrained(tmp_path)
    again = load_pretrained(tmp_path)
    assert torch.equal(weights(again), weights(model)) and again.settings == model.settings
    pd.testing.assert_frame_equal(embed(tiny, again, tiny_graphs), embed(tiny, model, tiny_graphs), check_exact=True)


def joint_job(crystals, graphs, sizes, loss, **changes):
    settings = replace(SHORT, loss=loss, label="family", validation_share=0.3, **changes)
    return module.prepare(crystals, settings, sizes, graphs, torch.device("cpu"))


@pytest.mark.parametrize("loss", [key for key, loss in LOSSES.items() if loss.adds_classes])
def test_a_joint_run_adds_up_both_losses(tiny, tiny_graphs, small, loss):
    job, index = joint_job(tiny, tiny_graphs, small, loss, balance=2.0, temperature=0.3), torch.arange(20)
    z1, z2 = torch.randn(2, 20, 23, generator=torch.Generator().manual_seed(0))
    alone = LOSSES[loss.removesuffix("+classes")].compute(z1[:, :16], z2[:, :16], job.labels[index], 0.3, 2.0)
    wanted = alone + classification(z1[:, 16:], z2[:, 16:], job.labels[index])
    assert module.compare(job, z1, z2, index) == wanted


def test_similarities_of_a_joint_run_are_those_of_the_projections(tiny, tiny_graphs, small):
    job = joint_job(tiny, tiny_graphs, small, "sup_barlow+classes")
    before = module.validate(job)
    with torch.no_grad():
        job.model.projector[2].weight[16:] *= 1000
    after = module.validate(job)
    assert after["val_loss"] > before["val_loss"] and "positive_similarity" in before
    assert {**after, "val_loss": 0} == {**before, "val_loss": 0}


@pytest.mark.parametrize(
    "changes",
    [{"warmup": 1.0}, {"schedule": "constant"}, {"clip": 0.01}, {"sampler": "paired"}, {"precision": "bfloat16"}],
    ids=["warmup", "constant", "clip", "paired", "bfloat16"],
)
def test_an_option_changes_the_run_and_it_stays_finite(run, changes):
    model = run(**changes)
    assert np.isfinite(model.history["loss"]).all()
    assert not torch.equal(weights(model), weights(run()))


def test_the_rate_rises_over_the_warm_up_and_falls_to_nearly_nothing(run):
    rates = run(epochs=6, warmup=2.0).history["learning_rate"].to_list()
    assert rates[0] < rates[1] and rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[1] < SHORT.learning_rate and rates[-1] < 0.1 * SHORT.learning_rate


def test_a_random_state_shuffles_the_labels_of_the_control_anew(run):
    first, second = (run(label="shuffled:gap_class", seed=seed, epochs=1) for seed in (0, 1))
    assert first.settings.label == "shuffled:gap_class" and not torch.equal(weights(first), weights(second))


def test_a_collapse_is_said_while_it_happens(tiny, tiny_graphs, small, capsys):
    settings = replace(SHORT, learning_rate=0.3, epochs=4, validation_share=0.3)
    pretrain(tiny, settings, small, tiny_graphs)
    assert "collapsed" in capsys.readouterr().err


def test_the_history_has_a_row_an_epoch(run):
    history = run(validation_share=0.3).history
    assert {"epoch", "loss", "val_loss", "learning_rate", "graphs_per_second", "seconds"} < set(history.columns)
    assert {"effective_rank", "mean_cosine", "positive_similarity", "negative_similarity"} < set(history.columns)
    assert history["epoch"].to_list() == [1, 2]
    assert (history["seconds"].diff().dropna() > 0).all() and (history["effective_rank"] >= 1).all()


def test_without_held_out_crystals_there_is_no_validation_loss(run):
    assert "val_loss" not in run(validation_share=0.0).history


def test_the_same_seed_gives_the_same_weights_and_another_does_not(run):
    first, again, other = (weights(run(seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_labels_guide_the_supervised_losses_only(run, tiny):
    shuffled = with_column(tiny, gap_class=tiny.table["gap_class"].to_numpy()[::-1])
    for loss, guided in (("sup_barlow", True), ("sup_simclr", True), ("barlow", False), ("simclr", False)):
        same = torch.equal(weights(run(loss=loss, epochs=1)), weights(run(shuffled, loss=loss, epochs=1)))
        assert same is not guided, loss


def test_graphs_are_built_when_they_are_not_given(run):
    assert torch.equal(weights(run(graphs=None)), weights(run()))


def test_crystals_without_a_label_are_used_too(run, tiny):
    holes = with_column(tiny, gap_class=tiny.table["gap_class"].where(np.arange(60) % 3 > 0))
    assert np.isfinite(run(holes).history["loss"]).all()


def test_random_state_outside_is_left_alone(run):
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = weights(run())
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002
    torch.manual_seed(6)
    assert torch.equal(weights(run()), first)


def test_a_saved_model_gives_the_same_embeddings(run, tiny, tiny_graphs, tmp_path):
    model = run()
    model.save_pretrained(tmp_path / "model")
    again = load_pretrained(tmp_path / "model")
    assert (again.settings, again.encoder_settings, again.data) == (model.settings, model.encoder_settings, model.data)
    pd.testing.assert_frame_equal(embed(tiny, again, tiny_graphs), embed(tiny, model, tiny_graphs), check_exact=True)
    pd.testing.assert_frame_equal(again.history, model.history)
    assert torch.equal(weights(again), weights(model))


def test_a_random_encoder_can_be_saved_and_loaded(small, tmp_path):
    random_encoder(small).save_pretrained(tmp_path)
    assert load_pretrained(tmp_path).settings is None


def test_a_model_says_which_crystals_it_saw(run, tiny):
    assert run(epochs=1).data == {"name": "teaching set", "crystals": 60, "fingerprint": tiny.fingerprint()}


def test_weights_that_do_not_fit_are_refused(run, tmp_path):
    run(epochs=1).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text().replace('"hidden": 16', '"hidden": 20')
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="checksum"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(text.replace(checkpoints.OWN_SUM, "edited"))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"loss": "vicreg"}, SettingsError, "Unknown loss 'vicreg'"),
        ({"label": "colour"}, SettingsError, "Unknown label 'colour'"),
        ({"label": None}, SettingsError, "name a label"),
        ({"batch_size": 1}, SettingsError, "batches of at least 2 crystals"),
        ({"epochs": 0}, SettingsError, "at least 1 epoch"),
        ({"learning_rate": -1.0}, SettingsError, "positive learning rate"),
        ({"validation_share": 1.0}, SettingsError, "validation_share"),
        ({"temperature": 0.0}, SettingsError, "temperature must be positive"),
        ({"temperature": float("nan")}, SettingsError, "temperature must be positive"),
        ({"temperature": 1e-44, "loss": "simclr", "label": None}, TrainingError, "temperature of .* is too low"),
    ],
    ids=["loss", "label", "no label", "batch", "epochs", "rate", "all held out", "tau 0", "tau NaN", "tau tiny"],
)
def test_a_wrong_setting_is_named(run, changes, error, words):
    with pytest.raises(error, match=words):
        run(**changes)


def test_a_rate_that_breaks_the_weights_is_a_training_error(run):
    with pytest.raises(TrainingError):
        run(learning_rate=1e30)


def test_a_label_no_crystal_has_is_an_input_error(run, tiny):
    with pytest.raises(InputError, match="No crystal of teaching set has a value of the label 'gap_class'"):
        run(with_column(tiny, gap_class=None))
    with pytest.raises(InputError, match="no column 'family'"):
        run(replace(tiny, table=tiny.table.drop(columns="family")), label="family")


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_crystals_are_an_input_error(run, tiny, count):
    with pytest.raises(InputError, match="at least 2 are needed"):
        run(tiny.select(np.arange(count)), graphs=None)


def test_three_atoms_in_three_cells_are_too_few_crystals(run, tiny):
    single = tiny.select(np.flatnonzero(tiny.table["nsites"] == 1)[:3])
    with pytest.raises(SpmatError):
        run(single, graphs=None)


@pytest.mark.parametrize("wrong", ["settings", "crystals"])
def test_graphs_that_do_not_fit_are_refused(run, tiny, wrong):
    graphs = {
        "settings": lambda: build_graphs(tiny, GraphSettings(max_neighbours=4), cache=False),
        "crystals": lambda: build_graphs(tiny.select(np.arange(10)), cache=False),
    }[wrong]()
    with pytest.raises(CheckpointError):
        run(graphs=graphs)


def interrupt_in_epoch(monkeypatch, epoch):
    """Ctrl-C in the second step of an epoch."""
    real, seen = module.view_loss, []

    def view_loss(job, index, number):
        seen.append(number)
        if seen.count(epoch) == 2:
            raise KeyboardInterrupt
        return real(job, index, number)

    monkeypatch.setattr(module, "view_loss", view_loss)


def test_an_interrupted_run_returns_a_model_with_its_finished_epochs(run, monkeypatch, tmp_path):
    interrupt_in_epoch(monkeypatch, 2)
    model = run(epochs=5)
    assert model.history["epoch"].to_list() == [1, 2]
    assert not model.encoder.training
    model.save_pretrained(tmp_path)
    assert len(load_pretrained(tmp_path).history) == 2


def test_an_interrupted_run_returns_the_weights_of_the_last_finished_epoch(run, monkeypatch):
    interrupt_in_epoch(monkeypatch, 0)
    assert torch.equal(weights(run()), weights(random_encoder(run().encoder_settings, SHORT.seed)))


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 0), (0.01, 2), (0.1, 10)])
def test_held_out_crystals_are_not_trained_on(share, wanted):
    held_out, rows = validation_split(100, PretrainSettings(validation_share=share))
    assert len(held_out) == wanted
    assert sorted([*held_out.tolist(), *rows.tolist()]) == list(range(100))


def test_held_out_crystals_do_not_move_the_weights(run, tiny):
    held_out, _ = validation_split(60, SHORT)
    changed = tiny.table["gap_class"].mask(np.isin(np.arange(60), held_out), "wide")
    assert not changed.equals(tiny.table["gap_class"])
    assert torch.equal(weights(run(with_column(tiny, gap_class=changed))), weights(run()))


def test_watching_the_loss_changes_nothing_in_the_model(run, monkeypatch):
    watched = run().encoder.state_dict()
    monkeypatch.setattr(module, "validate", lambda *_: {})
    alone = run().encoder.state_dict()
    assert all(torch.equal(watched[name], alone[name]) for name in alone)


def test_views_are_drawn_anew_by_seed_and_epoch_and_the_same_to_watch(run, monkeypatch):
    keys, real = [], module.two_views
    monkeypatch.setattr(module, "two_views", lambda *a, **o: keys.append(a[3:]) or real(*a, **o))
    run(seed=4, epochs=2)
    assert set(keys) == {(4, 0), (4, 1), (4, module.VALIDATION_EPOCH)}
    assert keys.count((4, module.VALIDATION_EPOCH)) == 2


def test_a_run_that_saw_no_label_records_none(tiny):
    settings = PretrainSettings(loss="barlow", label="gap_class", sampler="paired", epochs=1, batch_size=16)
    used = pretrain(tiny.of_split("pretrain"), settings, show=False).settings
    assert (used.label, used.sampler) == (None, "shuffled")


def test_a_run_in_half_precision_learns_the_same_roughly(run):
    half, single = (run(precision=precision, epochs=4).history["loss"] for precision in ("bfloat16", "float32"))
    assert not half.equals(single) and half.iloc[-1] < half.iloc[0]
    np.testing.assert_allclose(half, single, rtol=0.1)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # tracing looks at it
def test_a_compiled_run_is_the_same_run(tiny, tiny_graphs, small):
    sizes = replace(small, convolutions=1)
    compiled, plain = (
        pretrain(tiny, replace(SHORT, compile=choice), sizes, tiny_graphs, show=False).history
        for choice in (True, False)
    )
    np.testing.assert_allclose(compiled["loss"], plain["loss"], rtol=1e-3)


def test_a_run_that_grows_away_is_stopped_with_epoch_rate_and_advice(tiny, tiny_graphs, small, monkeypatch, tmp_path):
    losses, real = iter([1.0, 0.5, 0.4, 9.0, 9.0]), module.train_epoch
    monkeypatch.setattr(module, "train_epoch", lambda *a: real(*a) | {"loss": next(losses)})
    settings = replace(SHORT, epochs=5)
    with pytest.raises(
        TrainingError, match=r"after epoch 4 at a learning rate of .*diverged: the loss grew to 9 .*lower"
    ):
        pretrain(tiny, settings, small, tiny_graphs, show=False, folder=tmp_path)
    assert len(checkpoints.load(tmp_path / RESUME)[0]["history"]) == 3  # the state before it is kept


def test_a_model_knows_the_formulas_that_it_saw(run, tiny, tmp_path):
    model = run(epochs=1)
    model.save_pretrained(tmp_path)
    for known in (model, load_pretrained(tmp_path)):
        assert known.has_seen(tiny.table["formula"]).all()
        assert not known.has_seen(pd.Series(["Xx7", ""])).any()
    assert not random_encoder().has_seen(tiny.table["formula"]).any()


def test_encoders_that_come_with_the_project_are_found_by_name(run, tmp_path, monkeypatch):
    model = run(epochs=1)
    model.save_pretrained(tmp_path / "mine")
    monkeypatch.setenv("SPMAT_MODELS_DIR", str(tmp_path))
    assert shipped_names() == ["mine"]
    assert torch.equal(weights(Pretrained.from_pretrained("mine")), weights(model))
    with pytest.raises(CheckpointError, match=r"No saved model in 'yours'.*come with the project: mine\."):
        load_pretrained("yours")
