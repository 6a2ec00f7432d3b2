"""The text of a file, whatever its compression and encoding; under the policy for files."""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .policy import Notes, fault, refuse
from .policy_cases import MAX_TEXT

Opener = Callable[[IO[bytes]], Any]
OPENERS: dict[bytes, Opener] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
HEAD = 16  # bytes that tell formats apart
COMPRESSED = (".gz", ".bz2", ".xz")
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32"} | dict.fromkeys(
    (b"\xff\xfe", b"\xfe\xff"), "utf-16"
)
PICTURES = {b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"%PDF": "a PDF", b"PK\x03\x04": "a zip"}
CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f]")
WEB_PAGE = re.compile(r"\s*<(!doctype html|html|\?xml)", re.IGNORECASE)
MINUS = re.compile("[\u2010-\u2013\u2212](?=[.\\d])")  # hyphens, en dash and minus sign before a number
BLANKS = re.compile("[\u00a0\u2000-\u200b\u202f\ufeff]")


def read_text(path: Path, notes: Notes) -> str:
    """The text of a file with plain line ends, minus signs and blanks.

    Raises:
        FileError: it is no regular file, empty, too large, or no text.
        MachineError: it cannot be opened or read.
    """
    return plain(read_bytes(path), notes)


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file as it lies on the disk.

    Raises:
        FileError: it is no regular file.
        MachineError: it cannot be opened or read.
    """
    check_regular(path)
    try:
        with path.open("rb") as raw:
            return raw.read(HEAD)
    except OSError as error:
        raise fault(path.name, error) from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked.

    Raises:
        FileError: it is no regular file, too large, or a damaged archive.
        MachineError: it cannot be opened or read.
    """
    head = first_bytes(path)
    try:
        with path.open("rb") as raw:
            data = raw.read(MAX_TEXT + 1)
    except OSError as error:
        raise fault(path.name, error) from error
    opener = next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)
    data = data if opener is None else _unpack(data, opener)
    if len(data) > MAX_TEXT:
        raise refuse("too-large", f"the file is larger than {MAX_TEXT // 2**20} MiB")
    return data


def _unpack(data: bytes, opener: Opener) -> bytes:
    """At most a byte more than allowed, so that a bomb does not fill the memory."""
    try:
        with opener(io.BytesIO(data)) as file:
            return bytes(file.read(MAX_TEXT + 1))
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise refuse("broken-archive", f"the compressed data are damaged or cut ({error})") from error


def check_regular(path: Path) -> None:
    """Raise unless the path leads to a regular file that can be opened without waiting.

    Raises:
        FileError: nothing there, or no regular file.
        MachineError: it cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        what = "the link leads to nothing" if path.is_symlink() else f"no file {str(path)!r}"
        raise refuse("missing", what) from error
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise fault(path.name, error) from error
        raise refuse("not-a-file", f"the path cannot be followed ({error.__class__.__name__})") from error
    if not stat.S_ISREG(mode):
        raise refuse("not-a-file", "not a regular file")


def inside(path: Path, folder: Path) -> None:
    """Raise when a path, followed through its links, leads out of the folder.

    Raises:
        FileError: it does.
    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise refuse("outside", "the path leads out of its folder")


def plain(data: bytes, notes: Notes) -> str:
    """Decode, and make line ends, minus signs and blanks plain.

    Raises:
        FileError: no text, an empty one, or a web page.
    """
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    if encoding is None:
        _check_not_binary(data)
    text = _decode(data, encoding, notes).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise refuse("empty", "cannot be read: the file is empty")
    if WEB_PAGE.match(text):
        raise refuse("web-page", "a web page, not a structure")
    if text.isascii():
        return text
    simple = BLANKS.sub(" ", MINUS.sub("-", text))
    if simple != text:
        notes.meet("typography", "minus signs or blanks that are not plain")
    return simple


def _check_not_binary(data: bytes) -> None:
    what = next((name for magic, name in PICTURES.items() if data.startswith(magic)), "")
    if what or CONTROL.search(data):
        raise refuse("binary", f"cannot be read as text: {what or 'it has control characters'}")


def _decode(data: bytes, encoding: str | None, notes: Notes) -> str:
    """The text in the encoding of its mark, else in UTF-8, else in Latin-1, where every byte is a letter."""
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise refuse("binary", f"cannot be read as text: not the {encoding} that its mark says") from error
    notes.meet("encoding-guessed", "the text is not UTF-8")
    return data.decode("latin-1")
