import json
from pathlib import Path

import pytest
import yaml

from spmat_nb.checkpoints import from_dict
from spmat_nb.errors import SettingsError
from spmat_nb.settings import PRESETS, EncoderSettings, FinetuneSettings, PretrainSettings
from spmat_nb.study.declared import make_study, read_study

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "studies").glob("*.yml"))
PACKED = sorted((ROOT / "data" / "results" / "study").glob("*.jsonl"))
SMALL = {
    "name": "small",
    "question": "Does it run?",
    "data": "teaching",
    "targets": ["density", "band_gap"],
    "seeds": 2,
    "settings": {"epochs": 3, "finetune.epochs": 4, "delta": 0.25},
    "arms": [
        {"name": "from scratch", "start": "scratch"},
        {"name": "{loss}, {label}", "loss": ["sup_barlow", "simclr"], "label": ["gap_class", "is_metal"]},
        {"name": "wide {encoder_hidden}", "encoder.hidden": [64, 256], "finetune.train": "head", "labelled": 10},
    ],
}


def small(**values):
    return make_study({**SMALL, **values})


def test_lists_make_arms_and_names_say_which():
    names = [arm.name for arm in small().arms]
    assert names == [
        "from scratch",
        "sup_barlow, gap_class",
        "sup_barlow, is_metal",
        "simclr, gap_class",
        "simclr, is_metal",
        "wide 64",
        "wide 256",
    ]


def test_settings_reach_their_place():
    arm = small().arm("wide 256")
    assert (arm.pretrain.epochs, arm.finetune.epochs, arm.pretrain.augment.delta) == (3, 4, 0.25)
    assert (arm.encoder.hidden, arm.finetune.train, arm.labelled, arm.pretrains) == (256, "head", 10, True)
    assert not small().arm("from scratch").pretrains


def test_a_study_that_confirms_another_begins_with_other_seeds():
    cells = small(first_seed=2).cells()
    assert {cell.seed for cell in cells} == {2, 3}
    assert not {cell.key for cell in cells} & {cell.key for cell in small().cells()}
    assert {cell.key for cell in small(seeds=4).cells()} > {cell.key for cell in cells}


def test_contrasts_are_pairs_of_arms():
    study = small(
        contrasts=[{"arm": "sup_barlow, {label}", "against": "simclr, {label}", "label": ["gap_class", "is_metal"]}]
    )
    assert study.contrasts == (
        ("sup_barlow, gap_class", "simclr, gap_class"),
        ("sup_barlow, is_metal", "simclr, is_metal"),
    )
    assert [cell.key for cell in study.cells()] == [cell.key for cell in small().cells()]


def test_cells_are_a_grid_and_seeds_come_last():
    cells = small().cells()
    assert len(cells) == 7 * 2 * 2 and [cell.seed for cell in cells] == [0] * 14 + [1] * 14
    assert len({cell.title for cell in cells}) == len(cells)
    assert len({cell.key for cell in cells}) == len(cells) - 4  # simclr does not look at its two labels
    folded = small(folds={"count": 3}).cells()
    assert len(folded) == 3 * len(cells) and folded[1].title.endswith("fold 1")


def test_targets_share_an_encoder_and_arms_with_equal_pretraining_too():
    study = small(arms=[{"name": "a {labelled}", "labelled": [10, 20]}, {"name": "b", "start": "scratch"}])
    units = study.units()
    assert [len(unit.cells) for unit in units] == [4, 2, 4, 2]  # both sizes and targets of a seed; scratch; next seed


def test_an_unsupervised_loss_has_no_label_in_its_key():
    one, two = (small(arms=[{"name": "a", "loss": "simclr", "label": label}]) for label in ("gap_class", "is_metal"))
    assert one.cells()[0].key == two.cells()[0].key
    assert one.cells()[0].pretrain_settings().label is None


@pytest.mark.parametrize(
    "change", [{"settings": {"epochs": 5}}, {"max_sites": 6}, {"settings": {"finetune.epochs": 9}}, {"judge": "val"}]
)
def test_other_settings_are_other_cells(change):
    assert small(**change).cells()[-1].key != small().cells()[-1].key


def test_later_settings_are_other_cells_only_where_they_change_something():
    arms = [{"name": "keep {finetune_keep}", "finetune.keep": [None, 0, 1]}, {"name": "a", "finetune.layer_decay": 0.5}]
    plain, none, some, falling = (cell.key for cell in small(arms=arms, targets=["density"], seeds=1).cells())
    (before,) = small(arms=[{"name": "a"}], targets=["density"], seeds=1).cells()
    (same,) = small(arms=[{"name": "a", "finetune.layer_decay": 1}], targets=["density"], seeds=1).cells()
    assert before.key == plain == same.key
    assert len({plain, none, some, falling}) == 4
    assert len(small(arms=arms, targets=["density"], seeds=1).units()) == 1  # all of one encoder


@pytest.mark.parametrize("path", PACKED, ids=[path.stem for path in PACKED])
def test_records_that_come_along_are_those_of_their_study(path):
    cells = {cell.key: cell for cell in read_study(ROOT / "studies" / f"{path.stem}.yml").cells()}
    records = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert records and [one["key"] for one in records if one["key"] not in cells] == []
    for one in records:
        cell, settings = cells[one["key"]], one["settings"]
        assert one["encoder_key"] == cell.encoder_key
        assert from_dict(FinetuneSettings, settings["finetune"]) == cell.finetune_settings()
        assert from_dict(EncoderSettings, settings["encoder"]) == cell.arm.encoder
        assert not cell.arm.pretrains or from_dict(PretrainSettings, settings["pretrain"]) == cell.pretrain_settings()


def test_there_are_records_that_come_along():
    assert {"mp33k", "teaching"} <= {path.stem for path in PACKED}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arms": [{"name": "a"}, {"name": "a"}]}, "two arms called 'a'"),
        ({"arms": [{"loss": "simclr"}]}, "has no name"),
        ({"arms": [{"name": "{nonsense}"}]}, "cannot be filled in"),
        ({"arms": [{"name": "a", "lss": "simclr"}]}, "unknown setting 'lss'"),
        ({"arms": [{"name": "a", "epochs": "many"}]}, "'a'"),
        ({"arms": [{"name": "a", "delta": -1.0}]}, "delta"),
        ({"arms": []}, "an arm"),
        ({"seeds": 0}, "a seed"),
        ({"targets": []}, "a target"),
        ({"name": "no/slash"}, "name of letters"),
        ({"judge": "train"}, "judge"),
        ({"references": ["nobody"]}, "nobody"),
        ({"contrasts": [{"arm": "from scratch", "against": "nobody"}]}, "nobody"),
        ({"contrasts": [{"arm": "from scratch"}]}, "arm and against"),
        ({"contrasts": ["from scratch"]}, "arm and against"),
        ({"contrasts": [{"arm": "{x}", "against": "from scratch"}]}, "cannot be filled in"),
        ({"colour": "red"}, "colour"),
        ({"folds": {"number": 3}}, "number"),
    ],
)
def test_what_cannot_be_is_refused_by_file(change, words, tmp_path):
    path = tmp_path / "study.yml"
    path.write_text(yaml.safe_dump({**SMALL, **change}))
    with pytest.raises(SettingsError, match=r"study\.yml") as caught:
        read_study(path)
    assert words.lower() in str(caught.value).lower()


@pytest.mark.parametrize("text", ["name: [", "- a list", "name: only"])
def test_a_file_that_is_no_study_is_refused(text, tmp_path):
    (tmp_path / "bad.yml").write_text(text)
    with pytest.raises(SettingsError, match=r"bad\.yml"):
        read_study(tmp_path / "bad.yml")
    with pytest.raises(SettingsError, match=r"none\.yml"):
        read_study(tmp_path / "none.yml")


def test_the_inherited_recipe_is_that_of_the_preset():
    study = read_study("inherited")
    for arm, name in (("SPMat-BT, inherited rates", "paper"), ("SPMat-BT, our rates", "full")):
        preset, found = PRESETS[name], study.arm(arm)
        assert (found.pretrain, found.finetune) == (preset.pretraining(), preset.finetuning())
    assert study.arm("from scratch, inherited rates").finetune == PRESETS["paper"].finetuning()


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_studies_that_come_along_can_be_read(path):
    study = read_study(path)
    assert study.name == path.stem and study.question.endswith("?") and len(study.cells()) >= 10
