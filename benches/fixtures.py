"""The fixtures of the benchmark: binaries, peers, models, photos. Made once and kept in Seequel's home."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
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
QUANTIZED = BENCH / "quantized"
"""A home with links to the set-up's library and models, in which quantized models are made."""
CALIBRATION_PHOTOS = 100
DATAFUSION_CLI = HOME / "bench-cli"
CARGO = os.environ.get("CARGO", "cargo")
RUN = BENCH / "run"
"""Results, logs and folders of fewer photos; each run empties it."""


def prepare(with_peers: bool, example: str) -> dict[str, Path]:
    """Makes missing fixtures and returns the binaries, `seequel` and the example, by name."""
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
    make("photos.py", [PYTHON_PACKAGES], [HOME / "photos", BENCH], BENCH / "large")
    labels = HOME / "models" / "efficientnet_lite0" / "labels.txt"
    make("resnet50.py", [HOME / "python"], [labels, BENCH / "resnet50"], BENCH / "resnet50")
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir()
    return build(example)


def make(script: str, packages: Sequence[Path], arguments: Sequence[Path | str], result: Path) -> None:
    """Runs a script of this folder, unless its result exists."""
    if result.exists():
        return
    say(f"running {script}")
    path = os.pathsep.join(map(str, packages))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(BENCHES / script), *map(str, arguments)]
    if subprocess.run(command, env=environment).returncode != 0:
        raise BenchError(f"{script} failed")


def build(example: str) -> dict[str, Path]:
    """Builds both binaries for release and returns their paths."""
    say(f"building seequel and the example {example}, for release")
    command = [CARGO, "build", "--release", "--locked", "--bin", "seequel", "--example", example]
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


def release(*features: str) -> Path:
    """Builds the binary alone for release, with these features too, and returns its path."""
    command = [CARGO, "build", "--release", "--locked", "--bin", "seequel", f"--features={','.join(features)}"]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise BenchError("cargo could not build")
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "seequel"


def quantized(model: Path, kind: str = "int8") -> Path:
    """Returns the folder of the quantized twin of a model's folder; it may not exist."""
    return QUANTIZED / "models" / f"{model.name}_{kind}"


def quantize(seequel: Path, models: set[Path], kind: str = "int8", options: str | None = None) -> None:
    """Makes the twins that are missing, or older than the binary and so perhaps made differently."""
    (QUANTIZED / "models").mkdir(parents=True, exist_ok=True)
    links = {QUANTIZED / "lib": HOME / "lib"} | {QUANTIZED / "models" / model.name: model for model in models}
    for link, target in links.items():
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    for model in sorted(models):
        twin = quantized(model, kind)
        made = twin / "model.onnx"
        if made.exists() and made.stat().st_mtime > seequel.stat().st_mtime:
            continue
        say(f"quantizing {model.name}")
        query = f"SELECT image FROM '{BENCH}/small/*.jpg' ORDER BY path LIMIT {CALIBRATION_PHOTOS}"
        # Agreement of predictions from random weights means nothing, so no node is left in float32 for it.
        chosen = options or ("min_agreement 0" if model.name == "resnet50" else "")
        create = f"CREATE OR REPLACE MODEL {twin.name} AS QUANTIZED {model.name} USING ({query})"
        create += f" OPTIONS ({chosen})" if chosen else ""
        command = [str(seequel), "--quiet", "--command", create]
        if subprocess.run(command, env=quantized_environment()).returncode != 0:
            raise BenchError(f"{model.name} could not be quantized")


def photos(name: str, count: int) -> Path:
    """Returns a folder of the first `count` photos of a set, and reads them into the page cache."""
    folder = RUN / f"{name}-{count}"
    if not folder.exists():
        folder.mkdir()
        files = sorted((BENCH / name).iterdir())[:count]
        for file in files:
            os.link(file, folder / file.name)
            file.read_bytes()
    return folder


def many_photos(name: str, count: int) -> Path:
    """Returns a folder of `count` photos, hard links to those of a set, repeated as needed."""
    folder = RUN / f"many-{name}-{count}"
    if not folder.exists():
        folder.mkdir()
        files = sorted((BENCH / name).iterdir())
        for number, file in zip(range(count), itertools.cycle(files), strict=False):
            os.link(file, folder / f"{number:06}.jpg")
        for file in files:
            file.read_bytes()
    return folder


def datafusion_cli() -> Path:
    """Returns DataFusion's own shell, of the version that Seequel is built on; installs it if necessary."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))
    version = next(package["version"] for package in lock["package"] if package["name"] == "datafusion")
    # `cargo install` does nothing if it is installed, but queries the registry first.
    installed = DATAFUSION_CLI / ".crates.toml"
    if not installed.exists() or f"datafusion-cli {version} " not in installed.read_text("utf-8"):
        say(f"installing datafusion-cli {version}")
        command = [CARGO, "install", "datafusion-cli", f"--version={version}", "--locked", f"--root={DATAFUSION_CLI}"]
        if subprocess.run(command).returncode != 0:
            raise BenchError("cargo could not install datafusion-cli")
    return DATAFUSION_CLI / "bin" / "datafusion-cli"


def environment() -> dict[str, str]:
    """Returns the environment of all contenders: the same libraries, and no telemetry."""
    inherited = {key: value for key, value in os.environ.items() if key != "ORT_DYLIB_PATH"}
    return inherited | {
        "SEEQUEL_HOME": str(HOME),
        "PYTHONPATH": f"{PYTHON_PACKAGES}:{PEERS}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DAFT_PROGRESS_BAR": "0",
        "DO_NOT_TRACK": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def quantized_environment() -> dict[str, str]:
    """Returns the same with the home of quantized models."""
    return environment() | {"SEEQUEL_HOME": str(QUANTIZED)}


def say(text: str) -> None:
    """Reports progress."""
    print(text, file=sys.stderr, flush=True)
