"""Files written whole or not at all: a reader, or a run after a crash, sees the old one or the new one."""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO


def write_bytes(path: Path, data: bytes) -> None:
    """Write to a temporary file beside `path`, flush to disk, rename; nothing is left behind on failure."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            flush(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def flush(file: BinaryIO) -> None:
    """Wait until what was written has reached the disk."""
    file.flush()
    os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, values: Any) -> None:
    """Write plain values as JSON; a number that is not finite is refused."""
    write_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")
