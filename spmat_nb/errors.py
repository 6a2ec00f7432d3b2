"""The one family of errors a user of this package should ever meet."""


class SpmatError(Exception):
    """Something is wrong with an input or a setting; the text names it, the cause and the remedy."""


class InputError(SpmatError):
    """A file, table or structure cannot be used."""


class SettingsError(SpmatError):
    """A setting, a name of a registry or a combination of them is not allowed."""


class CheckpointError(SpmatError):
    """A saved model is missing, damaged, or does not fit what it is asked to do."""


class TrainingError(SpmatError):
    """A loss became non-finite or a batch cannot be trained on."""


def unknown(kind: str, name: object, known: object) -> SettingsError:
    """The error for a name that is not in a registry, with the names that are."""
    return SettingsError(f"Unknown {kind} {name!r}. Known: {', '.join(map(str, known))}.")  # type: ignore[call-overload]
