"""CSV files of paths and of targets, and what is odd about their lines."""

import numpy as np
import pandas as pd
import pytest
from odd_files import GOOD, p1

from spmat_nb.crystals import load
from spmat_nb.errors import InputError, StrictError
from spmat_nb.reading.policy import POLICY


@pytest.fixture
def folder(tmp_path):
    """Two structures in a folder within another one, and a structure outside."""
    (tmp_path / "secret.cif").write_text(GOOD)
    inner = tmp_path / "mine"
    (inner / "deep").mkdir(parents=True)
    (inner / "a.cif").write_text(p1())
    (inner / "deep" / "b.cif").write_text(GOOD)
    return inner


def of_paths(folder, text, **options):
    (folder / "set.csv").write_text(text)
    return load(folder / "set.csv", **options)


def test_a_csv_of_paths_brings_structures_ids_and_columns(folder):
    crystals = of_paths(folder, "material_id,path,band_gap\n007,a.cif,5.1\nNA,deep/b.cif,0\n")
    assert crystals.table["band_gap"].to_dict() == {"007": 5.1, "NA": 0.0} and crystals.report.empty
    assert crystals.table["nsites"].to_list() == [2, 1] and crystals.name == "set"


def test_ids_come_from_the_names_of_the_files_or_the_first_column(folder):
    assert list(of_paths(folder, "file,density\na.cif,1\ndeep/b.cif,8\n").table.index) == ["a", "b"]
    assert list(of_paths(folder, "name,cif\nx,a.cif\ny,deep/b.cif\n").table.index) == ["x", "y"]


BAD_PATHS = {
    "../secret.cif": "outside",
    "deep/../../secret.cif": "outside",
    "/etc/passwd": "outside",
    "gone.cif": "missing",
    "": "row-empty",
    "deep": "not-a-file",
}


@pytest.mark.parametrize(("path", "cause"), BAD_PATHS.items(), ids=BAD_PATHS)
def test_a_bad_path_is_refused_by_its_line(folder, path, cause):
    crystals = of_paths(folder, f"material_id,path\nbad,{path}\ngood,a.cif\n")
    assert list(crystals.table.index) == ["good"]
    assert crystals.report[["source", "row", "cause"]].to_numpy().tolist() == [["set.csv", 2, cause]]
    assert not path or path.split("/")[-1] in crystals.report["reason"][0]


def test_an_absolute_path_within_the_folder_is_taken(folder):
    assert len(of_paths(folder, f"path\n{folder / 'a.cif'}\n")) == 1


def test_the_same_file_may_stand_in_two_lines(folder):
    crystals = of_paths(folder, "material_id,path,temperature\na300,a.cif,300\na600,a.cif,600\n")
    assert crystals.table["temperature"].to_list() == [300, 600]


def test_a_csv_without_paths_says_how_targets_are_given(folder):
    with pytest.raises(InputError, match=r"no column of paths \(path, file, filename, cif\).*load\(folder, targets="):
        of_paths(folder, "material_id,band_gap\na,5\n")


def test_a_csv_of_paths_can_be_strict(folder):
    with pytest.raises(StrictError, match=r"set\.csv 2: gone\.cif: no file"):
        of_paths(folder, "path\ngone.cif\na.cif\n", strict=True)


TARGETS = "material_id,band_gap\na,5.1\nb,1\n"
TABLES = {
    "UTF-8 with a mark": (TARGETS.encode("utf-8-sig"), []),
    "UTF-16": (TARGETS.encode("utf-16"), []),
    "Windows line ends": (TARGETS.replace("\n", "\r\n").encode(), []),
    "Latin-1": (("note,material_id,band_gap\nÅ,a,5.1\né,b,1\n").encode("latin-1"), ["encoding-guessed"]),
    "semicolons": (b"material_id;band_gap\na;5,1\nb;1,0\n", ["separator"]),
    "tabs": (b"material_id\tband_gap\na\t5.1\nb\t1.0\n", ["separator"]),
    "blanks in the header": (b"material_id, band_gap \na,5.1\nb,1\n", []),
    "a line twice": (b"material_id,band_gap\na,5.1\nb,1\na,5.1\n", ["row-repeated"]),
    "minus signs": ("material_id,band_gap,x\na,5.1,\u22121\nb,1,2\n".encode(), ["typography"]),
}


@pytest.mark.parametrize(("data", "warned"), TABLES.values(), ids=TABLES)
def test_targets_are_read_in_every_spelling(tmp_path, data, warned):
    for name in "ab":
        (tmp_path / f"{name}.cif").write_text(p1())
    (tmp_path / "targets.csv").write_bytes(data)
    crystals = load(tmp_path)
    assert crystals.table["band_gap"].to_dict() == {"a": 5.1, "b": 1.0}
    assert crystals.warned["cause"].to_list() == warned and crystals.report.empty


def test_accents_match_in_either_form(tmp_path):
    (tmp_path / "cafe\u0301.cif").write_text(p1())
    (tmp_path / "targets.csv").write_text("material_id,band_gap\ncaf\u00e9,1\n")
    assert load(tmp_path).table["band_gap"].to_dict() == {"caf\u00e9": 1.0}


def test_targets_replace_columns_of_the_same_name(tmp_path):
    from ase.build import bulk
    from ase.db import connect

    with connect(str(tmp_path / "x.db")) as db:
        db.write(bulk("Cu"), band_gap=9.0)
        db.write(bulk("Si"), band_gap=9.0)
    (tmp_path / "targets.csv").write_text("material_id,band_gap\nx-2,1.1\n")
    assert load(tmp_path).table["band_gap"].dropna().to_dict() == {"x-2": 1.1}


def test_a_table_of_odd_columns_is_refused_row_by_row(tmp_path):
    good = {
        "material_id": "good",
        "lattice_abc_angles": [5.0] * 3 + [90.0] * 3,
        "atomic_numbers": [29],
        "frac_coords_e5": [0] * 3,
    }
    rows = [good, good | {"material_id": None}, good | {"material_id": "x", "lattice_abc_angles": [np.nan] * 6}]
    pd.DataFrame(rows).to_parquet(tmp_path / "x.parquet")
    crystals = load(tmp_path / "x.parquet")
    assert list(crystals.table.index) == ["good"]
    assert crystals.report[["row", "cause"]].to_numpy().tolist() == [[1, "row-empty"], [2, "not-finite"]]
    texts = pd.DataFrame([good | {"atomic_numbers": ["Cu"]}])
    texts.to_parquet(tmp_path / "y.parquet")
    with pytest.raises(InputError, match="does not hold numbers"):
        load(tmp_path / "y.parquet")


def test_every_line_of_the_policy_about_tables_names_what_to_do():
    assert all(len(case.remedy) > 5 for case in POLICY.values() if case.group == "table")
