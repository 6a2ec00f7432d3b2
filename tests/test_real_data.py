"""The pipeline on real Materials Project crystals, when they are there."""

import json

import numpy as np

from spmat_nb.cli import main


def test_the_commands_beat_the_median_by_far(real_data, tmp_path):
    data = ["--data", str(real_data / "mp33k.parquet"), "--max-sites", "8", "--quiet", "--seed", "0"]
    start, tuned = tmp_path / "start", tmp_path / "tuned"
    chosen = ["--loss", "sup_barlow", "--label", "gap_class", "--preset", "fast", "--epochs", "1"]
    assert main(["pretrain", *data, *chosen, "--out", str(start)]) == 0
    target = ["--target", "formation_energy_per_atom", "--init", str(start), "--preset", "full", "--epochs", "4"]
    assert main(["finetune", *data, *target, "--out", str(tuned)]) == 0
    metrics = json.loads((tuned / "metrics.json").read_text())
    assert metrics["n_test"] > 500
    assert metrics["test_mae"] < 0.5 * metrics["median_test_mae"]
    assert np.isfinite(metrics["test_mae_formula_not_in_pretrain"])
