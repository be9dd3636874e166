"""Mesa's software driver for Vulkan, with which the tests run WebGPU on a machine without a GPU.

It comes from the machine's own Debian or Ubuntu mirror, through an apt with settings and lists of its own: nothing is
installed, and apt's settings stay as they are. The packages are unpacked into .seequel, and the tests point the processes
that they start at them. apt verifies what it fetches.
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

PACKAGES = ["libvulkan1", "mesa-vulkan-drivers"]

# Beside the release's own packages, which may be too old: Debian 12 has Mesa 22.3, and WebGPU needs a later one.
POCKETS = ["", "-updates", "-backports"]

# The driver that computes on the processor, and what the system's loader for Vulkan reads about it.
DRIVER = "lvp_icd*.json"


def stamp() -> bytes:
    """Returns what the folder is made of: these scripts, for this release."""
    release = platform.freedesktop_os_release()
    return f"{release.get('ID')} {release.get('VERSION_ID')} {home.sha256(Path(__file__))}\n".encode()


def unpack(folder: Path, lock: int) -> None:
    """Unpacks the driver and what it needs of what the machine lacks into `folder`: `lib` and `lvp.json`."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError("this machine has no apt-get")
    workplace = home.TEMPORARY / "apt"
    apt = settings(workplace)
    run(["apt-get", *apt, "update"], lock)
    preferred = f"--target-release={codename()}-backports"
    fetch = ["install", "--yes", "--download-only", "--reinstall", "--no-install-recommends", preferred]
    run(["apt-get", *apt, *fetch, *PACKAGES], lock)
    root = workplace / "root"
    for package in sorted((workplace / "cache" / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(root)], lock)
    libraries, drivers = list(root.glob("usr/lib/*-linux-gnu")), list(root.glob(f"usr/share/vulkan/icd.d/{DRIVER}"))
    if len(libraries) != 1 or len(drivers) != 1:
        raise SetupError(f"{' and '.join(PACKAGES)} have no driver for processors")
    made = home.TEMPORARY / folder.name
    made.mkdir()
    shutil.move(libraries[0], made / "lib")
    shutil.move(drivers[0], made / "lvp.json")
    home.place(made, folder)


def settings(workplace: Path) -> list[str]:
    """Returns apt's options for a world of its own below `workplace`, but for what is installed and whom it trusts."""
    for folder in ["lists/partial", "cache/archives/partial", "root"]:
        (workplace / folder).mkdir(parents=True)
    sources = workplace / "sources.list"
    sources.write_text("".join(f"deb {mirror()} {codename()}{pocket} main\n" for pocket in POCKETS))
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
