#!/usr/bin/env python3
"""Compares Seequel on an NVIDIA GPU with a loop without an engine and a Python script, all on this machine.

    make setup RUNTIME=cuda && cargo build --release --example limit --bin seequel
    python3 benches/gpu.py --python PYTHON

All classify small photos with EfficientNet-Lite0 in float32 and batches of 32, and write a class and confidence for
each. Loading and warming up take seconds, so each runs on few and on many photos: the rate is that of the others.
PYTHON is an interpreter with onnxruntime-gpu, Pillow and pyarrow; without one, the script is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from measure import BenchError, measure

BENCHES = Path(__file__).resolve().parent
HOME = Path(os.environ.get("SEEQUEL_HOME", BENCHES.parent / ".seequel"))
FEW = 500


def main() -> int:
    """Runs all in turn, in rounds, and prints the medians."""
    options = parse_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    folders = {count: folder(options, count) for count in (FEW, options.count)}
    rates = {name: [] for name in commands(options, folders[FEW])}
    try:
        for _ in range(options.rounds):
            for name, found in rates.items():
                few, many = (seconds(options, name, photos) for photos in folders.values())
                found.append((options.count - FEW) / (many - few))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("| | images a second | range |\n|---|---|---|")
    for name, found in rates.items():
        print(f"| {name} | {statistics.median(found):,.0f} | {min(found):,.0f} to {max(found):,.0f} |")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = Path(os.environ.get("CARGO_TARGET_DIR", BENCHES.parent / "target")) / "release"
    parser.add_argument("--seequel", type=Path, default=target / "seequel", help="its binary")
    parser.add_argument("--limit", type=Path, default=target / "examples" / "limit", help="the loop's binary")
    parser.add_argument("--python", help="an interpreter with onnxruntime-gpu, Pillow and pyarrow")
    parser.add_argument("--photos", type=Path, default=HOME / "bench" / "small", help="folder of JPEGs to repeat")
    parser.add_argument("--count", type=int, default=20000, help="how many photos [default: 20000]")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured [default: 3]")
    parser.add_argument("--work", type=Path, default=HOME / "bench" / "gpu", help="folder for links and results")
    return parser.parse_args()


def folder(options: argparse.Namespace, count: int) -> Path:
    """Returns a folder of `count` links to the photos, which take turns."""
    photos = sorted(options.photos.glob("*.jpg"))
    if not photos:
        raise SystemExit(f"bench: {options.photos} has no photos: run `make bench ARGS=--quick` first")
    made = options.work / str(count)
    made.mkdir(exist_ok=True)
    for number in range(count):
        link = made / f"{number:06}.jpg"
        if not link.exists():
            link.hardlink_to(photos[number % len(photos)])
    return made


def seconds(options: argparse.Namespace, name: str, photos: Path) -> float:
    """Runs one of the commands over a folder and returns the time of the whole process."""
    log = options.work / "log"
    environment = os.environ | {"SEEQUEL_HOME": str(HOME), "ORT_DISABLE_TELEMETRY": "1"}
    return measure(commands(options, photos)[name], environment, log, by_itself=False).seconds


def commands(options: argparse.Namespace, photos: Path) -> dict[str, list[str]]:
    """Returns each contender's command over a folder."""
    model = HOME / "models" / "efficientnet_lite0"
    library = HOME / "runtimes" / "cuda" / "libonnxruntime.so"
    query = f"SELECT path, classify(image, 'gpu') FROM '{photos}/*.jpg'"
    settings = f"labels '{model}/labels.txt', device 'cuda'"
    create = f"CREATE MODEL gpu FROM '{model}/model.onnx' OPTIONS ({settings})"
    copy = f"COPY ({query}) TO '{options.work}/seequel.parquet'"
    numbers = ["--mean", "127", "127", "127", "--std", "128", "128", "128", "--batch", "32", "--sessions", "2"]
    limit = [str(options.limit), "--cuda", "--library", str(library), "--model", str(model / "model.onnx"), *numbers]
    all_commands = {
        "Seequel": [str(options.seequel), "-q", "--runtime", "cuda", "-c", create, "-c", copy],
        "loop without an engine": [*limit, "--results", str(options.work / "limit.csv"), str(photos)],
    }
    if options.python:
        script = [options.python, str(BENCHES / "peers" / "gpu_script.py"), "--photos", str(photos)]
        workers = str(len(os.sched_getaffinity(0)))
        results = ["--results", str(options.work / "script.parquet"), "--workers", workers]
        all_commands["Python script"] = [*script, "--model", str(model), *results]
    return all_commands


if __name__ == "__main__":
    sys.exit(main())
