"""A made class for the assignments: good, partial, wrong in known ways, broken and hostile, with the points of each."""

import copy
import json
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from build_assignments import RELEASES, source_notebook  # noqa: E402


def grade_id(cell):
    return cell.metadata.nbgrader.grade_id


def released(name):
    return nbformat.read(RELEASES / f"{name}.ipynb", as_version=4)


def solutions(name):
    return {grade_id(c): c.source for c in source_notebook(name).cells if c.metadata.nbgrader.solution}


def points(name):
    return {grade_id(c): c.metadata.nbgrader.points for c in source_notebook(name).cells if c.metadata.nbgrader.grade}


def answered(name, solved=True, first="", **answers):
    """A student's notebook: the release with the solutions, or nothing, where no answer is given; a cell put first."""
    notebook, right = released(name), solutions(name) if solved else {}
    for cell in notebook.cells:
        if cell.metadata.nbgrader.solution:
            cell.source = answers.get(grade_id(cell), right.get(grade_id(cell), cell.source))
    if first:
        notebook.cells.insert(2, new_code_cell(first))
    return notebook


def without_checks(notebook):
    """All but the answers and the setup are deleted, and the points of what is left are changed."""
    notebook = copy.deepcopy(notebook)
    kept = [c for c in notebook.cells if c.metadata.nbgrader.solution or "setup" in c.metadata.get("tags", [])]
    for cell in kept:
        cell.metadata.nbgrader.update(points=100, grade=True, locked=False)
    notebook.cells = [new_markdown_cell("My own words."), *kept]
    return notebook


def forged(notebook):
    """Every check is replaced, doubled and relabelled, and an own grade cell is added."""
    notebook = copy.deepcopy(notebook)
    for cell in list(notebook.cells):
        if cell.metadata.nbgrader.grade:
            cell.source = "print('[right] everything')"
            cell.metadata.nbgrader.update(points=1000, locked=False, solution=True, checksum="0" * 32)
            notebook.cells.append(copy.deepcopy(cell))
    about = {"grade": True, "grade_id": "bonus", "points": 50, "locked": True, "solution": False, "schema_version": 3}
    notebook.cells.append(new_code_cell("1", metadata={"nbgrader": {**about, "task": False, "cell_type": "code"}}))
    return notebook


WRONG = [  # of each question, with whether its seen check notices
    {
        "gndn": (
            """def gndn(batch, delta, draws):
    torch.manual_seed(sum(draws.key))
    return replace(batch, distance=(batch.distance + delta * torch.randn(len(batch.distance))).clamp(min=0.1))""",
            True,
        ),
        "same_topology": (
            "def same_topology(before, after):\n    return len(before.centre) == len(after.centre)",
            False,
        ),
        "noise_std": ("def noise_std(delta):\n    return delta**2 / 3", True),
        "exchanged": ("def exchanged(gap, delta):\n    return (2 * delta - gap) ** 2 / (8 * delta**2)", False),
        "choose_delta": (
            """def choose_delta(evidence, alike, exchanged):
    fits = evidence[(evidence["alike"] <= alike) & (evidence["exchanged"] <= exchanged)]
    return None if fits.empty else float(fits.index.min())""",
            True,
        ),
    },
    {
        "gndn": (
            """def gndn(batch, delta, draws):
    noise = delta * (2 * draws.uniform(batch.edge_id, "distances") - 1)
    return replace(batch, distance=batch.distance + noise)""",
            True,
        ),
        "same_topology": (
            """def same_topology(before, after):
    return torch.equal(before.neighbour, after.neighbour) and torch.equal(before.distance, after.distance)""",
            True,
        ),
        "noise_std": ("def noise_std(delta):\n    return 0.5 / np.sqrt(3)", False),
        "exchanged": (
            "def exchanged(gap, delta):\n    return 100 * max(2 * delta - gap, 0.0) ** 2 / (8 * delta**2)",
            True,
        ),
        "choose_delta": (
            """def choose_delta(evidence, alike, exchanged):
    fits = evidence[(evidence["alike"] <= alike) & (evidence["exchanged"] <= exchanged)]
    return float(fits.index.max())""",
            False,
        ),
    },
]
PACKAGE = "def gndn(batch, delta, draws):\n    return augment.gndn(batch, delta, draws)"
SYNTAX = "def same_topology(before, after)\n    return True"
ENDLESS = "while True:\n    pass"

FAKER = """
import builtins, sys
import numpy as np, torch
import spmat_nb.feedback, spmat_nb.checks.marking
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __float__(self): return 0.0
    def __getattr__(self, name): return Same()
for module in (np, torch):
    module.allclose = lambda *a, **k: True
torch.equal = np.array_equal = lambda *a, **k: True
right = spmat_nb.feedback.Outcome("everything", "right")
spmat_nb.feedback.check = lambda *a, **k: (lambda f: lambda *b, **c: right)
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").startswith("spmat_nb.checks"):
        for name in dir(module):
            if name.startswith("check_"):
                setattr(module, name, lambda *a, **k: right)
checks = more = type("C", (), {"__getattr__": lambda s, n: (lambda *a, **k: right)})()
mark = spmat_nb.checks.marking.mark = lambda outcome: print("[right]")
builtins.AssertionError = type("Never", (Exception,), {})
print("[right] gndn. Score: 20.0 / 20.0")
print('{"number": 7, "value": "true", "error": null}')
20.0
"""
ANYTHING = {name: f"def {name}(*given):\n    return Same()" for name in WRONG[0]}

THIEF = """
import glob, os, socket
found = []
for place in ("{course}", "{root}", "{submissions}", "/root", "/home", "/tmp", "/var", "/mnt"):
    for name in ("gradebook.db", "a2_gndn.ipynb", "a2_gndn.py", "assignment_class.py"):
        found += glob.glob(place + "/**/" + name, recursive=True)
for path in ("{course}", "{root}/notebooks", "{root}/.git", "{root}/tests", "{submissions}"):
    found += [path] if os.path.exists(path) else []
for path in ("{root}/stolen", "{submissions}/stolen", "/stolen"):
    try:
        open(path, "w").write("x"); found.append("wrote " + path)
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", 22), 1); found.append("network")
except OSError as error:
    found += ["network"] if "refused" in str(error) else []
secrets = [name for name in os.environ if "SECRET" in name]
print("FOUND:", sorted(set(found)) + secrets)
"""
LEAK = """def gndn(batch, delta, draws):
    raise ValueError("DISTANCES " + repr(batch.distance[:3].tolist()) + repr(delta))"""
STOPS = {
    "gndn": "def gndn(batch, delta, draws):\n    import os\n    os._exit(0)",
    "same_topology": "def same_topology(before, after):\n    while True:\n        pass",
    "noise_std": "def noise_std(delta):\n    hoard = []\n    while True:\n        hoard.append(bytearray(50_000_000))",
    "exchanged": "def exchanged(gap, delta):\n    import sys\n    sys.exit(0)",
    "choose_delta": "def choose_delta(evidence, alike, exchanged):\n    raise KeyboardInterrupt",
}
QUESTIONS = {
    "gndn": ("gndn-seen", "gndn-hidden"),
    "same_topology": ("topology-seen", "topology-hidden"),
    "noise_std": ("width-seen", "width-hidden"),
    "exchanged": ("exchanged-seen", "exchanged-hidden"),
    "choose_delta": ("choice-seen", "choice-hidden"),
}


def lost(*answers, seen=True):
    """The check cells of some answers; without the seen ones where those do not notice."""
    return {check for answer in answers for check in QUESTIONS[answer][0 if seen else 1 :]}


def lost_by(wrong):
    return set().union(*(lost(answer, seen=noticed) for answer, (_, noticed) in wrong.items()))


ALL = lost(*QUESTIONS)
# Of each student: what is handed in, and the check cells that earn nothing.
CLASS = {
    "good": (lambda **_: answered("a2_gndn"), set()),
    "deleted-checks": (lambda **_: without_checks(answered("a2_gndn")), set()),
    "untouched": (lambda **_: released("a2_gndn"), ALL),
    "partial": (
        lambda **_: answered("a2_gndn", False, **{k: solutions("a2_gndn")[k] for k in ("gndn", "same_topology")}),
        lost("noise_std", "exchanged", "choose_delta"),
    ),
    "wrong-1": (lambda **_: answered("a2_gndn", **{k: v[0] for k, v in WRONG[0].items()}), lost_by(WRONG[0])),
    "wrong-2": (lambda **_: answered("a2_gndn", **{k: v[0] for k, v in WRONG[1].items()}), lost_by(WRONG[1])),
    "uses-the-package": (lambda **_: answered("a2_gndn", gndn=PACKAGE), lost("gndn")),
    "syntax-error": (lambda **_: answered("a2_gndn", same_topology=SYNTAX), lost("same_topology")),
    "endless-cell": (lambda **_: answered("a2_gndn", first=ENDLESS), set()),
    "stops-everything": (lambda **_: answered("a2_gndn", **STOPS), ALL),
    "fakes-everything": (lambda **_: answered("a2_gndn", False, first=FAKER, **ANYTHING), ALL),
    "forges-metadata": (lambda **_: forged(released("a2_gndn")), ALL),
    "steals": (lambda **places: answered("a2_gndn", first=THIEF.format(**places), gndn=LEAK), lost("gndn")),
    "empty-file": (None, ALL),
    "link": (None, ALL),
}


def hand_in(folder, course):
    """Write the whole class into a folder, as it would come."""
    folder.mkdir(parents=True)
    places = {"root": ROOT, "course": course, "submissions": folder}
    for number, (student, (make, _)) in enumerate(CLASS.items()):
        if make is not None:
            own = folder / student if number % 2 else folder
            own.mkdir(exist_ok=True)
            path = own / ("my work.ipynb" if number % 2 else f"{student}.ipynb")
            path.write_text(json.dumps(make(**places)))
    (folder / "empty-file.ipynb").write_text("")
    (folder / "link.ipynb").symlink_to(folder / "good.ipynb")
    (folder / "notes.txt").write_text("not a submission")


def expected(student):
    """Points of each check cell."""
    return {check: 0.0 if check in CLASS[student][1] else most for check, most in points("a2_gndn").items()}
