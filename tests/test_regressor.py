import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_predict

from spmat_nb.errors import InputError, SettingsError
from spmat_nb.pretrain import pretrain
from spmat_nb.regressor import PropertyRegressor
from spmat_nb.settings import PretrainSettings

BROKEN = Structure(Lattice.cubic(3), ["Na", "Cl"], [[0, 0, 0], [0.01, 0, 0]])


@pytest.fixture(scope="module")
def crystals(lesson):
    return list(lesson.structures), lesson.table["density"].to_numpy()


def regressor(**changes):
    return PropertyRegressor(**{"epochs": 3, "batch_size": 50, "device": "cpu"} | changes)


def test_it_learns(crystals):
    model = regressor(epochs=40, head_rate=5e-3, encoder_rate=5e-3).fit(*crystals)
    assert model.score(*crystals) > 0.8
    assert model.predict(crystals[0]).shape == crystals[1].shape


def test_several_values_come_back_as_they_went_in(crystals):
    structures, y = crystals
    both = np.column_stack([y, -y])
    assert regressor().fit(structures, both).predict(structures[:7]).shape == (7, 2)
    assert regressor().fit(structures, both[:, :1]).predict(structures[:7]).shape == (7, 1)


def test_error_bars_come_from_several_members(crystals):
    structures, y = crystals
    model = regressor(members=2).fit(structures, y)
    values, spread = model.predict(structures[:9], return_std=True)
    assert values.shape == spread.shape == (9,) and (spread > 0).all()
    with pytest.raises(SettingsError, match="members=5"):
        regressor().fit(structures, y).predict(structures, return_std=True)


def test_structures_that_cannot_be_used_are_said_and_left_out(crystals):
    structures, y = crystals
    mixed, values = [BROKEN, *structures[:40]], [1e6, *y[:40]]
    with pytest.warns(UserWarning, match="1 of 41 structures cannot be used, first 0: two atoms are"):
        model = regressor().fit(mixed, values)
    assert len(model.refused_) == 1
    without = regressor().fit(structures[:40], y[:40])
    with pytest.warns(UserWarning, match="1 of 3"):
        answer = model.predict([structures[0], BROKEN, structures[1]])
    assert np.isnan(answer[1]) and np.isfinite(answer[[0, 2]]).all()
    np.testing.assert_allclose(answer[[0, 2]], without.predict(structures[:2]), rtol=1e-4)


def test_files_and_objects_may_be_mixed(crystals, named, tmp_path):
    named["NaCl"].to(filename=str(tmp_path / "NaCl.cif"))
    model = regressor().fit(*crystals)
    both = model.predict([str(tmp_path / "NaCl.cif"), tmp_path / "NaCl.cif", named["NaCl"]])
    np.testing.assert_allclose(both, both[0], rtol=1e-4)


def test_it_begins_from_a_pretrained_encoder(crystals, tiny, tiny_graphs, small, tmp_path):
    model = pretrain(tiny, PretrainSettings(epochs=1, batch_size=16), small, tiny_graphs, show=False)
    model.save_pretrained(tmp_path)
    tuned = regressor(init=tmp_path, train="linear").fit(*crystals).ensemble_.members[0]
    assert tuned.metrics["init"] == "sup_barlow" and tuned.encoder_settings == small


def test_it_is_an_estimator_like_others(crystals):
    structures, y = crystals
    model = regressor(seed=3)
    again = clone(model)
    assert again.get_params() == model.get_params() and again.set_params(epochs=1).epochs == 1
    values = cross_val_predict(regressor(epochs=1), structures[:30], y[:30], cv=2)
    assert values.shape == (30,) and np.isfinite(values).all()
    with pytest.raises(NotFittedError):
        model.predict(structures)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s, y: (s, y[:-1]), InputError, "149 values for 150 structures"),
        (lambda s, y: (s, np.where(np.arange(150) == 7, np.nan, y)), InputError, "first at position 7"),
        (lambda s, y: ([BROKEN], [1.0]), InputError, "No usable crystal"),
    ],
    ids=["count", "nan", "broken"],
)
def test_wrong_input_is_named(crystals, change, error, words):
    with pytest.raises(error, match=words):
        regressor().fit(*change(*crystals))


def test_a_share_that_is_none_is_refused(crystals):
    with pytest.raises(SettingsError, match="validation_fraction"):
        regressor(validation_fraction=0.0).fit(*crystals)
