"""The explorer of studies: what it offers, shows and says, without a browser."""

import pytest
from made_study import made_results

from spmat_nb.errors import InputError, SettingsError
from spmat_nb.widgets import StudyExplorer
from spmat_nb.widgets_study import StudyChoice


@pytest.fixture(scope="module")
def studies():
    other = {"name": "other", "targets": ["band_gap"], "references": [], "contrasts": [], "question": "Anything else?"}
    return [made_results(), made_results(**other)]


@pytest.fixture
def choice(studies):
    return StudyChoice(studies)


def test_it_begins_with_what_the_plan_names(choice):
    assert (choice.study, choice.target, choice.reference, choice.arms) == ("made", "density", "from scratch", ())
    assert choice.options("target") == {"Density": "density", "Band gap": "band_gap"}
    assert list(choice.options("arms")) == ["good", "same"]
    assert choice.message.startswith(
        "Is it found? Density, against 'from scratch' (4 seeds, 200 test crystals): better: good"
    )


def test_another_study_begins_anew(choice):
    choice.choose(target="band_gap", reference="same", arms=("good",))
    choice.choose(study="other")
    assert (choice.target, choice.reference, choice.arms) == ("band_gap", "from scratch", ())
    choice.choose(target="band_gap", study="made", reference="good")
    assert (choice.study, choice.target, choice.reference) == ("made", "band_gap", "good")


def test_hidden_arms_still_count_in_the_correction(choice):
    everything = choice.table().set_index("arm")["p_holm"]
    choice.choose(arms=("same",))
    assert list(choice.table()["arm"]) == ["same"]
    assert choice.table().set_index("arm")["p_holm"]["same"] == everything["same"]


def test_the_reference_is_not_shown_against_itself(choice):
    choice.choose(arms=("good", "same"))
    choice.choose(reference="good")
    assert choice.arms == ("same",) and list(choice.table()["arm"]) == ["same"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"study": "none"}, "study 'none'"),
        ({"target": "efermi"}, "target 'efermi'"),
        ({"reference": "nobody"}, "reference 'nobody'"),
        ({"arms": ("from scratch",)}, "arm 'from scratch'"),
        ({"colour": "red"}, "field 'colour'"),
    ],
)
def test_what_cannot_be_is_refused(choice, values, words):
    with pytest.raises(SettingsError, match=words):
        choice.choose(**values)
    with pytest.raises(InputError):
        StudyChoice([])


def test_arms_without_a_common_seed_are_explained(studies):
    made = studies[0]
    records = [one for one in made.records if (one["arm"] == "good") == (one["seed"] == 0)]
    choice = StudyChoice([type(made)(made.study, records)], arms=("good",))
    assert "no seed in common" in choice.message and choice.static_figure().axes == []


def test_every_control_changes_the_picture(studies):
    explorer = StudyExplorer(studies)
    for field, value in {"arms": ("good",), "target": "band_gap", "reference": "same", "study": "other"}.items():
        before = explorer.plot.value
        explorer.controls[field].value = value
        assert explorer.plot.value != before and getattr(explorer.state, field) == value
    assert explorer.message.value.startswith("Anything else?")


def test_it_follows_its_state_and_says_what_is_wrong(studies):
    explorer = StudyExplorer(studies, target="band_gap")
    explorer.state.choose(reference="good")
    assert explorer.controls["reference"].value == "good" and "good" not in dict(explorer.controls["arms"].options)
    explorer.attempt(lambda: explorer.state.choose(target="efermi"))
    assert "Unknown target" in explorer.message.value
    assert explorer._repr_mimebundle_()["image/png"]


def test_it_shows_the_studies_that_come_along():
    assert "teaching" in StudyExplorer(study="teaching").state.studies
