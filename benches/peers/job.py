"""The common part of the peers' jobs: parses arguments and prints the time of the job alone."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path


def arguments(**settings: object) -> argparse.Namespace:
    """Reads the arguments: photos, model, results, and the job's own settings with their defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", required=True, help="folder of JPEGs")
    parser.add_argument("--model", required=True, help="folder of model.onnx, seequel.json and labels.txt")
    parser.add_argument("--results", required=True, help="Parquet file or folder of them to write")
    for name, default in settings.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def measure(job: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> None:
    """Runs the job and prints the number of photos and the seconds."""
    photos = len(list(Path(options.photos).glob("*.jpg")))
    start = time.perf_counter()
    job(options)
    print(json.dumps({"images": photos, "seconds": time.perf_counter() - start}))
