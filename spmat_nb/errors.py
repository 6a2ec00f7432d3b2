"""The one family of errors a user of this package should ever meet."""


class SpmatError(Exception):
    """Something is wrong with an input or a setting; the text names it, the cause and the remedy."""


class InputError(SpmatError):
    """A file, table or structure cannot be used."""


class RefusedError(InputError):
    """One input that `policy.POLICY` refuses.

    Attributes:
        cause: key of the policy.
        detail: what was met.
        remedy: what to do about it.
        source: the file or the entry, or nothing where the caller knows it.
    """

    def __init__(self, cause: str, detail: str, remedy: str, source: str = "") -> None:
        super().__init__(cause, detail, remedy, source)
        self.cause, self.detail, self.remedy, self.source = cause, detail, remedy, source

    @property
    def reason(self) -> str:
        """Cause and remedy in one sentence, without the file."""
        return f"{self.detail}; {self.remedy}"

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}" if self.source else self.reason

    def of(self, source: str) -> "RefusedError":
        """The same refusal, with the file or entry that it is about."""
        return type(self)(self.cause, self.detail, self.remedy, self.source or source)


class FileError(RefusedError):
    """A file cannot be read: its bytes, its format or its place."""


class StructureError(RefusedError):
    """What was read is not a crystal that a graph can be built from."""


class TableError(RefusedError):
    """A row or a column of a table cannot be used."""


class MachineError(InputError):
    """A fault of the machine, such as a folder without permission; no input is to blame, and a batch stops."""


class StrictError(InputError):
    """Something was refused, and the caller asked for all or nothing; `report` has a row for each refusal."""

    def __init__(self, text: str, report: object = None) -> None:
        super().__init__(text, report)
        self.report = report

    def __str__(self) -> str:
        return str(self.args[0])


class SettingsError(SpmatError):
    """A setting, a name of a registry or a combination of them is not allowed."""


class CheckpointError(SpmatError):
    """A saved model is missing, damaged, or does not fit what it is asked to do."""


class TrainingError(SpmatError):
    """A loss became non-finite or a batch cannot be trained on."""


def unknown(kind: str, name: object, known: object) -> SettingsError:
    """The error for a name that is not in a registry, with the names that are."""
    return SettingsError(f"Unknown {kind} {name!r}. Known: {', '.join(map(str, known))}.")  # type: ignore[call-overload]
