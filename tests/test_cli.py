import json
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from spmat_nb.checkpoints import OWN_SUM
from spmat_nb.cli import main
from spmat_nb.errors import InputError
from spmat_nb.settings import AugmentSettings

FAST = ["--epochs", "1", "--batch-size", "16", "--quiet"]


@pytest.fixture(scope="module")
def data(tiny, write_parquet, tmp_path_factory):
    return write_parquet(tiny, tmp_path_factory.mktemp("data") / "tiny.parquet")


@pytest.fixture
def command(capsys):
    """Run a command; its exit status, its printed JSON if any, and the lines on stderr."""

    def run(*words):
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else None, err.splitlines()

    return run


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "pretrained"
    assert main(["pretrain", "--data", str(data), "--out", str(folder), *FAST]) == 0
    return folder


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tuned"
    assert main(["finetune", "--data", str(data), "--out", str(folder), *FAST]) == 0
    return folder


@pytest.fixture
def cifs(named, tmp_path):
    folder = tmp_path / "cifs"
    folder.mkdir()
    for name in ("NaCl", "Cu"):
        named[name].to(filename=str(folder / f"{name}.cif"))
    return folder


def test_graphs_counts_what_it_built(command, data, tiny_graphs, tmp_path):
    status, result, errors = command("graphs", "--data", data, "--out", tmp_path / "g")
    assert (status, errors) == (0, [])
    assert (result["crystals"], result["atoms"], result["edges"]) == (60, len(tiny_graphs.z), len(tiny_graphs.distance))
    assert json.loads((tmp_path / "g" / "graphs.json").read_text()) == result


def test_pretrain_uses_the_rows_of_its_split_and_leaves_a_model(command, data, tmp_path):
    words = [
        "--loss",
        "sup_simclr",
        "--label",
        "is_metal",
        "--temperature",
        "0.3",
        "--delta",
        "0.2",
        "--mask-atoms",
        "0",
    ]
    status, result, errors = command("pretrain", "--data", data, "--out", tmp_path / "m", *words, *FAST)
    assert (status, errors) == (0, [])
    assert (result["crystals"], result["loss"], result["label"]) == (36, "sup_simclr", "is_metal")
    settings = json.loads((tmp_path / "m" / "config.json").read_text())["pretrain"]
    assert (settings["temperature"], settings["epochs"], settings["batch_size"]) == (0.3, 1, 16)
    assert settings["augment"] == vars(AugmentSettings(mask_atoms=0.0, mask_edges=0.1, delta=0.2))


def test_an_unsupervised_run_has_no_label(command, data, tmp_path):
    assert command("pretrain", "--data", data, "--out", tmp_path, "--loss", "barlow", *FAST)[1]["label"] is None


def test_a_preset_sets_the_epochs(command, data, tmp_path):
    words = ("pretrain", "--data", data, "--out", tmp_path, "--preset", "fast", "--quiet")
    assert command(*words)[1]["last_epoch"]["epoch"] == 2


def test_progress_is_a_line_an_epoch_unless_quiet(command, data, tmp_path):
    _, _, lines = command("pretrain", "--data", data, "--out", tmp_path, "--epochs", "2")
    assert [line.split("  ")[0] for line in lines] == [f"pretrain sup_barlow: epoch {i}/2" for i in (1, 2)]


@pytest.mark.parametrize("start", ["pretrained", "random"])
def test_embed_writes_a_table_by_id(command, data, model, tiny, tmp_path, start):
    words = ["--model", model if start == "pretrained" else "random", "--out", tmp_path / "e.parquet"]
    status, result, errors = command("embed", "--data", data, *words)
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert (status, errors, result["crystals"], result["dimensions"]) == (0, [], 60, 128)
    assert list(table.index) == list(tiny.table.index) and np.isfinite(table.to_numpy()).all()


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_finetune_writes_metrics_predictions_and_a_model(command, data, model, tmp_path, start):
    init = ["--init", model] if start == "pretrained" else []
    words = ["--target", "band_gap", "--seed", "3", *init, *FAST]
    status, result, _ = command("finetune", "--data", data, "--out", tmp_path, *words)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert status == 0 and metrics == result
    wanted = {"target": "band_gap", "unit": "eV", "n_train": 12, "n_val": 6, "n_test": 6, "seed": 3}
    assert wanted.items() <= metrics.items()
    assert metrics["init"] == ("sup_barlow" if start == "pretrained" else "scratch")
    assert np.isfinite([metrics["val_mae"], metrics["test_mae"]]).all()
    predictions = pd.read_csv(tmp_path / "predictions.csv", index_col="material_id")
    test = predictions[predictions["split"] == "test"]
    assert metrics["test_mae"] == pytest.approx((test["predicted"] - test["true"]).abs().mean(), rel=1e-5)


def test_finetune_notes_a_label_that_is_a_function_of_the_target(command, data, model, tmp_path):
    words = ["finetune", "--data", data, "--out", tmp_path, "--init", model, *FAST]
    assert command(*words, "--target", "band_gap")[2] == ["note: the label 'gap_class' is a function of 'band_gap'"]
    assert command(*words, "--target", "density")[2] == []


def test_predict_writes_a_value_for_each_structure_file(command, tuned, cifs, named, tmp_path):
    named["Si"].to(filename=str(tmp_path / "POSCAR_si"), fmt="poscar")
    words = ["--model", tuned, "--out", tmp_path / "p.csv", cifs, tmp_path / "POSCAR_si"]
    status, result, errors = command("predict", *words)
    values = pd.read_csv(tmp_path / "p.csv", index_col="material_id")["formation_energy_per_atom (eV/atom)"]
    assert (status, errors, result["structures"], result["unit"]) == (0, [], 3, "eV/atom")
    assert set(values.index) == {"NaCl", "Cu", "POSCAR_si"} and np.isfinite(values).all()


def test_a_refused_file_is_said_and_written_beside_the_results(command, tuned, cifs, tmp_path):
    (cifs / "broken.cif").write_text("hello")
    status, result, errors = command("predict", "--model", tuned, "--out", tmp_path / "out" / "p.csv", cifs)
    assert (status, result["structures"]) == (0, 2)
    assert len(errors) == 1 and errors[0].startswith("refused broken.cif") and "cannot be read" in errors[0]
    assert pd.read_csv(tmp_path / "out" / "refused.csv")["source"].to_list() == ["broken.cif"]


def test_a_folder_with_targets_is_trained_on(command, named, tmp_path):
    for number in range(12):
        cell = named[list(named)[number % 10]].copy()
        cell.apply_strain(0.001 * number)
        cell.to(filename=str(tmp_path / f"{number:04}.cif"))
    splits = ["train", "train", "val", "test"] * 3
    table = pd.DataFrame({"material_id": [f"{n:04}" for n in range(12)], "density": np.arange(12.0), "split": splits})
    table.to_csv(tmp_path / "mine.csv", index=False)
    words = ["--data", tmp_path, "--targets", tmp_path / "mine.csv", "--target", "density", "--out", tmp_path / "out"]
    status, metrics, _ = command("finetune", *words, *FAST)
    assert (status, metrics["n_train"], metrics["n_val"], metrics["n_test"]) == (0, 6, 3, 3)


def test_missing_targets_are_left_out_when_asked(command, tiny, write_parquet, tmp_path):
    gaps = tiny.table["band_gap"].astype(float)
    holed = write_parquet(tiny, tmp_path / "x.parquet", band_gap=gaps.mask(tiny.table["split"] == "test", np.nan))
    one = tiny.of_split("test").table.index[0]
    gaps = gaps.mask(tiny.table.index == one, np.nan)
    some = write_parquet(tiny, tmp_path / "y.parquet", band_gap=gaps)
    words = ["finetune", "--target", "band_gap", "--drop-missing", "--out", tmp_path, *FAST]
    _, metrics, said = command(*words, "--data", some)
    assert metrics["n_test"] == 5 and any("1 of 24 crystals have no 'band_gap'" in line for line in said)
    masked = ["finetune", "--target", "band_gap", "density", "--mask-missing", "--data", some, "--out", tmp_path, *FAST]
    assert any("1 of 24 crystals have no 'band_gap'" in line for line in command(*masked)[2])
    status, _, errors = command(*words, "--data", holed)
    assert status == 2 and "no rows of split 'test'" in errors[-1]


def tuning_without(column):
    def words(data, tiny, tmp_path, write_parquet):
        rest = type(tiny)(tiny.table.drop(columns=column), tiny.cells, tiny.report, tiny.name)
        return ["finetune", "--target", column, "--data", write_parquet(rest, tmp_path / "x.parquet")]

    return words


def tuning_with_nan(data, tiny, tmp_path, write_parquet):
    values = tiny.table["band_gap"].astype(float)
    values = values.mask(tiny.table.index == tiny.of_split("val").table.index[0])
    return ["finetune", "--target", "band_gap", "--data", write_parquet(tiny, tmp_path / "x.parquet", band_gap=values)]


def empty_folder(data, tiny, tmp_path, write_parquet):
    (tmp_path / "empty").mkdir()
    return ["graphs", "--data", tmp_path / "empty"]


def with_data(*words):
    return lambda data, *_: [words[0], "--data", data, *words[1:]]


def out_is_a_file(data, tiny, tmp_path, write_parquet):
    (tmp_path / "out").write_text("mine")
    return ["graphs", "--data", data]


MISTAKES = {
    "missing file": (lambda *_: ["graphs", "--data", "gone.parquet"], r"'gone.parquet'"),
    "empty folder": (empty_folder, "no structure files"),
    "unknown label": (with_data("pretrain", "--label", "colour"), "Unknown label 'colour'. Known: gap_class"),
    "unknown loss": (with_data("pretrain", "--loss", "vicreg"), "Unknown loss 'vicreg'. Known: sup_barlow"),
    "unknown preset": (with_data("pretrain", "--preset", "quick"), "Unknown preset 'quick'. Known: fast"),
    "unknown target": (with_data("finetune", "--target", "hardness"), "Unknown target 'hardness'"),
    "unknown device": (with_data("pretrain", "--device", "abacus"), "Device 'abacus'"),
    "absent target": (tuning_without("band_gap"), "no column 'band_gap'"),
    "NaN target": (tuning_with_nan, "1 of 24 crystals have no number in 'band_gap'.*--drop-missing"),
    "missing start": (with_data("finetune", "--init", "gone"), "No saved model in 'gone'"),
    "missing encoder": (with_data("embed", "--model", "gone"), "No saved model in 'gone'"),
    "missing model": (lambda *_: ["predict", "--model", "gone", "x.cif"], "No saved model in 'gone'"),
    "no epochs": (with_data("pretrain", "--epochs", "0"), "at least 1 epoch"),
    "too much noise": (with_data("pretrain", "--mask-atoms", "1.5"), "mask_atoms"),
    "unused preset": (with_data("embed", "--model", "random", "--preset", "quick"), "Unknown preset 'quick'"),
    "file in the way": (out_is_a_file, "out"),
}


@pytest.mark.parametrize(("words", "message"), [pytest.param(*case, id=name) for name, case in MISTAKES.items()])
def test_a_mistake_is_status_two_and_one_line(command, data, tiny, tmp_path, write_parquet, words, message):
    arguments = words(data, tiny, tmp_path, write_parquet)
    status, result, errors = command(*arguments, "--out", tmp_path / "out")
    assert (status, result) == (2, None)
    (line,) = errors
    assert re.match(f"error: .*{message}", line), line


def test_weights_that_do_not_fit_are_one_line_too(command, data, model, tmp_path):
    text = (model / "config.json").read_text().replace('"hidden": 128', '"hidden": 64').replace(OWN_SUM, "edited")
    for path in (path for path in model.iterdir() if path.is_file()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(text)
    status, _, errors = command("embed", "--data", data, "--model", tmp_path, "--out", tmp_path / "e.parquet")
    assert status == 2 and len(errors) == 1


def test_an_option_that_does_not_exist_is_status_two(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["graphs", "--colour", "red"])
    assert stop.value.code == 2 and "--colour" in capsys.readouterr().err


def test_an_interrupt_is_status_130(command, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("spmat_nb.crystals.load", interrupt)
    assert command("graphs")[::2] == (130, ["interrupted"])


def test_an_error_of_ours_anywhere_is_one_line(command, monkeypatch):
    def fail(*_, **__):
        raise InputError("the reason")

    monkeypatch.setattr("spmat_nb.crystals.load", fail)
    assert command("graphs") == (2, None, ["error: the reason"])


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "spmat_nb", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert all(name in done.stdout for name in ("graphs", "pretrain", "embed", "finetune", "predict"))


def test_every_setting_of_a_run_can_be_given(command, data, tmp_path):
    words = ["--encoder", "random", "--sampler", "paired", "--schedule", "constant", "--precision", "float32"]
    words += ["--warmup", "0.5", "--clip", "2", "--symmetric", "--balance", "0.5", "--tensorboard"]
    assert command("pretrain", "--data", data, "--out", tmp_path, *words, *FAST)[0] == 0
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["encoder"]["name"] == "random" and config["pretrain"]["augment"]["symmetric"] is True
    wanted = {"sampler": "paired", "schedule": "constant", "precision": "float32", "warmup": 0.5, "clip": 2.0}
    assert wanted.items() <= config["pretrain"].items()
    assert list((tmp_path / "tensorboard").iterdir())


def test_several_targets_are_tuned_and_predicted_together(command, data, cifs, tmp_path):
    words = ["--target", "density", "band_gap", "--train", "linear", "--average", "2", "--mask-missing"]
    _, metrics, _ = command("finetune", "--data", data, "--out", tmp_path / "m", *words, *FAST)
    assert set(metrics["targets"]) == {"density", "band_gap"} and metrics["train"] == "linear"
    status, result, _ = command("predict", "--model", tmp_path / "m", "--out", tmp_path / "p.csv", cifs)
    values = pd.read_csv(tmp_path / "p.csv", index_col="material_id")
    assert status == 0 and result["target"] == "density, band_gap"
    assert list(values) == ["density (g/cm³)", "band_gap (eV)"] and np.isfinite(values.to_numpy()).all()


def test_a_part_of_an_encoder_is_kept_and_its_rates_fall(command, data, model, tmp_path):
    words = ["finetune", "--data", data, "--init", model, "--out", tmp_path, "--layer-decay", "0.5", *FAST]
    assert command(*words, "--keep", "1")[0] == 0
    settings = json.loads((tmp_path / "config.json").read_text())["finetune"]
    assert (settings["keep"], settings["layer_decay"]) == (1, 0.5)
    status, _, errors = command(*words, "--keep", "9")
    assert status == 2 and "keep is 9, but the encoder has 3 blocks" in errors[0]


@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
def test_a_terminated_run_says_how_to_go_on_and_goes_on(command, data, tmp_path, kind):
    words = [kind, "--data", str(data), "--batch-size", "16", "--device", "cpu"]
    enough, out = ["--epochs", "40"], ["--out", str(tmp_path)]
    process = [sys.executable, "-m", "spmat_nb", *words, *enough, *out]
    with subprocess.Popen(process, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        while "epoch 2/" not in run.stderr.readline():
            pass
        run.send_signal(signal.SIGTERM)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    done = int(re.search(r"interrupted: (\d+) of 40 epochs are done.*--resume goes on", errors)[1])
    status, result, lines = command(*words, *enough, *out, "--resume")
    assert status == 0, lines
    assert f"epoch {done + 1}/40" in lines[0]
    assert (result["last_epoch"]["epoch"] if kind == "pretrain" else result["epochs"]) == 40


def test_resuming_with_other_settings_is_one_sentence(command, data, tmp_path):
    words = ["pretrain", "--data", data, "--out", tmp_path, *FAST]
    command(*words)
    status, _, errors = command(*words, "--resume", "--seed", "1")
    assert status == 2 and len(errors) == 1 and "has other settings or data (pretrain.seed: 0, now 1)" in errors[0]


def test_several_seeds_are_tuned_saved_and_predict_with_error_bars(command, data, cifs, tmp_path):
    words = ["finetune", "--data", data, "--target", "density", "--members", "2", *FAST]
    status, result, _ = command(*words, "--out", tmp_path / "m")
    assert status == 0 and result["test"][0]["target"] == "density" and result["members"] == 2
    assert json.loads((tmp_path / "m" / "metrics.json").read_text()) == result
    command("predict", "--model", tmp_path / "m", "--out", tmp_path / "p.csv", cifs)
    values = pd.read_csv(tmp_path / "p.csv", index_col="material_id")
    assert list(values) == ["density (g/cm³)", "density.std (g/cm³)"] and (values.to_numpy() != 0).all()
    assert command(*words, "--resume")[0] == 2


def test_folds_are_tuned_and_every_crystal_is_predicted_once(command, data, tmp_path):
    words = ["finetune", "--data", data, "--target", "density", "--folds", "3", "--out", tmp_path, *FAST]
    status, result, _ = command(*words)
    assert status == 0 and [row["fold"] for row in result["folds"]] == [0, 1, 2]
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 24


def test_an_interrupt_before_the_first_epoch_saves_nothing(command, data, tmp_path, monkeypatch):
    from spmat_nb import pretrain

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrain, "train_epoch", interrupted)
    status, _, errors = command("pretrain", "--data", data, "--out", tmp_path / "m", *FAST)
    assert (status, errors) == (130, ["interrupted: no epoch was finished, and nothing is saved"])
    assert not (tmp_path / "m" / "config.json").exists()
