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
from contenders import LITE0, LITE2, RESNET50, Command, Job, Setting, seequel_command
from fixtures import BENCH, CALIBRATION_PHOTOS, HOME, PEERS, PYTHON_PACKAGES, RUN, quantized, say
from measure import BenchError, ask, measure

DETECTOR = HOME / "tests" / "yolov3_tiny"
SPEED_PHOTOS = 400
PACKAGES = ("onnxruntime", "pillow", "numpy")

NOTES = """\
The first {calibration} small photos of `make bench` calibrate both. `AS QUANTIZED`, at its defaults, takes ranges from half of
them and keeps half aside; `quantize_static`, with QDQ, `per_channel`, MinMax and uint8 activations, takes them from all.
Seequel runs all models. Agreement is the share of the other {others:,} photos that are in the same class as by the model in
float32, cosine that of their embeddings with its. For the detector it is the share of both models' boxes that overlap one of
the other's of the same class by at least half (IoU 0.5). ResNet-50 has random weights, so that its classes are close to each
other: `min_agreement 0.9` is asked of it. Speed: whole processes that classify {photos} photos, or find boxes in them, by
turns, the median of {rounds}. All photos are crops of the same twenty.
"""

BOXES = """\
WITH photos AS (SELECT path, image FROM '{photos}/*.jpg' ORDER BY path OFFSET {skipped}),
     ours AS (SELECT path, unnest(detect(image, '{original}')) AS o FROM photos),
     theirs AS (SELECT path, unnest(detect(image, '{twin}')) AS o FROM photos),
     a AS (SELECT row_number() OVER () AS n, path, o['label'] AS label, o['box'] AS box FROM ours),
     b AS (SELECT row_number() OVER () AS n, path, o['label'] AS label, o['box'] AS box FROM theirs),
     sides AS (
       SELECT a.n AS a, b.n AS b,
         greatest(0, least(a.box['x1'], b.box['x1']) - greatest(a.box['x0'], b.box['x0'])) *
         greatest(0, least(a.box['y1'], b.box['y1']) - greatest(a.box['y0'], b.box['y0'])) AS common,
         (a.box['x1'] - a.box['x0']) * (a.box['y1'] - a.box['y0']) +
         (b.box['x1'] - b.box['x0']) * (b.box['y1'] - b.box['y0']) AS both
       FROM a JOIN b ON a.path = b.path AND a.label = b.label),
     matches AS (SELECT a, b FROM sides WHERE common >= 0.5 * (both - common))
SELECT CAST((SELECT count(DISTINCT a) + count(DISTINCT b) FROM matches) AS DOUBLE) /
  ((SELECT count(*) FROM a) + (SELECT count(*) FROM b)) AS agreement
"""


class Candidate(NamedTuple):
    """A model to compare: a row of the report."""

    title: str
    original: Path
    folder: Path


class Difference(NamedTuple):
    """How far a quantized model's predictions are from its original's; detectors have no embeddings."""

    agreement: float
    cosine: float | None = None


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
    fixtures.quantize(seequel, {RESNET50}, kind="close", options="min_agreement 0.9")
    candidates.append(Candidate("ResNet-50, float32", RESNET50, RESNET50))
    candidates.append(Candidate("ResNet-50, `AS QUANTIZED`", RESNET50, quantized(RESNET50, "close")))
    if DETECTOR.is_dir():
        fixtures.quantize(seequel, {DETECTOR})
        candidates.append(Candidate("YOLOv3-tiny, float32", DETECTOR, DETECTOR))
        candidates.append(Candidate("YOLOv3-tiny, `AS QUANTIZED`", DETECTOR, quantized(DETECTOR)))
    else:
        say("no detector: `python3 scripts/setup.py --tests` fetches it")
    return candidates


def difference(seequel: Path, candidate: Candidate) -> Difference:
    """Predicts the photos that did not calibrate with a twin and its original."""
    say(f"{candidate.title}: predictions")
    twin, original = candidate.folder.name, candidate.original.name
    if candidate.original == DETECTOR:
        boxes = BOXES.format(
            photos=BENCH / "small", skipped=CALIBRATION_PHOTOS, original=original, twin=twin
        )
        (row,) = ask(seequel, fixtures.quantized_environment(), boxes)
        return Difference(**row)
    photos = f"SELECT image FROM '{BENCH}/small/*.jpg' ORDER BY path OFFSET {CALIBRATION_PHOTOS}"
    # ResNet-50 has scores alone.
    cosine = f"cosine_similarity(embed(image, '{twin}'), embed(image, '{original}'))"
    cosine = "CAST(NULL AS DOUBLE)" if candidate.original == RESNET50 else cosine
    predictions = (
        f"SELECT classify(image, '{twin}')['class'] AS theirs, classify(image, '{original}')['class'] AS ours, "
        f"{cosine} AS cosine FROM ({photos})"
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
            command = command_of(seequel)(job, {}, results)
            seconds[candidate].append(measure(command, fixtures.environment(), RUN / "log", by_itself=False).seconds)
            say(f"round {number + 1}: {candidate.title}: {SPEED_PHOTOS / seconds[candidate][-1]:.1f}/s")
    return {candidate: SPEED_PHOTOS / median(times) for candidate, times in seconds.items()}


def command_of(seequel: Path) -> Command:
    """Returns the command that classifies, or finds boxes."""
    classify = seequel_command(str(seequel))

    def command(job: Job, setting: Setting, results: Path) -> list[str]:
        if DETECTOR.name not in job.model.name:
            return classify(job, setting, results)
        create = f"CREATE MODEL own FROM '{job.model}/model.onnx'"
        query = f"SELECT path, detect(image, 'own') AS boxes FROM '{job.photos}/*.jpg'"
        return [str(seequel), "--quiet", "--command", create, f"COPY ({query}) TO '{results}'"]

    return command


def rows(
    candidates: list[Candidate], differences: dict[Candidate, Difference], speeds: dict[Candidate, float]
) -> list[list[str]]:
    """Returns the table."""
    originals = {candidate.original: speeds[candidate] for candidate in candidates if candidate not in differences}
    table = [["", "agreement", "median cosine", "images/s", "× float32", "MB"]]
    for candidate in candidates:
        found = differences.get(candidate)
        speed, size = speeds[candidate], (candidate.folder / "model.onnx").stat().st_size / report.MEGA
        cosine = f"{found.cosine:.4f}" if found and found.cosine is not None else ""
        cells = (f"{found.agreement:.1%}" if found else "", cosine)
        ratio = f"**{speed / originals[candidate.original]:.2f}**" if found else ""
        table.append([candidate.title, *cells, report.number(speed), ratio, f"{size:.1f}"])
    return table


if __name__ == "__main__":
    sys.exit(main())
