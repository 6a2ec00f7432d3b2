import time
from dataclasses import replace
from threading import Event

import numpy as np
import pandas as pd
import pytest
import torch

from spmat_nb import checkpoints
from spmat_nb import finetune as module
from spmat_nb.crystals import load
from spmat_nb.embed import embed
from spmat_nb.encoders import ENCODERS
from spmat_nb.errors import CheckpointError, InputError, SettingsError, TrainingError
from spmat_nb.finetune import PARTS, finetune, start_model
from spmat_nb.graphs import build_graphs
from spmat_nb.models import random_encoder
from spmat_nb.pretrain import pretrain
from spmat_nb.property_models import Finetuned, load_finetuned, predict
from spmat_nb.settings import FinetuneSettings, GraphSettings, PretrainSettings
from spmat_nb.training import RESUME, Background

SHORT = FinetuneSettings(epochs=2, batch_size=8)
TARGET = SHORT.target


@pytest.fixture(scope="module")
def graphs(tiny):
    return build_graphs(tiny.of_split(*PARTS), cache=False)


@pytest.fixture(scope="module")
def pretrained(tiny, tiny_graphs, small):
    return pretrain(tiny, PretrainSettings(epochs=1, batch_size=16), small, tiny_graphs, show=False)


@pytest.fixture(scope="module")
def run(tiny, graphs, small):
    """Fine-tune on the tiny set with some settings changed."""

    def go(
        crystals=tiny,
        init="scratch",
        graphs=graphs,
        folder=None,
        resume=False,
        callbacks=(),
        stop_after=None,
        **changes,
    ):
        stop = Event()
        if stop_after == 0:
            stop.set()

        def count(row):
            if row["epoch"] == stop_after:
                stop.set()

        options = {"folder": folder, "resume": resume, "callbacks": [*callbacks, count], "stop": stop}
        return finetune(crystals, init, replace(SHORT, **changes), small, graphs, show=False, **options)

    return go


@pytest.fixture(scope="module")
def tuned(run):
    return run()


def with_targets(crystals, change, split):
    """The same crystals with other targets in one split."""
    values, rows = crystals.table[TARGET].astype(float), crystals.table["split"] == split
    return replace(crystals, table=crystals.table.assign(**{TARGET: values.mask(rows, change(values))}))


def same_weights(one, other):
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_fine_tuning_learns(lesson, small):
    sizes = replace(small, node_features=32, hidden=32)
    settings = FinetuneSettings(epochs=40, batch_size=25, head_rate=5e-3, encoder_rate=5e-3)
    metrics = finetune(lesson, "scratch", settings, sizes, show=False).metrics
    values = lesson.of_split("train").table[TARGET]
    assert metrics["train_mae"] < 0.5 * (values - values.median()).abs().mean()
    assert metrics["val_mae"] < metrics["median_test_mae"]


def test_the_metrics_are_those_of_the_predictions(tuned, tiny):
    table, metrics = tuned.predictions, tuned.metrics
    assert metrics["target"] == TARGET and metrics["unit"] == "eV/atom" and metrics["seed"] == 0
    error = (table["predicted"] - table["true"]).abs()
    for part, count in zip(PARTS, (12, 6, 6), strict=True):
        assert metrics[f"n_{part}"] == count == (table["split"] == part).sum()
        assert metrics[f"{part}_mae"] == pytest.approx(error[table["split"] == part].mean())
    median = tiny.of_split("train").table[TARGET].median()
    baseline = (tiny.of_split("test").table[TARGET] - median).abs().mean()
    assert metrics["median_test_mae"] == pytest.approx(baseline, rel=1e-5)


def test_predictions_have_the_ids_splits_and_targets_of_the_rows(tuned, tiny):
    rows = tiny.of_split(*PARTS).table
    pd.testing.assert_index_equal(tuned.predictions.index, rows.index)
    assert (tuned.predictions["split"] == rows["split"]).all()
    np.testing.assert_allclose(tuned.predictions["true"], rows[TARGET], rtol=1e-6)


def test_the_kept_epoch_is_the_best_on_val(run):
    tuned = run(epochs=6, head_rate=0.03, encoder_rate=0.03)
    best = tuned.history["val_mae"].idxmin()
    assert tuned.metrics["best_epoch"] == best + 1
    assert tuned.metrics["val_mae"] == pytest.approx(tuned.history["val_mae"][best], rel=1e-5)
    assert len(tuned.history) == tuned.metrics["epochs"] == 6


def test_a_test_formula_pretraining_saw_is_counted_apart(run, tiny):
    formulas = tiny.of_split("test").table["formula"]
    nothing = finetune(tiny, "scratch", SHORT, show=False, pretraining_formulas=pd.Series([], dtype=str)).metrics
    assert nothing["n_test_formula_not_in_pretrain"] == 6
    assert nothing["test_mae_formula_not_in_pretrain"] == pytest.approx(nothing["test_mae"])
    everything = finetune(tiny, "scratch", SHORT, show=False, pretraining_formulas=formulas).metrics
    assert everything["n_test_formula_not_in_pretrain"] == 0
    assert everything["test_mae_formula_not_in_pretrain"] is None


def test_by_default_pretraining_saw_the_rows_of_its_split(run, tiny):
    test, seen = tiny.of_split("test").table["formula"], tiny.of_split("pretrain").table["formula"]
    assert run().metrics["n_test_formula_not_in_pretrain"] == (~test.isin(seen)).sum()


def test_a_pretrained_start_copies_the_encoder_and_draws_a_new_head(pretrained):
    model, source, origin = start_model(pretrained, SHORT, None)
    other, _, _ = start_model(pretrained, replace(SHORT, seed=1), None)
    for name, value in pretrained.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    assert source is pretrained
    assert (origin["init"], origin["label"]) == ("sup_barlow", "gap_class")
    assert not torch.equal(model.head[0].weight, other.head[0].weight)


def test_fine_tuning_leaves_the_pretrained_encoder_alone(run, pretrained):
    before = {k: v.clone() for k, v in pretrained.encoder.state_dict().items()}
    run(init=pretrained)
    assert all(torch.equal(v, before[k]) for k, v in pretrained.encoder.state_dict().items())


def test_the_head_is_the_same_in_every_arm_of_a_seed(pretrained, small):
    heads = [start_model(init, SHORT, small)[0].head for init in ("scratch", pretrained, random_encoder(small, 7))]
    assert all(torch.equal(heads[0][2].weight, head[2].weight) for head in heads)


@pytest.mark.parametrize(
    ("init", "named"), [("scratch", "scratch"), ("random", "random"), ("pretrained", "sup_barlow")]
)
def test_the_start_is_named_in_the_metrics(run, pretrained, small, init, named):
    start = {"scratch": "scratch", "random": random_encoder(small), "pretrained": pretrained}[init]
    assert run(init=start, epochs=1).metrics["init"] == named


def test_a_folder_is_as_good_as_the_model_in_it(run, pretrained, tmp_path):
    pretrained.save_pretrained(tmp_path / "model")
    for path in (tmp_path / "model", str(tmp_path / "model")):
        assert same_weights(run(init=path), run(init=pretrained))


def test_a_missing_start_is_an_error_and_never_training_from_scratch(run, tmp_path):
    with pytest.raises(CheckpointError, match="No saved model"):
        run(init=tmp_path / "nowhere")


def test_test_targets_never_influence_training(run, tiny, tuned):
    changed = run(with_targets(tiny, lambda v: 100 - 7 * v, "test"))
    assert same_weights(changed, tuned)
    assert changed.metrics["val_mae"] == tuned.metrics["val_mae"]
    assert changed.history["loss"].equals(tuned.history["loss"])
    assert changed.metrics["test_mae"] > 10 * tuned.metrics["test_mae"]


def test_train_targets_do_influence_training(run, tiny, tuned):
    assert not same_weights(run(with_targets(tiny, lambda v: v + 1, "train")), tuned)


def test_the_normaliser_is_fitted_on_training_rows_only(run, tiny):
    values = tiny.of_split("train").table[TARGET]
    for split in ("val", "test"):
        model = run(with_targets(tiny, lambda v: v + 50, split), epochs=1).model
        assert model.mean.item() == pytest.approx(values.mean(), rel=1e-5)
        assert model.std.item() == pytest.approx(values.std(), rel=1e-5)


def test_rows_of_pretraining_are_ignored(run, tiny, tuned):
    changed = with_targets(tiny, lambda v: v * np.nan, "pretrain")
    assert same_weights(run(changed), tuned)
    assert same_weights(run(tiny.of_split(*PARTS)), tuned)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(run, tuned):
    assert same_weights(run(), tuned) and not same_weights(run(seed=1), tuned)


def test_random_state_outside_is_left_alone(run):
    before = torch.get_rng_state()
    run()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_constant_target_is_learnt_without_dividing_by_zero(run, tiny):
    tuned = run(replace(tiny, table=tiny.table.assign(**{TARGET: 2.5})))
    assert np.isfinite(tuned.predictions["predicted"]).all()
    assert tuned.metrics["test_mae"] < 1e-3


@pytest.mark.parametrize("split", PARTS)
def test_an_empty_split_is_an_error(run, tiny, split):
    rest = tiny.select((tiny.table["split"] != split).to_numpy())
    with pytest.raises(InputError, match=f"no rows of split '{split}'"):
        run(rest, graphs=None)


@pytest.mark.parametrize("split", PARTS)
def test_a_missing_target_is_an_error(run, tiny, split):
    with pytest.raises(InputError, match=rf"\d+ of 24 crystals have no number in '{TARGET}'"):
        run(with_targets(tiny, lambda v: v * np.nan, split))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"target": "hardness"}, SettingsError, "Unknown target 'hardness'"),
        ({"batch_size": 1}, SettingsError, "batches of at least 2 crystals"),
        ({"epochs": 0}, SettingsError, "at least 1 epoch"),
        (
            {"head_rate": 1e30, "encoder_rate": 1e30, "epochs": 3},
            TrainingError,
            "in epoch [123] .*Fine-tuning diverged.*a tenth",
        ),
    ],
    ids=["target", "batch", "epochs", "rate"],
)
def test_a_wrong_setting_is_named(run, changes, error, words):
    with pytest.raises(error, match=words):
        run(**changes)


def test_a_single_epoch_that_diverges_is_our_error(run):
    with pytest.raises(TrainingError):
        run(epochs=1, batch_size=16, head_rate=1e30, encoder_rate=1e30)


@pytest.mark.parametrize(("target", "leaks"), [("band_gap", True), ("density", False)])
def test_a_label_that_is_a_function_of_the_target_is_noted(pretrained, target, leaks):
    origin = start_model(pretrained, replace(SHORT, target=target), None)[2]
    assert origin["label_is_function_of_target"] is leaks


def test_graphs_of_other_settings_are_refused(run, tiny):
    usable = tiny.of_split(*PARTS)
    with pytest.raises(CheckpointError, match="build the graphs with the encoder's settings"):
        run(graphs=build_graphs(usable, GraphSettings(max_neighbours=4), cache=False))


def test_graphs_of_other_crystals_are_built_anew(run, tiny_graphs, tuned):
    assert same_weights(run(graphs=tiny_graphs), tuned)


def test_a_saved_model_predicts_the_same(tuned, tiny, tmp_path):
    tuned.save_pretrained(tmp_path)
    again = load_finetuned(tmp_path)
    assert same_weights(again, tuned)
    assert (again.settings, again.encoder_settings) == (tuned.settings, tuned.encoder_settings)
    assert again.metrics == tuned.metrics
    pd.testing.assert_frame_equal(again.history, tuned.history)
    pd.testing.assert_frame_equal(again.predictions, tuned.predictions, atol=1e-5, check_dtype=False)
    pd.testing.assert_frame_equal(predict(tiny, again), predict(tiny, tuned), check_exact=True)


@pytest.mark.parametrize("odd", ["0012", "NA"])
def test_odd_ids_survive_in_saved_predictions(run, tiny, tmp_path, odd):
    first = tiny.of_split(*PARTS).table.index[0]
    run(replace(tiny, table=tiny.table.rename(index={first: odd})), graphs=None).save_pretrained(tmp_path)
    assert load_finetuned(tmp_path).predictions.index[0] == odd


def test_predictions_of_new_crystals_are_those_of_the_model(tuned, tiny):
    values = predict(tiny, tuned)
    pd.testing.assert_index_equal(values.index, tiny.table.index)
    assert list(values) == [TARGET]
    both = tuned.predictions.index
    np.testing.assert_allclose(values.loc[both, TARGET], tuned.predictions["predicted"], atol=1e-5)


def test_structures_from_elsewhere_are_predicted(tuned, named):
    values = predict(load([named["NaCl"], named["Cu"]]), tuned)
    assert list(values.index) == ["0", "1"] and np.isfinite(values[TARGET]).all()


def test_a_pretrained_model_is_not_taken_for_a_fine_tuned_one(pretrained, tmp_path):
    pretrained.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="holds a pretrained model"):
        load_finetuned(tmp_path)


def test_rates_apart_and_a_frozen_encoder_leave_the_encoder_as_it_was(run, pretrained):
    for train in ("head", "linear"):
        model = run(init=pretrained, train=train, epochs=3).model
        for name, value in pretrained.encoder.state_dict().items():
            assert torch.equal(model.encoder.state_dict()[name], value), name
        assert len(model.head) == (1 if train == "linear" else 3)
    head, encoder = (run(init=pretrained, **{f"{part}_rate": 1e-9}).model for part in ("head", "encoder"))
    start = start_model(pretrained, SHORT, None)[0]
    assert (head.head[0].weight - start.head[0].weight).abs().max() < 1e-6
    assert (encoder.encoder.conv_to_fc.weight - start.encoder.conv_to_fc.weight).abs().max() < 1e-6
    assert (head.encoder.conv_to_fc.weight - start.encoder.conv_to_fc.weight).abs().max() > 1e-5


def test_a_linear_probe_finds_what_least_squares_finds(lesson, small):
    settings = FinetuneSettings(epochs=3000, batch_size=200, head_rate=0.03, train="linear", weight_decay=0.0)
    random = random_encoder(small)
    tuned = finetune(lesson, random, settings, show=False)
    x = embed(lesson, random).to_numpy(np.float64)
    y = lesson.table[TARGET].to_numpy()
    train = (lesson.table["split"] == "train").to_numpy()
    design = np.column_stack([x, np.ones(len(x))])
    best = np.linalg.lstsq(design[train], y[train], rcond=None)[0]
    least = ((design[train] @ best - y[train]) ** 2).mean()
    error = tuned.predictions["predicted"] - tuned.predictions["true"]
    history = tuned.history["loss"].iloc[-1] * float(tuned.model.std) ** 2
    assert least <= history < 1.5 * least and np.isfinite(error).all()


def test_a_probe_saved_and_loaded_predicts_the_same(run, pretrained, tiny, tmp_path):
    tuned = run(init=pretrained, train="linear")
    tuned.save_pretrained(tmp_path)
    pd.testing.assert_frame_equal(predict(tiny, Finetuned.from_pretrained(tmp_path)), predict(tiny, tuned))


def test_the_mean_of_the_best_epochs_is_the_mean_of_their_weights(run):
    options = {"head_rate": 0.01, "encoder_rate": 0.01}
    single = run(epochs=4, **options)
    mean = run(epochs=4, average=2, **options)
    best = mean.metrics["averaged_epochs"]
    scores = single.history["val_mae"].to_numpy()
    assert best == [int(i) + 1 for i in np.argsort(scores, kind="stable")[:2]]
    assert mean.metrics["best_epoch"] == best[0] == single.metrics["best_epoch"]
    weights = [state_after(run, epoch, options) for epoch in best]
    for name, value in mean.model.state_dict().items():
        wanted = (weights[0][name] + weights[1][name]) / 2 if value.is_floating_point() else weights[0][name]
        torch.testing.assert_close(value, wanted)


def state_after(run, epoch, options):
    """Weights after so many epochs of a run of four."""
    kept = {}

    def copy(row):
        if row["epoch"] == epoch:
            kept.update({name: value.clone() for name, value in task[0].model.state_dict().items()})

    task = []
    prepare = module.prepare
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "prepare", lambda *a: task.append(prepare(*a)) or task[0])
        run(epochs=4, callbacks=[copy], **options)
    return kept


BOTH = ("density", "band_gap")


def test_several_targets_are_learnt_at_once_and_measured_each(run, tiny):
    tuned = run(target=BOTH)
    assert set(tuned.metrics["targets"]) == set(BOTH) and "test_mae" not in tuned.metrics
    values = predict(tiny, tuned)
    assert list(values) == list(BOTH)
    for target in BOTH:
        own, errors = tuned.of_target(target), tuned.metrics["targets"][target]
        np.testing.assert_allclose(own["true"], tiny.of_split(*PARTS).table[target], rtol=1e-6)
        assert errors["test_mae"] == pytest.approx(
            (own["predicted"] - own["true"]).abs()[own["split"] == "test"].mean()
        )
        assert errors["target"] == target
    scaled = [
        tuned.history[f"val_mae.{target}"] / float(std) for target, std in zip(BOTH, tuned.model.std, strict=True)
    ]
    np.testing.assert_allclose(tuned.history["val_mae"], sum(scaled) / 2, rtol=1e-5)


def test_a_masked_target_teaches_where_it_is_known_and_nowhere_else(run, tiny):
    rows = tiny.table["split"].isin(("train", "val")) & (np.arange(60) % 2 == 0)
    holed = replace(tiny, table=tiny.table.assign(band_gap=tiny.table["band_gap"].mask(rows)))
    junk = replace(tiny, table=tiny.table.assign(band_gap=tiny.table["band_gap"].mask(rows, np.inf)))
    with pytest.raises(InputError, match="--mask-missing"):
        run(holed, target=BOTH)
    tuned = run(holed, target=BOTH, missing="mask")
    assert same_weights(tuned, run(junk, target=BOTH, missing="mask"))
    known = holed.table["band_gap"].notna()
    assert tuned.metrics["targets"]["band_gap"]["n_train"] == (known & (tiny.table["split"] == "train")).sum() < 12
    assert tuned.metrics["targets"]["density"]["n_train"] == 12
    mean = holed.of_split("train").table["band_gap"].mean()
    assert float(tuned.model.mean[1]) == pytest.approx(mean, rel=1e-5)


def test_a_target_known_for_too_few_is_an_error(run, tiny):
    empty = replace(tiny, table=tiny.table.assign(band_gap=np.nan))
    with pytest.raises(InputError, match="'band_gap' is known for 0 training and 0 validation"):
        run(empty, target=BOTH, missing="mask")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": ()}, "at least one target"),
        ({"target": ("density", "density")}, "each once"),
        ({"average": 0}, "at least 1"),
        ({"keep": -1}, "keep counts blocks, at least 0"),
        ({"layer_decay": 0.0}, "layer_decay is above 0"),
        ({"layer_decay": 1.1}, "at most 1"),
        ({"layer_decay": float("nan")}, "at most 1"),
        ({"train": "tail"}, "Unknown train 'tail'. Known: all, head, linear"),
        ({"missing": "guess"}, "Unknown missing"),
        ({"clip": 0.0}, "clip is positive"),
    ],
)
def test_settings_that_mean_nothing_are_refused(changes, words):
    with pytest.raises(SettingsError, match=words):
        replace(SHORT, **changes)


def test_any_numeric_column_can_be_a_target(run, tiny):
    metrics = run(replace(tiny, table=tiny.table.assign(hardness=np.arange(60.0))), target="hardness").metrics
    assert (metrics["target"], metrics["unit"]) == ("hardness", "")


@pytest.mark.parametrize(("epochs", "more"), [(1, {}), (3, {}), (2, {"keep": 1, "layer_decay": 0.5})])
def test_a_stopped_and_resumed_run_has_the_same_bits(run, tmp_path, epochs, more):
    options = {"epochs": 4, "average": 2, "head_rate": 0.01, "encoder_rate": 0.01} | more
    whole = run(**options)
    part = run(**options, stop_after=epochs, folder=tmp_path)
    assert len(part.history) == epochs == part.metrics["epochs"]
    again = run(**options, folder=tmp_path, resume=True)
    assert same_weights(again, whole)
    assert again.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
    with pytest.raises(CheckpointError, match="average: 2, now 1"):
        run(**options | {"average": 1}, folder=tmp_path, resume=True)


def test_another_start_does_not_go_on(run, pretrained, tmp_path):
    run(init=pretrained, folder=tmp_path)
    with pytest.raises(CheckpointError, match="start: "):
        run(init="scratch", folder=tmp_path, resume=True)


def test_fine_tuning_runs_in_the_background(tiny, graphs, small):
    job = Background(finetune, tiny, "scratch", replace(SHORT, epochs=100_000), small, graphs)
    while not job.rows:
        time.sleep(0.01)
    job.stop()
    assert len(job.result(timeout=60).history) == len(job.rows)


def test_an_interrupt_before_the_first_epoch_leaves_nothing_to_use(run):
    with pytest.raises(TrainingError, match="No epoch was finished"):
        run(stop_after=0)


def test_what_pretraining_saw_is_read_from_the_model(run, pretrained, tiny):
    test, seen = tiny.of_split("test").table["formula"], tiny.table["formula"]
    assert test.isin(seen).all()  # this one was pretrained on all splits
    assert run(init=pretrained).metrics["n_test_formula_not_in_pretrain"] == 0
    assert pretrained.has_seen(pd.Series(["NaCl", seen.iloc[0], "never"])).to_list() == [
        ("NaCl" in set(seen)),
        True,
        False,
    ]


def test_the_random_encoder_trains_only_its_head(tiny, graphs, small):
    frozen = replace(small, name="random")
    start = random_encoder(frozen, seed=0)
    tuned = finetune(tiny, "scratch", replace(SHORT, epochs=3), frozen, graphs, show=False)
    for name, value in start.encoder.state_dict().items():
        assert torch.equal(tuned.model.encoder.state_dict()[name], value), name


def test_half_precision_on_request(run):
    tuned, plain = run(precision="bfloat16"), run()
    assert not same_weights(tuned, plain)
    assert tuned.metrics["val_mae"] == pytest.approx(plain.metrics["val_mae"], rel=0.1)


# What is kept of a pretrained encoder, and rates that fall layer by layer


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("keep", [0, 1, 2])
def test_so_many_blocks_are_taken_and_the_rest_is_drawn_by_the_seed(small, encoder, keep):
    sizes = replace(small, name=encoder)
    pretrained = random_encoder(sizes, seed=7)
    model, fresh = (start_model(init, replace(SHORT, keep=keep), sizes)[0] for init in (pretrained, "scratch"))
    taken = ("embedding.", *(f"convs.{number}." for number in range(keep)))
    source, drawn = pretrained.encoder.state_dict(), fresh.encoder.state_dict()
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, source[name] if name.startswith(taken) else drawn[name]), name
    differ = {name for name, value in model.encoder.state_dict().items() if not torch.equal(value, source[name])}
    assert "conv_to_fc.weight" in differ and not any(name.startswith(taken) for name in differ)
    assert all(any(name.startswith(f"convs.{number}.") for name in differ) for number in range(keep, 2))


def test_from_scratch_nothing_is_taken_whatever_is_kept(run, tuned):
    assert same_weights(run(keep=1), tuned)


def test_keeping_less_is_another_run_that_learns_saves_and_loads(run, pretrained, tmp_path):
    kept, whole = run(init=pretrained, keep=1), run(init=pretrained)
    assert not same_weights(kept, whole) and kept.metrics["init"] == "sup_barlow"
    kept.save_pretrained(tmp_path)
    assert load_finetuned(tmp_path).settings == kept.settings and same_weights(load_finetuned(tmp_path), kept)


@pytest.mark.parametrize("init", ["scratch", "pretrained"])
def test_more_blocks_than_the_encoder_has_are_refused(run, pretrained, init):
    with pytest.raises(SettingsError, match="keep is 3, but the encoder has 2 blocks"):
        run(init=pretrained if init == "pretrained" else init, keep=3)


@pytest.mark.parametrize("encoder", ["cgcnn", "transformer"])
def test_a_strong_decay_trains_head_and_read_out_alone(tiny, graphs, small, encoder):
    start = random_encoder(replace(small, name=encoder))
    settings = replace(SHORT, layer_decay=1e-6, encoder_rate=0.01)
    tuned = finetune(tiny, start, settings, graphs=graphs, show=False)
    moved = {
        name.partition(".")[0]: float((value - dict(start.encoder.named_parameters())[name]).detach().abs().max())
        for name, value in tuned.model.encoder.named_parameters()
        if name.endswith("weight")
    }
    assert moved.pop("conv_to_fc") > 1e-3
    moved.pop("norm", None)  # stands behind the blocks
    assert set(moved) == {"embedding", "convs"} and max(moved.values()) < 1e-6


def test_without_a_decay_head_and_encoder_are_the_two_groups_that_they_were(tiny, graphs, small):
    settings = replace(SHORT, head_rate=0.02, encoder_rate=0.01)
    task = module.prepare(tiny, "scratch", settings, small, graphs, torch.device("cpu"), PARTS)
    head, encoder = task.groups()
    assert (head["full_rate"], encoder["full_rate"]) == (0.02, 0.01)
    for group, part in ((head, task.model.head), (encoder, task.model.encoder)):
        assert [id(weights) for weights in group["params"]] == [id(weights) for weights in part.parameters()]


def test_rates_that_fall_are_another_run(run, tuned):
    assert same_weights(run(layer_decay=1.0), tuned) and not same_weights(run(layer_decay=0.5), tuned)


def test_a_saved_state_names_later_settings_only_where_they_change_something(run, pretrained, tmp_path):
    run(init=pretrained, folder=tmp_path, stop_after=1)
    saved = checkpoints.load(tmp_path / RESUME)[0]["identity"]["finetune"]
    assert saved["average"] == 1 and not {"keep", "layer_decay"} & set(saved)  # as before there were any
    for later, words in (({"keep": 2}, "keep: None, now 2"), ({"layer_decay": 0.5}, "layer_decay: None, now 0.5")):
        with pytest.raises(CheckpointError, match=words):
            run(init=pretrained, folder=tmp_path, resume=True, **later)


def test_the_projector_has_no_part_in_fine_tuning(run, small):
    narrow, wide = (run(init=random_encoder(replace(small, projection=width))) for width in (4, 64))
    assert same_weights(narrow, wide)


@pytest.mark.parametrize("loss", ["sup_barlow+classes", "sup_simclr+classes"])
def test_an_encoder_that_also_learnt_the_classes_is_a_start(run, tiny, tiny_graphs, small, tmp_path, loss):
    settings = PretrainSettings(loss=loss, label="is_metal", epochs=1, batch_size=16)
    pretrain(tiny, settings, small, tiny_graphs, show=False).save_pretrained(tmp_path)
    metrics = run(init=tmp_path, keep=1, layer_decay=0.5).metrics
    assert (metrics["init"], metrics["label"]) == (loss, "is_metal") and np.isfinite(metrics["test_mae"])
