"""The folder that set-up fills, `.seequel` or what SEEQUEL_HOME names, and how files come to lie in it whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
HOME = Path(os.environ.get("SEEQUEL_HOME") or SCRIPTS.parent / ".seequel").absolute()
CACHE = HOME / "cache"
TEMPORARY = HOME / "tmp"


class SetupError(Exception):
    """Something the person at the terminal can act upon; the message says how."""


@contextmanager
def locked() -> Iterator[int]:
    """Holds the folder for one set-up at a time and yields the lock; what an interrupted one left is removed.

    The lock is a file descriptor for child processes to inherit: a pip that outlives a killed set-up is waited for.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another set-up of {HOME}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        remove(TEMPORARY)
        TEMPORARY.mkdir()
        try:
            yield lock.fileno()
        finally:
            remove(TEMPORARY)


def write(path: Path, data: bytes) -> None:
    """Writes `path` whole or not at all."""
    partial = TEMPORARY / path.name
    partial.write_bytes(data)
    place(partial, path)


def place(partial: Path, path: Path) -> None:
    """Moves a finished file or folder from the temporary folder to its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        remove(path)
    os.replace(partial, path)


def remove(path: Path) -> None:
    """Removes a file or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str | None:
    """Returns the digest of a file in hex, or None if there is no such file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verified(path: Path, digest: str) -> Path:
    """Returns `path` if set-up has made it and it is as pinned."""
    if sha256(path) != digest:
        raise SetupError(f"{path} is missing or altered: run `python3 scripts/setup.py --tests`")
    return path
