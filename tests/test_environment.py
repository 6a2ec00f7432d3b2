import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
CONDA = {"pytorch": "torch", "pytorch-geometric": "torch-geometric", "matplotlib-base": "matplotlib"}
NOT_PACKAGES = {"python", "pip"}


def bounds(lines):
    """Version bounds by package name; pins and bounds as written."""
    requirements = [Requirement(re.sub(r"(?<![=<>!~])=(?!=)", "==", line.split("#")[0].strip())) for line in lines]
    names = [canonicalize_name(r.name) for r in requirements]
    assert len(set(names)) == len(names), "a package is listed twice"
    return {CONDA.get(n, n): str(r.specifier) for n, r in zip(names, requirements, strict=True)}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wanted(project):
    return bounds([*project["dependencies"], *project["optional-dependencies"]["dev"]])


@pytest.fixture(scope="module")
def environment():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = [entry for entry in entries if isinstance(entry, str)]
    pip = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"] if not line.startswith("-")]
    return bounds([*conda, *pip])


@pytest.fixture(scope="module")
def pins():
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    return bounds([line for line in lines if line and not line.startswith("-")])


def test_the_conda_environment_has_the_packages_and_bounds_of_pyproject(environment, wanted):
    assert {name: bound for name, bound in environment.items() if name not in NOT_PACKAGES} == wanted


def test_the_conda_environment_has_the_python_of_pyproject(environment, project):
    assert environment["python"] == project["requires-python"]


def test_every_dependency_is_pinned(pins, wanted):
    assert set(wanted) - set(pins) == set()
    assert {name: bound for name, bound in pins.items() if not bound.startswith("==") or "*" in bound} == {}


def test_the_pinned_torch_is_the_one_tried(pins):
    assert pins["torch"] == "==2.13.0"


def test_every_pin_satisfies_its_bound(pins, wanted):
    bad = [
        f"{name}{pins[name]} against {bound}"
        for name, bound in wanted.items()
        if not Requirement(f"{name}{bound}").specifier.contains(pins[name].removeprefix("=="))
    ]
    assert bad == []


def test_extras_and_core_agree_where_they_name_the_same_package(project, wanted):
    for extra in project["optional-dependencies"].values():
        assert {n: wanted.get(n, b) for n, b in bounds(extra).items()} == bounds(extra)
