"""What the documents say of the code is so."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "method.md").read_text()
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in TEXT.splitlines() if line.startswith("|")
]


def find(name):
    """The module, class or function of a dotted name in the package."""
    module, *rest = name.split(".")
    found = importlib.import_module(f"spmat_nb.{module}")
    for part in rest:
        found = getattr(found, part)
    return found


def squeezed(text):
    return re.sub(r"\s+", "", text)


def equations():
    return [(row[2].strip("`"), row[3].strip("`").replace("\\|", "|")) for row in ROWS if row[2].startswith("`")]


def places():
    return sorted({row[3].strip("`") for row in ROWS if row[3].startswith("`") and not row[2].startswith("`")})


@pytest.mark.parametrize(("name", "line"), equations())
def test_each_equation_stands_in_the_function_beside_it(name, line):
    assert squeezed(line) in squeezed(inspect.getsource(find(name)))


@pytest.mark.parametrize("name", places())
def test_each_choice_names_a_place_in_the_package(name):
    find(name)


def test_the_tables_are_read():
    assert len(equations()) >= 14 and len(places()) >= 25


def test_the_readme_names_everything_that_can_be_chosen():
    from spmat_nb.encoders import ENCODERS
    from spmat_nb.labels import LABEL_MAKERS, LABELS
    from spmat_nb.losses import LOSSES
    from spmat_nb.models import shipped_names
    from spmat_nb.vocabulary import TARGETS

    readme = (DOCS.parent / "README.md").read_text()
    names = [*ENCODERS, *LABELS, *LOSSES, *shipped_names(), *TARGETS]
    assert [name for name in names if f"`{name}`" not in readme] == []
    assert [key for key in LABEL_MAKERS if f"`{key}:" not in readme] == []
