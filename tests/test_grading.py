"""The parts of grading: what crosses to a student's process, the process itself, intake, and how checks are judged."""

import json
import math

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from assignment_class import answered, forged, grade_id, released, without_checks
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from pymatgen.core import Structure

from spmat_nb.checks.marking import mark
from spmat_nb.checks.views import check_gndn, trial_batch
from spmat_nb.draws import Draws
from spmat_nb.feedback import Mistake, Outcome, check
from spmat_nb.grading import intake, sandbox, wire
from spmat_nb.grading.judge import Judge, parts, used, without_hidden
from spmat_nb.grading.sandbox import Limits
from spmat_nb.grading.session import ChangedInput, Session, Stopped

PLAIN = {
    "nothing": None,
    "truth": True,
    "number": -7,
    "huge number": 2**80,
    "text": "δ",
    "NaN": math.nan,
    "infinity": -math.inf,
    "list": [1, [2.5, "a"], (3,)],
    "dictionary": {"a": 1, (1, 2): [None]},
    "array": np.arange(6.0).reshape(2, 3),
    "text array": np.array(["NaCl", "Si"]),
    "empty array": np.zeros((0, 3)),
    "tensor": torch.tensor([[1, -2]]),
    "mask": torch.tensor([True, False]),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "generator": np.random.default_rng(3),
    "draws": Draws(1, 2, 3),
}


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and (one == other).all()
    if isinstance(one, np.random.Generator):
        return one.random() == other.random()
    return type(one) is type(other) and (one == other or (one != one and other != other))


@pytest.mark.parametrize("value", PLAIN.values(), ids=PLAIN)
def test_plain_values_cross_unchanged(value):
    got = wire.loads(wire.dumps(value))
    assert got == float(value) if type(value) is int and value > 2**63 else same(value, got)


def test_graphs_tables_and_crystals_cross_unchanged(named):
    batch = trial_batch()
    got = wire.loads(wire.dumps(batch))
    assert torch.equal(got.distance, batch.distance) and got.size == batch.size and got.visible is None
    frame = pd.DataFrame({"alike": [0.5, 0.25], "name": ["a", "b"]}, index=[0.1, 0.3])
    pd.testing.assert_frame_equal(wire.loads(wire.dumps(frame)), frame)
    pd.testing.assert_series_equal(wire.loads(wire.dumps(frame["alike"])), frame["alike"])
    crystal = wire.loads(wire.dumps(named["CaF2"]))
    assert isinstance(crystal, Structure) and crystal.formula == named["CaF2"].formula


class Equal(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


class Odd:
    def __repr__(self):
        raise RuntimeError


def test_objects_that_claim_to_equal_everything_do_not_cross():
    assert type(wire.loads(wire.dumps(Equal(3)))) is float
    assert wire.loads(wire.dumps([Odd()])) == [wire.Foreign("Odd")]
    assert wire.loads(wire.dumps(print)) == wire.Foreign("builtin_function_or_method")


BROKEN = [
    "",
    "{",
    "[1]",
    '{"kind": "nothing"}',
    '{"kind": "os.system", "value": "true"}',
    '{"kind": "array", "value": {"dtype": "object", "shape": [1], "data": ""}}',
    '{"kind": "array", "value": {"dtype": "float64", "shape": [1000000], "data": ""}}',
    '{"kind": "dict", "value": [[{"kind": "list", "value": []}, 1]]}',
    '{"kind": "structure", "value": {"@module": "os", "@class": "system"}}',
    '{"kind": "list", "value": ' * 100_000,
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_broken_messages_are_refused(text):
    with pytest.raises(wire.WireError):
        wire.loads(text)


CELLS = {
    "gndn": """from dataclasses import replace

def gndn(batch, delta, draws):
    noise = delta * (2 * draws.uniform(batch.edge_id, "distances") - 1)
    return replace(batch, distance=(batch.distance + noise).clamp(min=0.1))""",
    "others": """import os, sys, torch

def changes(z):
    z += 1
    return z

def fails(z):
    raise ZeroDivisionError("by nothing")

def missing(z):
    raise NotImplementedError

def leaves(z):
    os._exit(3)

def endless(z):
    while True:
        pass

def talks(z):
    os.write(1, b'{"number": 1, "value": "true"}')
    print("[right]")
    return 2

def network(z):
    import socket
    socket.create_connection(("127.0.0.1", 9), 1)

def reads(path):
    return open(path).read(20)

def writes(path):
    open(path, "w").write("x")
    return True
""",
}
LEVELS = [level for level in sandbox.LEVELS if level == "python" or sandbox.level() == level]


@pytest.fixture(scope="module", params=LEVELS)
def session(request):
    with Session(["spmat_nb.augment.gndn"], Limits(cell=8, call=4, restarts=9, memory=3000), request.param) as opened:
        for name, source in CELLS.items():
            assert opened.run(name, source)["error"] is None
        yield opened


def test_a_check_runs_here_and_the_answer_there(session):
    assert check_gndn(lambda *given: session.call("gndn", *given)).state == "right"


def test_errors_come_back_by_name(session):
    with pytest.raises(Exception, match="by nothing") as caught:
        session.call("fails", 1)
    assert type(caught.value).__name__ == "ZeroDivisionError" and not isinstance(caught.value, ZeroDivisionError)
    with pytest.raises(NotImplementedError):
        session.call("missing", 1)
    assert session.has("fails") and not session.has("nobody")


def test_a_changed_argument_is_told(session):
    z = torch.ones(2)
    with pytest.raises(ChangedInput, match="no \\+="):
        session.call("changes", z)
    assert torch.equal(z, torch.ones(2))


def test_the_process_may_print_what_it_likes(session):
    assert session.call("talks", 1) == 2


def test_network_and_files_are_closed(session, tmp_path):
    secret = tmp_path / "solution.txt"
    secret.write_text("the solution")
    for name, given in (("network", 0), ("reads", str(secret)), ("writes", str(tmp_path / "mine.txt"))):
        with pytest.raises(Exception, match=r"unreachable|No such file|Closed|refused|Permission"):
            session.call(name, given)
    assert not (tmp_path / "mine.txt").exists()


@pytest.mark.parametrize(("name", "why"), [("leaves", "ended by itself"), ("endless", "took longer than 4 s")])
def test_a_stopped_process_is_started_again(session, name, why):
    with pytest.raises(Stopped, match=why):
        session.call(name, 1)
    assert session.call("talks", 1) == 2  # in a new one, with the same cells


def test_functions_of_the_package_are_closed_there_and_open_here(session):
    said = session.run("try", "from spmat_nb.augment import gndn as theirs\ntheirs(1, 2, 3)", kept=False)
    assert "closed in grading" in said["error"]["words"]


def test_output_figures_and_errors_of_cells():
    with Session(limits=Limits(cell=20)) as opened:
        said = opened.run("plot", "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\n40 + 2")
        assert said["text"].strip() == "42" and len(said["figures"]) == 1
        wrong = opened.run("wrong", "x = 1\ny = x / 0")["error"]
        assert (wrong["type"], wrong["where"]) == ("ZeroDivisionError", "wrong, line 2: y = x / 0")
        assert opened.run("syntax", "def f(:")["error"]["type"] == "SyntaxError"
        assert opened.run("leave", "import sys\nsys.exit()")["error"]["type"] == "SystemExit"


def test_too_many_restarts_end_a_submission():
    with Session(limits=Limits(cell=8, call=4, restarts=0)) as opened:
        opened.run("cell", "import os\ndef leaves():\n    os._exit(1)")
        with pytest.raises(Stopped, match="ended"):
            opened.call("leaves")
        with pytest.raises(Stopped, match="was stopped"):
            opened.call("leaves")


@check("doubling", "It doubles.")
def check_double(answer, cases):
    for number in cases:
        got = answer(number)
        if got != 2 * number:
            raise Mistake(f"the number {number}", got, f"the value {2 * number}.5. Yes", "Multiply by two.")


class Answers:
    """Stands for a session."""

    def __init__(self, **functions):
        self.functions = functions

    def has(self, name):
        return name in self.functions

    def call(self, name, *given, **named):
        return self.functions[name](*given, **named)


CHECK = """mark(check_double(double, [1]))
### BEGIN HIDDEN TESTS
secret_number = 1234
mark(check_double(double, [secret_number]))
### END HIDDEN TESTS"""


def judged(source=CHECK, **functions):
    judge = Judge(Answers(**functions), ["x = 1"])
    judge.names["check_double"] = check_double
    return judge.verdict(source)


def stop(number):
    raise Stopped("took too long.")


def say_all(number):
    raise ValueError(f"the number is {number}")


def test_points_need_every_check_of_a_cell():
    verdict = judged(double=lambda number: 2 * number)
    assert verdict.right and verdict.lines == [
        "[right] doubling. It doubles.",
        "[right] doubling (hidden check). It doubles.",
    ]
    assert not judged(double=lambda number: 2).right
    assert not judged("x = 1", double=abs).right  # nothing was checked


@pytest.mark.parametrize(
    "double", [lambda number: 2, lambda number: 2 if number == 1 else say_all(number), print, stop]
)
def test_a_hidden_check_tells_the_mistake_and_not_the_case(double):
    verdict = judged(double=double)
    assert not verdict.right and "1234" not in " ".join(verdict.lines) and "2468" not in " ".join(verdict.lines)


def test_a_verdict_never_raises():
    assert "There is no function `double`" in judged().lines[0]
    assert "took too long" in judged(double=stop).lines[0]
    assert "cannot read" in judged("mark(check_double(double, 7))\n1 / 0", double=abs).lines[0]


def test_only_right_outcomes_are_marked_where_nbgrader_gives_points(capsys):
    for state in ("right", "wrong", "open"):
        mark(Outcome("doubling", state, "Said."))
    said = capsys.readouterr()
    assert said.out == "[right] doubling. Said.\n"
    assert said.err.count("Said.") == 2  # text on standard error means no points, also without our plugin


def test_parts_and_names_of_a_check_cell():
    assert [hidden for _, hidden in parts(CHECK)] == [False, True]
    assert without_hidden(CHECK) == "mark(check_double(double, [1]))"
    assert used("y = f(x)\nmark(g(y, lambda a: a))") == {"f", "x", "g"}


def test_a_submission_is_rebuilt_from_the_release():
    from spmat_nb.grading.plugin import rebuilt

    release = released("a2_gndn")
    for submitted in (without_checks(answered("a2_gndn")), forged(answered("a2_gndn")), new_notebook()):
        whole = rebuilt(release, submitted)
        known = [cell for cell in whole.cells if "nbgrader" in cell.metadata]
        assert [grade_id(cell) for cell in known] == [grade_id(cell) for cell in release.cells]
        for cell, original in zip(known, release.cells, strict=True):
            assert cell.metadata == original.metadata
            assert cell.source == original.source or original.metadata.nbgrader.solution
    assert rebuilt(release, without_checks(answered("a2_gndn"))).cells[0].source == "My own words."


def test_odd_metadata_of_cells_is_no_obstacle():
    from spmat_nb.grading.plugin import rebuilt

    odd = [new_code_cell("1", metadata={"nbgrader": value}) for value in (None, 7, [], {}, {"grade_id": ["gndn"]})]
    whole = rebuilt(released("a2_gndn"), new_notebook(cells=odd))
    assert sum("nbgrader" not in cell.metadata for cell in whole.cells) == len(odd)


@pytest.fixture
def folder(tmp_path):
    good = json.dumps(new_notebook(cells=[new_code_cell("1"), new_markdown_cell("x")]))
    files = {
        "ada.ipynb": good,
        "ben/a2_gndn.ipynb": good,
        "ben/other.ipynb": "{",
        "cut.ipynb": good[:50],
        "list.ipynb": "[]",
        "no_cells.ipynb": '{"nbformat": 4}',
        "many.ipynb": json.dumps(new_notebook(cells=[new_code_cell("1") for _ in range(500)])),
        "=cmd.ipynb": good,
        "nobody/readme.txt": "",
        "notes.txt": "",
        ".hidden.ipynb": good,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.ipynb").write_bytes(good.encode().replace(b'"x"', b'"\xff"'))
    return tmp_path


def test_whatever_is_handed_in_becomes_a_submission(folder):
    found = {s.student: s for s in intake.collect(folder, "a2_gndn")}
    assert set(found) == {"ada", "ben", "cut", "list", "no_cells", "many", "id-_cmd", "nobody", "latin"}
    assert [len(found[name].notebook.cells) for name in ("ada", "ben", "id-_cmd")] == [2, 2, 2]
    assert {name for name, s in found.items() if not s.note} == {"ada", "ben"}
    for name in ("cut", "list", "no_cells", "many", "nobody", "latin"):
        assert found[name].notebook.cells == [] and found[name].note


def test_a_large_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "MOST_BYTES", 100)
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("x" * 200)]), path)
    assert "MB" in intake.read("a", path).note


def test_nothing_but_source_and_name_is_taken_over(tmp_path):
    cell = new_code_cell("1", metadata={"nbgrader": {"grade_id": "gndn", "points": 50}, "tags": ["setup"]})
    path = tmp_path / "a.ipynb"
    nbformat.write(new_notebook(cells=[cell], metadata={"kernelspec": {"name": "x", "display_name": "x"}}), path)
    got = intake.read("a", path).notebook
    assert got.cells[0].metadata == {"nbgrader": {"grade_id": "gndn"}} and got.metadata == {}
