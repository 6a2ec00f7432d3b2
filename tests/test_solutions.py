"""Every exercise of the notebooks has a folded solution that its check calls right, and a stub that it calls open.

The convention, for all `notebooks/src/NN_name.py`:

1. An exercise is a code cell whose last line is one expression that calls a check, such as
   `checks.check_gndn(gndn)`. Above it stand stubs: functions with a docstring that `raise NotImplementedError`.
2. The next cell is markdown and holds the solution, folded. The summary begins with "Solution"; the first fenced
   python block is code that replaces the stubs (it defines at least their names); words may follow it:

       # <details><summary>Solution</summary>
       #
       # ```python
       # def gndn(batch, delta, draws):
       #     ...
       # ```
       #
       # Why it is so, in a sentence.
       # </details>

3. Cells that the exercises need (imports, helpers, small data) carry the tag `setup`: `# %% tags=["setup"]`. They run
   here in their order, in the `fast` preset and an empty folder, so keep them quick and free of figures. An exercise
   and its solution see the names of the setup cells *above* them and nothing else, no other exercise either.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from build_notebooks import SOURCES, read_source

FOLDED = re.compile(r"<details>\s*<summary>(?:<[^>]+>)*\s*Solution.*?</summary>(.*?)</details>", re.DOTALL)
MAGIC = re.compile(r"^\s*[%!]", re.MULTILINE)  # of Jupyter; not Python
FENCED = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PATHS = sorted(SOURCES.glob("*.py"))


def checked(source):
    """The statements of a cell and its last line, where that calls a check; else None."""
    *before, last = (not MAGIC.search(source) and ast.parse(source).body) or [None]
    if not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Call)):
        return None
    name = ast.unparse(last.value.func).split(".")[-1]
    return (before, ast.Expression(last.value)) if name.startswith("check_") else None


def solution(source):
    """The code of the folded solution in a markdown cell, or None."""
    folded = FOLDED.search(source)
    fenced = FENCED.search(folded[1]) if folded else None
    return fenced[1] if fenced else None


def exercises(path):
    """(number of the cell, code of the setup cells above, source, source of the next cell) of each exercise."""
    setup, cells = [], read_source(path).cells
    for number, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        if checked(cell.source):
            follows = cells[number + 1] if number + 1 < len(cells) else None
            text = follows.source if follows and follows.cell_type == "markdown" else ""
            yield number, "\n".join(setup), cell.source, text
        elif "setup" in cell.metadata.get("tags", []):
            setup.append(cell.source)


def parameters():
    return [pytest.param(*e[1:], id=f"{path.stem}-{e[0]:02d}") for path in PATHS for e in exercises(path)]


def run(code, names):
    exec(compile(code, "<notebook>", "exec"), names)


def functions(statements):
    return {s.name for s in statements if isinstance(s, ast.FunctionDef)}


@pytest.fixture
def names(tmp_path, monkeypatch):
    """An empty namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPMAT_PRESET", "fast")
    monkeypatch.setenv("SPMAT_RUNS_DIR", str(tmp_path))
    return {"__name__": "__main__"}


@pytest.mark.parametrize(("setup", "exercise", "text"), parameters())
def test_the_stub_is_open_and_the_solution_right(names, setup, exercise, text):
    before, call = checked(exercise)
    answer = solution(text)
    assert answer, "an exercise is followed by its folded solution"
    assert functions(before) <= functions(ast.parse(answer).body), "the solution replaces every stub"
    judge = compile(call, "<check>", "eval")
    run(setup, names)
    run(ast.Module(before, []), names)
    stub = eval(judge, names)
    assert stub.state == "open", str(stub)
    run(answer, names)
    outcome = eval(judge, names)
    assert outcome.state == "right", str(outcome)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_solution_follows_an_exercise(path):
    folded = sum(solution(cell.source) is not None for cell in read_source(path).cells)
    assert folded == len(list(exercises(path)))


def test_the_parts_of_an_exercise_are_found():
    cell = "def double(x):\n    raise NotImplementedError\n\n\nchecks.check_double(double)"
    before, call = checked(cell)
    assert functions(before) == {"double"} and ast.unparse(call) == "checks.check_double(double)"
    assert checked("x = check_double(double)") is None and checked("print(double)") is None and checked("") is None
    assert checked("%matplotlib inline\nchecks.check_double(double)") is None
    folded = (
        "<details><summary><b>Solution</b></summary>\n\n```python\ndef double(x):\n    return 2 * x\n```\n</details>"
    )
    assert solution(folded) == "def double(x):\n    return 2 * x\n"
    assert solution(folded.replace("Solution", "Question")) is None
