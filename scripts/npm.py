"""Fetches packages from the npm registry through npm, which applies the user's settings for proxies and mirrors.

npm checks each package against the digest in package-lock.json, and runs no script of any.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import fetch
import home
from home import SetupError

FILES = ["package.json", "package-lock.json"]


def stamp(source: Path) -> bytes:
    """Returns what the folder is made of: these two files."""
    return "".join(f"{home.sha256(source / name)}\n" for name in FILES).encode()


def stamp_digest(source: Path) -> str:
    """Returns the digest of the stamp of a complete folder."""
    return hashlib.sha256(stamp(source)).hexdigest()


def install(source: Path, folder: Path, lock: int) -> None:
    """Installs what the package.json in `source` asks for into `folder`, below node_modules."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise SetupError("this machine has no node or npm; on Debian, `apt-get install nodejs npm`")
    partial = home.TEMPORARY / folder.name
    partial.mkdir()
    for name in FILES:
        shutil.copy(source / name, partial / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    environment = os.environ | {"NPM_CONFIG_CACHE": str(home.TEMPORARY / "npm")}
    done = subprocess.run(command, cwd=partial, env=environment, pass_fds=[lock], capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"npm could not install {source.name}'s packages; npm said:\n{fetch.indented(done.stderr)}")
    (partial / fetch.STAMP).write_bytes(stamp(source))
    home.place(partial, folder)
