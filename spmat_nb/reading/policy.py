"""What is accepted, what is accepted with a warning and what is refused: one table, asked by every reader.

`docs/inputs.md` shows the table; a test keeps both equal. A reader that meets something odd names its key:
`notes.meet("occupancy-rounded", "...")` does what the table says.
"""

from dataclasses import dataclass

from ..errors import FileError, MachineError, RefusedError, StructureError, TableError
from .policy_cases import CASES, REFUSE, VERDICTS, WARN

ERRORS: dict[str, type[RefusedError]] = {"file": FileError, "structure": StructureError, "table": TableError}


@dataclass(frozen=True)
class Case:
    """One line of the policy.

    Attributes:
        key: name of the cause.
        group: what it is about, a key of `ERRORS`.
        verdict: one of `VERDICTS`.
        about: what is met.
        remedy: what happens then, or what to do about it.
    """

    key: str
    group: str
    verdict: str
    about: str
    remedy: str


POLICY: dict[str, Case] = {
    key: Case(key, group, verdict, about, remedy)
    for group, cases in CASES.items()
    for key, verdict, about, remedy in cases
}


@dataclass(frozen=True)
class Note:
    """Something odd that was accepted: the key of the policy and what was met."""

    cause: str
    detail: str

    @property
    def reason(self) -> str:
        """What was met and what became of it, in one sentence."""
        return f"{self.detail}; {POLICY[self.cause].remedy}"


def refuse(key: str, detail: str, source: str = "") -> RefusedError:
    """The error to raise for a cause that the policy refuses."""
    case = POLICY[key]
    if case.verdict != REFUSE:
        raise ValueError(f"the policy does not refuse {key!r}")
    return ERRORS[case.group](key, detail, case.remedy, source)


def fault(source: object, error: OSError) -> MachineError:
    """The error for a fault of the machine."""
    return MachineError(f"{source}: {error.strerror or error}; {POLICY['no-access'].remedy}")


class Notes:
    """What was met while one structure was read."""

    def __init__(self) -> None:
        self.items: list[Note] = []

    def meet(self, key: str, detail: str) -> None:
        """Do what the policy says: go on, go on and note it, or stop here.

        Raises:
            RefusedError: the verdict is to refuse.
        """
        verdict = POLICY[key].verdict
        if verdict == REFUSE:
            raise refuse(key, detail)
        if verdict == WARN and Note(key, detail) not in self.items:
            self.items.append(Note(key, detail))


def markdown() -> str:
    """The policy as the table of `docs/inputs.md`."""
    lines = ["| what is met | verdict | what happens, what to do | key |", "|---|---|---|---|"]
    lines += [f"| {case.about} | {VERDICTS[case.verdict]} | {case.remedy} | `{case.key}` |" for case in POLICY.values()]
    return "\n".join(lines) + "\n"
