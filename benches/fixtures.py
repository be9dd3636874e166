"""What the benchmark needs before it can start: binaries, peers, models, photos. Made once, kept in Seequel's home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
ROOT = BENCHES.parent
sys.path.insert(0, str(ROOT / "scripts"))

import fetch
import home
from home import HOME, SetupError
from measure import BenchError

PEERS = BENCHES / "peers"
PYTHON_PACKAGES = HOME / "bench-python"
BENCH = HOME / "bench"
RUN = BENCH / "run"
"""Results, logs and folders of fewer photos: emptied by each run."""


def prepare(with_peers: bool) -> dict[str, Path]:
    """Makes what is missing and returns the binaries, `seequel` and `limit`, by name."""
    if not (HOME / "models" / "efficientnet_lite0" / "model.onnx").exists():
        raise BenchError("no models yet: run `make setup`")
    try:
        # Pillow, which makes the photos, is among the peers' packages.
        if with_peers or not (BENCH / "large").exists():
            say("installing the peers' packages, unless they are there")
            with home.locked() as lock:
                fetch.install(PEERS / "requirements.txt", PYTHON_PACKAGES, lock)
    except SetupError as error:
        raise BenchError(str(error)) from error
    BENCH.mkdir(exist_ok=True)
    make("photos.py", PYTHON_PACKAGES, [HOME / "photos", BENCH], BENCH / "large")
    labels = HOME / "models" / "efficientnet_lite0" / "labels.txt"
    make("resnet50.py", HOME / "python", [labels, BENCH / "resnet50"], BENCH / "resnet50")
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir()
    return build()


def make(script: str, packages: Path, arguments: list[Path], result: Path) -> None:
    """Runs a script of this folder, unless its result is there."""
    if result.exists():
        return
    say(f"running {script}")
    environment = os.environ | {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(BENCHES / script), *map(str, arguments)]
    if subprocess.run(command, env=environment).returncode != 0:
        raise BenchError(f"{script} failed")


def build() -> dict[str, Path]:
    """Builds both binaries for release and returns where cargo put them."""
    say("building seequel and the limit, for release")
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "build", "--release", "--locked", "--bin", "seequel", "--example", "limit"]
    command.append("--message-format=json-render-diagnostics")
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise BenchError("cargo could not build")
    artifacts = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        artifact["target"]["name"]: Path(artifact["executable"])
        for artifact in artifacts
        if artifact["reason"] == "compiler-artifact" and artifact["executable"]
    }


def photos(name: str, count: int) -> Path:
    """Returns a folder of the first `count` photos of a set, and reads them, so that all find them in memory."""
    folder = RUN / f"{name}-{count}"
    if not folder.exists():
        folder.mkdir()
        files = sorted((BENCH / name).iterdir())[:count]
        for file in files:
            os.link(file, folder / file.name)
            file.read_bytes()
    return folder


def environment() -> dict[str, str]:
    """Returns the environment of all contenders: the same libraries for all, and no reports to anyone."""
    inherited = {key: value for key, value in os.environ.items() if key != "ORT_DYLIB_PATH"}
    return inherited | {
        "SEEQUEL_HOME": str(HOME),
        "PYTHONPATH": f"{PYTHON_PACKAGES}:{PEERS}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DAFT_PROGRESS_BAR": "0",
        "DO_NOT_TRACK": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def say(text: str) -> None:
    """Reports progress."""
    print(text, file=sys.stderr, flush=True)
