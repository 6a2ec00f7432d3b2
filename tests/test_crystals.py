from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk

from spmat_nb.crystals import SPLITS, load
from spmat_nb.errors import InputError, SettingsError
from spmat_nb.tables import pack_structure_columns, split_by_formula

PARTS = ("train", "val", "test")


def write_cifs(folder, structures):
    for name, structure in structures.items():
        structure.to(filename=str(folder / f"{name}.cif"))
    return folder


@pytest.fixture
def folder(named, tmp_path):
    """Ten good CIF files."""
    (tmp_path / "mine").mkdir()
    return write_cifs(tmp_path / "mine", named)


@pytest.fixture
def pair(named, tmp_path):
    """Two files and a place for their targets."""
    return write_cifs(tmp_path, {"0012": named["NaCl"], "b": named["Cu"]})


def row(**changes):
    values = {
        "material_id": "good",
        "lattice_abc_angles": [5.64, 5.64, 5.64, 90.0, 90.0, 90.0],
        "atomic_numbers": [11, 17],
        "frac_coords_e5": [0, 0, 0, 50000, 50000, 50000],
    }
    return values | changes


def parquet(folder, *rows):
    pd.DataFrame(rows).to_parquet(folder / "set.parquet")
    return folder / "set.parquet"


def test_the_teaching_set_is_large_and_complete(teaching):
    assert len(teaching) >= 6000
    assert set(teaching.table["split"]) == set(SPLITS)
    assert teaching.table.index.is_unique and teaching.table.index.name == "material_id"
    assert len(teaching.cells) == len(teaching.table)


def test_a_parquet_file_round_trips(tiny, write_parquet, tmp_path):
    again = load(write_parquet(tiny, tmp_path / "x.parquet"))
    pd.testing.assert_frame_equal(again.table, tiny.table, check_dtype=False)
    for one, other in zip(again.cells, tiny.cells, strict=True):
        np.testing.assert_allclose(one.lattice, other.lattice, atol=1e-4)
        np.testing.assert_allclose((one.frac - other.frac + 0.5) % 1, 0.5, atol=1e-6)
    assert again.name == "x" and again.report.empty


def test_a_folder_with_targets_is_loaded(folder):
    pd.DataFrame({"material_id": ["NaCl", "Cu"], "band_gap": [8.5, 0.0]}).to_csv(folder / "targets.csv", index=False)
    crystals = load(folder)
    assert len(crystals) == 10
    assert crystals.table["band_gap"].dropna().to_dict() == {"NaCl": 8.5, "Cu": 0.0}
    assert crystals.table.loc["Fe2O3", "formula"] == "Fe2O3" and crystals.table.loc["NaCl", "nsites"] == 8


def test_poscar_files_lie_beside_cif_files(folder, named):
    named["Si"].to(filename=str(folder / "POSCAR_si"), fmt="poscar")
    named["Si"].to(filename=str(folder / "other.vasp"), fmt="poscar")
    assert {"POSCAR_si", "other", "Si"} < set(load(folder).table.index)


def test_a_single_file_is_loaded(folder):
    crystals = load(folder / "CsCl.cif")
    assert list(crystals.table.index) == ["CsCl"] and crystals.name == "CsCl"


def test_objects_of_both_libraries_are_loaded(named):
    crystals = load([named["NaCl"], bulk("Cu"), named["Fe2O3"]])
    assert crystals.table["formula"].to_dict() == {"0": "NaCl", "1": "Cu", "2": "Fe2O3"}


def test_a_list_of_paths_is_loaded(folder):
    paths = [str(folder / "NaCl.cif"), folder / "Cu.cif"]
    assert list(load(paths).table.index) == ["NaCl", "Cu"]


def test_a_list_with_one_bad_thing_keeps_the_good_ones(named):
    crystals = load([named["NaCl"], "a path", named["Cu"]])
    assert list(crystals.table.index) == ["0", "2"]
    assert crystals.report[["row", "reason", "cause"]].to_numpy().tolist() == [
        [1, "no file 'a path'; check the path", "missing"]
    ]


def test_one_broken_file_of_eleven_is_named_with_its_reason(folder):
    text = (folder / "NaCl.cif").read_text().replace("_cell_length_a   5.64000000", "_cell_length_a   ?")
    (folder / "broken.cif").write_text(text)
    crystals = load(folder)
    assert len(crystals) == 10
    ((source, _, reason, cause),) = crystals.report.to_numpy().tolist()
    assert (source, cause) == ("broken.cif", "no-cell") and "_cell_length_a is '?'" in reason


@pytest.mark.parametrize("source", ["nowhere", "nowhere.parquet", "nowhere/x.cif"])
def test_a_path_that_is_not_there_is_named(tmp_path, source):
    with pytest.raises(InputError, match=source):
        load(tmp_path / source)


def test_an_empty_folder_an_empty_list_and_an_unknown_kind_are_refused(tmp_path):
    (tmp_path / "x.txt").write_text("")
    for source, words in ((tmp_path, "no structure files"), ([], "No usable"), (tmp_path / "x.txt", r"x\.txt is not")):
        with pytest.raises(InputError, match=words):
            load(source)


def test_a_missing_teaching_set_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("SPMAT_TEACHING_SET", str(tmp_path / "gone.parquet"))
    with pytest.raises(InputError, match=r"gone\.parquet.*clone"):
        load("teaching")


def test_a_truncated_parquet_file_is_refused(tiny, write_parquet, tmp_path):
    path = write_parquet(tiny, tmp_path / "x.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"x\.parquet cannot be read as parquet"):
        load(path)


@pytest.mark.parametrize("column", ["material_id", "atomic_numbers", "frac_coords_e5"])
def test_an_absent_column_is_named(tmp_path, column):
    values = row()
    del values[column]
    with pytest.raises(InputError, match=column):
        load(parquet(tmp_path, values))


BAD_ROWS = {
    "NaN in the cell": ({"lattice_abc_angles": [5.0, float("nan"), 5.0, 90.0, 90.0, 90.0]}, "not all finite"),
    "short cell": ({"lattice_abc_angles": [5.0, 5.0, 5.0]}, "3 cell parameters"),
    "short coordinates": ({"frac_coords_e5": [0, 0, 0]}, "3 coordinates for 2 atoms"),
    "overlap": ({"frac_coords_e5": [0, 0, 0, 3000, 0, 0]}, "0.17 A apart"),
    "Z = 0": ({"atomic_numbers": [0, 17]}, "1 to 100"),
    "Z = 101": ({"atomic_numbers": [11, 101]}, "1 to 100"),
    "no cell": ({"lattice_abc_angles": None}, "empty"),
    "no numbers": ({"atomic_numbers": None}, "empty"),
    "no atoms": ({"atomic_numbers": [], "frac_coords_e5": []}, "no atoms"),
    "no volume": ({"lattice_abc_angles": [5.0, 5.0, 5.0, 10.0, 10.0, 170.0]}, "A3 an atom"),
}


@pytest.mark.parametrize(("changes", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
@pytest.mark.parametrize("max_sites", [None, 20])
def test_a_bad_row_is_reported_by_number_and_skipped(tmp_path, changes, reason, max_sites):
    path = parquet(tmp_path, row(), row(material_id="bad", **changes), row(material_id="last"))
    crystals = load(path, max_sites=max_sites)
    assert list(crystals.table.index) == ["good", "last"]
    ((source, number, why, _),) = crystals.report.to_numpy().tolist()
    assert (source, number) == ("set.parquet", 1) and reason in why


def test_an_angle_of_zero_is_reported_without_a_warning(tmp_path):
    path = parquet(tmp_path, row(), row(material_id="bad", lattice_abc_angles=[5.0, 5.0, 5.0, 0.0, 90.0, 90.0]))
    assert len(load(path).report) == 1


def test_when_no_row_is_good_the_reasons_are_said(tmp_path):
    with pytest.raises(InputError, match=r"No usable crystal.*set\.parquet 0: atomic numbers must be 1 to 100"):
        load(parquet(tmp_path, row(atomic_numbers=[0, 17])))


def test_missing_values_of_a_target_are_an_error_that_counts_and_names_them(tiny):
    gaps = tiny.table["band_gap"].astype(float).copy()
    gaps.iloc[[3, 7]] = np.nan, np.inf
    holed = replace(tiny, table=tiny.table.assign(band_gap=gaps))
    with pytest.raises(InputError, match=rf"2 of 60 .*'band_gap', first '{tiny.table.index[3]}'.*--drop-missing"):
        holed.with_target("band_gap")
    kept = holed.with_target("band_gap", "drop")
    assert len(kept) == len(kept.cells) == 58 and kept.table["band_gap"].notna().all()


def test_text_in_a_target_counts_as_missing(tiny):
    mixed = replace(tiny, table=tiny.table.assign(band_gap=["n/a", *["1.5"] * 59]))
    with pytest.raises(InputError, match="1 of 60"):
        mixed.with_target("band_gap")
    assert mixed.with_target("band_gap", "drop").table["band_gap"].to_list() == [1.5] * 59


def test_an_absent_or_unknown_target_is_named(tiny):
    with pytest.raises(InputError, match=r"no column 'density'\. Columns: .*band_gap"):
        replace(tiny, table=tiny.table.drop(columns="density")).with_target("density")
    with pytest.raises(SettingsError, match="'hardness'"):
        tiny.with_target("hardness")


ODD_IDS = ["0012", "1e5", "true", "NA"]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_ids_are_text_in_file_names_and_csv(named, tmp_path, odd):
    write_cifs(tmp_path, {odd: named["NaCl"], "007": named["Cu"]})
    (tmp_path / "targets.csv").write_text(f"material_id,band_gap\n{odd},8.5\n007,0\n")
    crystals = load(tmp_path)
    assert crystals.table["band_gap"].to_dict() == {odd: 8.5, "007": 0.0} and crystals.report.empty


def test_the_column_of_ids_need_not_be_the_first(pair):
    (pair / "targets.csv").write_text("band_gap,material_id\n8.5,0012\n0.5,77\n")
    crystals = load(pair)
    assert crystals.table["band_gap"].dropna().to_dict() == {"0012": 8.5}


def test_the_first_column_holds_the_ids_when_none_is_called_material_id(pair):
    (pair / "mine.csv").write_text("name,band_gap\n0012,8.5\nb,0\n")
    assert load(pair, targets=pair / "mine.csv").table["band_gap"].to_dict() == {"0012": 8.5, "b": 0.0}


def test_targets_without_a_structure_are_reported_and_structures_without_targets_stay(pair):
    (pair / "targets.csv").write_text("material_id,band_gap\n0012,8.5\nlost,1\n")
    crystals = load(pair)
    assert crystals.table["band_gap"].isna().to_dict() == {"0012": False, "b": True}
    assert crystals.report.to_numpy().tolist() == [
        ["targets.csv", "lost", "no usable structure has this id; check the names", "no-match"]
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("material_id,band_gap\nb,1\nb,2\n", "'b' appears more than once"),
        ("material_id,band_gap\nx,1\n", "no id matches"),
        ("", "cannot be read as CSV"),
        ('material_id,band_gap\n"b,1\n', "cannot be read as CSV"),
    ],
    ids=["twice", "no match", "empty", "open quote"],
)
def test_a_bad_csv_is_refused_with_its_cause(pair, text, words):
    (pair / "targets.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        load(pair)


def test_a_named_csv_that_is_not_there_is_an_error(pair):
    with pytest.raises(InputError, match=r"gone\.csv"):
        load(pair, targets=pair / "gone.csv")


def test_duplicate_ids_are_reported_and_the_first_stays(tmp_path):
    other = row(lattice_abc_angles=[6.0, 6.0, 6.0, 90.0, 90.0, 90.0])
    crystals = load(parquet(tmp_path, row(), other, row(material_id="last")))
    assert list(crystals.table.index) == ["good", "last"]
    assert crystals.cell(0).lattice[0, 0] == pytest.approx(5.64)
    assert crystals.report[["row", "cause"]].to_numpy().tolist() == [["good", "id-repeated"]]


def test_files_of_one_name_and_two_endings_are_reported(pair, named):
    named["Fe"].to(filename=str(pair / "b.vasp"), fmt="poscar")
    crystals = load(pair)
    assert crystals.table["formula"].to_dict() == {"0012": "NaCl", "b": "Cu"} and len(crystals.report) == 1


def test_max_sites_leaves_larger_cells_out_without_reporting_them(tiny, write_parquet, tmp_path, named):
    crystals = load(write_parquet(tiny, tmp_path / "x.parquet"), max_sites=2)
    assert 0 < len(crystals) == (tiny.table["nsites"] <= 2).sum() and crystals.report.empty
    assert len(load([named["Cu"], named["NaCl"]], max_sites=4)) == 1
    with pytest.raises(InputError, match="at most 3 sites"):
        load([named["NaCl"]], max_sites=3)


def test_an_unknown_split_is_named(tmp_path):
    with pytest.raises(InputError, match=r"'good' has split 'training'; known: pretrain, train, val, test"):
        load(parquet(tmp_path, row(split="training")))


def test_a_split_by_formula_keeps_formulas_together_and_shares_right(teaching):
    formulas = teaching.table["formula"]
    split = split_by_formula(formulas, seed=0)
    assert split.groupby(formulas).nunique().max() == 1
    shares = split.value_counts(normalize=True)
    for part, share in zip(PARTS, (0.6, 0.2, 0.2), strict=True):
        assert shares[part] == pytest.approx(share, abs=0.02)


def test_a_split_by_formula_is_fixed_by_its_seed_not_by_the_order(teaching):
    formulas = teaching.table["formula"]
    split = split_by_formula(formulas, seed=1)
    assert split.equals(split_by_formula(formulas, seed=1))
    assert split_by_formula(formulas[::-1], seed=1)[::-1].equals(split)
    assert (split != split_by_formula(formulas, seed=2)).mean() > 0.2


def test_data_without_a_split_gets_one(folder):
    crystals = load(folder, seed=5)
    assert crystals.table["split"].equals(split_by_formula(crystals.table["formula"], seed=5))


def test_a_formula_column_with_holes_is_filled(pair):
    (pair / "targets.csv").write_text("material_id,formula\nb,\n0012,NaCl\n")
    assert load(pair).table["split"].isin(SPLITS).all()


def test_select_takes_masks_and_positions(tiny):
    mask = np.arange(60) % 20 == 3
    by_mask, by_position = tiny.select(mask), tiny.select(np.array([3, 23, 43]))
    assert list(by_mask.table.index) == list(by_position.table.index) == list(tiny.table.index[[3, 23, 43]])
    assert by_mask.cells == by_position.cells == tuple(tiny.cells[i] for i in (3, 23, 43))


def test_of_split_keeps_the_named_splits_only(tiny):
    assert set(tiny.of_split("train", "val").table["split"]) == {"train", "val"}
    assert sum(len(tiny.of_split(s)) for s in SPLITS) == len(tiny)


def test_a_sample_is_ordered_seeded_and_never_larger_than_asked(tiny):
    first, again, other = (tiny.sample(20, seed).table.index for seed in (0, 0, 1))
    assert len(first) == 20 and list(first) == list(again) != list(other)
    assert list(first) == [i for i in tiny.table.index if i in set(first)]
    assert tiny.sample(None, 0) is tiny and tiny.sample(60, 0) is tiny


def test_a_fingerprint_changes_with_content_and_order_only(tiny):
    whole = tiny.fingerprint()
    moved = replace(tiny.cell(0), frac=tiny.cell(0).frac + 1e-5)
    changed = [
        replace(tiny, cells=(moved, *tiny.cells[1:])),
        tiny.select(np.arange(60)[::-1]),
        tiny.select(np.arange(59)),
        replace(tiny, table=tiny.table.rename(index={tiny.table.index[0]: "other"})),
    ]
    assert len({whole, *(c.fingerprint() for c in changed)}) == 5
    assert replace(tiny, name="x", table=tiny.table[["split"]]).fingerprint() == whole


def test_a_fingerprint_does_not_hang_on_the_last_bit(tiny):
    cells = [replace(c, lattice=np.nextafter(c.lattice, 99), frac=np.nextafter(c.frac, -1)) for c in tiny.cells]
    assert replace(tiny, cells=tuple(cells)).fingerprint() == tiny.fingerprint()


def test_the_fingerprint_of_the_teaching_set_is_the_same_on_every_machine():
    assert load("teaching").fingerprint().startswith("ba6212f059e6")


def test_packed_columns_give_the_structures_back(named, tmp_path):
    packed = pd.DataFrame(pack_structure_columns(named.values()), index=pd.Index(named, name="material_id"))
    packed.reset_index().to_parquet(tmp_path / "x.parquet")
    again = load(tmp_path / "x.parquet")
    for name, structure in named.items():
        found = again.structure(name)
        assert [s.specie for s in found] == [s.specie for s in structure]
        np.testing.assert_allclose(found.lattice.parameters, structure.lattice.parameters, atol=1e-4)
        np.testing.assert_allclose(found.distance_matrix, structure.distance_matrix, atol=2e-4)


def test_structures_are_made_on_demand(tiny):
    view = tiny.structures
    assert len(view) == 60 and view[-1] == view[59] and view[2:4] == [view[2], view[3]]
    assert view[5] == tiny.structure(tiny.table.index[5])
    assert [s.composition.reduced_formula for s in view] == [c.formula() for c in tiny.cells]
    with pytest.raises(IndexError):
        view[60]


def test_an_unknown_id_is_an_input_error(tiny):
    with pytest.raises(InputError, match="No crystal 'nope'"):
        tiny.structure("nope")


def test_the_frame_has_the_structures_beside_the_table(tiny):
    few = tiny.select(np.arange(3))
    frame = few.frame()
    assert list(frame["structure"]) == list(few.structures) and list(frame.columns[:-1]) == list(few.table.columns)


def test_the_representation_counts(tiny):
    assert repr(tiny) == f"CrystalSet('teaching set', 60 crystals, {len(tiny.report)} refused)"
