"""Packages of Debian and Ubuntu for the tests, unpacked into .seequel.

They come from the machine's own mirror, through an apt with settings and lists of its own: nothing is installed, and apt's
settings stay as they are. apt verifies what it fetches.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import home
from home import SetupError

# Beside the release's own packages, which may be too old.
POCKETS = ["", "-updates", "-backports"]


def stamp(*scripts: str) -> bytes:
    """Returns what a folder is made of: these scripts, for this release."""
    release = platform.freedesktop_os_release()
    digests = " ".join(home.sha256(Path(script)) for script in [__file__, *scripts])
    return f"{release.get('ID')} {release.get('VERSION_ID')} {digests}\n".encode()


def unpack(packages: list[str], lock: int, *, backports: bool = False) -> Path:
    """Unpacks packages and what they need of what the machine lacks; returns the folder that stands for /."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError("this machine has no apt-get")
    workplace = home.TEMPORARY / f"apt-{packages[0]}"
    apt = settings(workplace)
    run(["apt-get", *apt, "update"], lock)
    preferred = [f"--target-release={codename()}-backports"] if backports else []
    fetch = ["install", "--yes", "--download-only", "--reinstall", "--no-install-recommends", *preferred]
    run(["apt-get", *apt, *fetch, *packages], lock)
    root = workplace / "root"
    for package in sorted((workplace / "cache" / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(root)], lock)
    return root


def settings(workplace: Path) -> list[str]:
    """Returns apt's options for a world of its own below `workplace`, but for what is installed and whom it trusts."""
    for folder in ["lists/partial", "cache/archives/partial", "root"]:
        (workplace / folder).mkdir(parents=True)
    sources = workplace / "sources.list"
    parts = "main universe" if platform.freedesktop_os_release().get("ID") == "ubuntu" else "main"
    sources.write_text("".join(f"deb {mirror()} {codename()}{pocket} {parts}\n" for pocket in POCKETS))
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": workplace / "lists",
        "Dir::Cache": workplace / "cache",
        # Nothing is installed, so that dpkg's lock is not needed.
        "Debug::NoLocking": "true",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",
    }
    return ["--quiet=2", *(f"--option={key}={value}" for key, value in options.items())]


def mirror() -> str:
    """Returns the mirror that the machine has its release from."""
    shown = subprocess.run(["apt-get", "update", "--print-uris"], capture_output=True, text=True).stdout
    found = re.search(rf"'(\S+)/dists/{codename()}/InRelease'", shown)
    if found is None:
        raise SetupError("apt has no source of this machine's release")
    return found[1]


def codename() -> str:
    """Returns the name of the machine's release, such as bookworm."""
    name = platform.freedesktop_os_release().get("VERSION_CODENAME")
    if name is None:
        raise SetupError("this machine's release has no name")
    return name


def run(command: list[str], lock: int) -> None:
    """Runs a command in English and without questions."""
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, pass_fds=[lock], capture_output=True, text=True)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:]
        raise SetupError(f"{command[0]} failed: {' '.join(last)}")
