"""Who works on what: claims in a shared folder, so that several processes and machines share a study."""

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 900.0  # seconds without a sign of life after which a claim is void


class Claim:
    """A file that only one can create; its date is renewed while its owner lives.

    Args:
        path: of the file.
        patience: seconds after which a claim without a sign of life may be taken over.
    """

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self.path, self.patience = path, patience

    def take(self) -> bool:
        """Whether it is ours now. A claim of a process that has ended on this machine is void at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._create():
            return True
        if not self._void():
            return False
        # Only one of those who find it void can move it away.
        aside = self.path.with_name(f"{self.path.name}.{socket.gethostname()}.{os.getpid()}.void")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return False
        aside.unlink(missing_ok=True)
        return self._create()

    def renew(self) -> None:
        """A sign of life."""
        with suppress(FileNotFoundError):
            os.utime(self.path)

    def give_back(self) -> None:
        """The work is done, or left."""
        self.path.unlink(missing_ok=True)

    def _create(self) -> bool:
        try:
            with self.path.open("x") as file:
                file.write(json.dumps({"host": socket.gethostname(), "process": os.getpid()}))
        except FileExistsError:
            return False
        return True

    def _void(self) -> bool:
        """Whether its owner has ended, or has not been heard of for long."""
        try:
            silent = time.time() - self.path.stat().st_mtime
            owner = json.loads(self.path.read_text() or "{}")
        except (FileNotFoundError, json.JSONDecodeError):
            return False  # given back, or being written, at this moment
        if owner.get("host") == socket.gethostname():
            return not alive(int(owner["process"]))
        return silent > self.patience


def alive(process: int) -> bool:
    """Whether a process of this machine exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
