"""The set-up's folder, `.seequel` or SEEQUEL_HOME, and atomic writes into it."""

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

# ONNX Runtime reports to its maker unless it finds this when it is opened, here or in a process that is started here.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class SetupError(Exception):
    """An error that the user can fix; the message says how."""


@contextmanager
def locked() -> Iterator[int]:
    """Locks the folder for one set-up at a time, removes temporary files of an interrupted one, and yields the lock.

    The lock is a file descriptor that child processes inherit: if a set-up is killed, the next one waits for its pip.
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
    """Writes `path` atomically."""
    partial = TEMPORARY / path.name
    partial.write_bytes(data)
    place(partial, path)


def place(partial: Path, path: Path) -> None:
    """Moves a finished file or folder from the temporary folder to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        remove(path)
    os.replace(partial, path)


def remove(path: Path) -> None:
    """Removes a file or a whole folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str | None:
    """Returns the digest of a file in hex, or None if it does not exist."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verified(path: Path, digest: str) -> Path:
    """Returns `path` if its digest is the pinned one."""
    if sha256(path) != digest:
        raise SetupError(f"{path} is missing or altered: run `python3 scripts/setup.py --tests`")
    return path
