#!/usr/bin/env python3
"""Compares `CREATE MODEL … AS QUANTIZED` with Python's `onnxruntime.quantization.quantize_static`.

    make bench-quantize > benches/QUANTIZE.md

Both get the same photos to calibrate on. Seequel runs both models on the others: what differs is the models alone.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import os
import shutil
from pathlib import Path
from statistics import median
from typing import NamedTuple

import fixtures
import report
from contenders import LITE0, LITE2, Job, seequel_command
from fixtures import BENCH, CALIBRATION_PHOTOS, HOME, PEERS, PYTHON_PACKAGES, RUN, quantized, say
from measure import BenchError, ask, measure

SPEED_PHOTOS = 400
PACKAGES = ("onnxruntime", "pillow", "numpy")

NOTES = """\
The first {calibration} small photos of `make bench` calibrate both. `AS QUANTIZED`, at its defaults, takes ranges from half of
them and keeps half aside; `quantize_static`, with QDQ, `per_channel`, MinMax and uint8 activations, takes them from all.
Seequel runs all models. Agreement is the share of the other {others:,} photos that are in the same class as by the model in
float32, cosine that of their embeddings with its. Speed: whole processes that classify {photos} photos, by turns, the
median of {rounds}. All photos are crops of the same twenty.
"""


class Candidate(NamedTuple):
    """A model to compare: a row of the report."""

    title: str
    original: Path
    folder: Path


class Difference(NamedTuple):
    """How far a quantized model's predictions are from its original's."""

    agreement: float
    cosine: float


def main() -> int:
    """Makes missing models, compares predictions, measures in rounds, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured [default: 3]")
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0]
    try:
        seequel = fixtures.prepare(with_peers=True, example="limit")["seequel"]
        candidates = make_candidates(seequel)
        others = sum(1 for _ in (BENCH / "small").iterdir()) - CALIBRATION_PHOTOS
        differences = {one: difference(seequel, one) for one in candidates if one.folder != one.original}
        speeds = measured(seequel, candidates, rounds)
    except BenchError as error:
        print(f"bench-quantize: {error}", file=sys.stderr)
        return 1
    table = report.table(rows(candidates, differences, speeds))
    notes = NOTES.format(calibration=CALIBRATION_PHOTOS, others=others, photos=SPEED_PHOTOS, rounds=rounds)
    parts = ["# Results of `make bench-quantize`", table, notes, report.machine(load, PACKAGES)]
    print("\n".join(part.rstrip() + "\n" for part in parts), end="")
    shutil.rmtree(RUN)
    return 0


def make_candidates(seequel: Path) -> list[Candidate]:
    """Returns both models, and the twins of each, after making those that are missing."""
    fixtures.quantize(seequel, {LITE0, LITE2})
    candidates = []
    for title, model in (("Lite0", LITE0), ("Lite2", LITE2)):
        static = quantized(model).with_name(f"{model.name}_static")
        arguments = [model, BENCH / "small", str(CALIBRATION_PHOTOS), static]
        fixtures.make("peers/quantize_static.py", [PYTHON_PACKAGES, HOME / "python", PEERS], arguments, static)
        candidates.append(Candidate(f"{title}, float32", model, model))
        candidates.append(Candidate(f"{title}, `AS QUANTIZED`", model, quantized(model)))
        candidates.append(Candidate(f"{title}, `quantize_static`", model, static))
    return candidates


def difference(seequel: Path, candidate: Candidate) -> Difference:
    """Predicts the photos that did not calibrate with a twin and its original."""
    say(f"{candidate.title}: predictions")
    twin, original = candidate.folder.name, candidate.original.name
    photos = f"SELECT image FROM '{BENCH}/small/*.jpg' ORDER BY path OFFSET {CALIBRATION_PHOTOS}"
    predictions = (
        f"SELECT classify(image, '{twin}')['class'] AS theirs, classify(image, '{original}')['class'] AS ours, "
        f"cosine_similarity(embed(image, '{twin}'), embed(image, '{original}')) AS cosine FROM ({photos})"
    )
    query = (
        f"SELECT count(*) FILTER (WHERE theirs = ours) / CAST(count(*) AS DOUBLE) AS agreement, "
        f"median(cosine) AS cosine FROM ({predictions})"
    )
    (row,) = ask(seequel, fixtures.quantized_environment(), query)
    return Difference(**row)


def measured(seequel: Path, candidates: list[Candidate], rounds: int) -> dict[Candidate, float]:
    """Returns the images a second of each model, the median of rounds of alternating order."""
    photos = fixtures.photos("small", SPEED_PHOTOS)
    seconds: dict[Candidate, list[float]] = {candidate: [] for candidate in candidates}
    for number in range(rounds):
        for candidate in candidates if number % 2 == 0 else reversed(candidates):
            results = RUN / "results.parquet"
            results.unlink(missing_ok=True)
            job = Job("small", photos, SPEED_PHOTOS, candidate.folder)
            command = seequel_command(str(seequel))(job, {}, results)
            seconds[candidate].append(measure(command, fixtures.environment(), RUN / "log", by_itself=False).seconds)
            say(f"round {number + 1}: {candidate.title}: {SPEED_PHOTOS / seconds[candidate][-1]:.1f}/s")
    return {candidate: SPEED_PHOTOS / median(times) for candidate, times in seconds.items()}


def rows(
    candidates: list[Candidate], differences: dict[Candidate, Difference], speeds: dict[Candidate, float]
) -> list[list[str]]:
    """Returns the table."""
    originals = {candidate.original: speeds[candidate] for candidate in candidates if candidate not in differences}
    table = [["", "agreement", "median cosine", "images/s", "× float32", "MB"]]
    for candidate in candidates:
        found = differences.get(candidate)
        speed, size = speeds[candidate], (candidate.folder / "model.onnx").stat().st_size / report.MEGA
        cells = (f"{found.agreement:.1%}", f"{found.cosine:.4f}") if found else ("", "")
        ratio = f"**{speed / originals[candidate.original]:.2f}**" if found else ""
        table.append([candidate.title, *cells, report.number(speed), ratio, f"{size:.1f}"])
    return table


if __name__ == "__main__":
    sys.exit(main())
