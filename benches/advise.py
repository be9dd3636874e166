#!/usr/bin/env python3
"""Follows the advice of `ADVISE` in cases that are slow on purpose, and compares what it gains with what was expected.

    make bench-advise                       # all cases, some minutes; writes ADVISE.md
    make bench-advise ARGS='--only store,memory'

Times are those of the second run of a query in a process, whose models are loaded.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import fixtures
import report
from fixtures import BENCH, BENCHES, HOME, PYTHON_PACKAGES, ROOT, say
from measure import TIMEOUT_SECONDS, BenchError

FOLDER = BENCH / "advise"
RESULTS = FOLDER / "results.json"
PHOTOS = 240
LARGE_PHOTOS = 48
LARGE_SIZE = (4000, 3000)
BYTES_A_SECOND = 3_000_000
FAST_BYTES_A_SECOND = 30_000_000
TOLERANCE = 0.2

NOTES = """\
Each case starts badly on purpose. `ADVISE` names a cause and expects a gain; then the query runs as it was and as advised,
twice each in one process, of which the second time counts: one measurement each, without intervals. "Off": the gain by the
one that was expected. A figure within {tolerance:.0%} is met. With `--only`, other rows are those of earlier runs, maybe of
another build; the load is that before the last run.
"""


class Store(NamedTuple):
    """A bucket of a folder's files, and its bytes a second."""

    folder: Path
    speed: int


class Case(NamedTuple):
    """A query that starts badly, and the same as advised."""

    what: str
    cause: str
    """What ADVISE has to find first."""
    bad: tuple[str, ...]
    """Statements, of which the last is the query."""
    advised: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    advised_arguments: tuple[str, ...] = ()
    store: Store | None = None


class Outcome(NamedTuple):
    """What ADVISE said, and what it gained."""

    what: str
    cause: str
    found: str
    expected: float
    before: float
    after: float
    evidence: str


def main() -> int:
    """Measures the cases, and prints and writes a table of all that were ever measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), help="some of the cases")
    parser.add_argument("--binary", type=Path, help="a binary of Seequel [default: build one for release]")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        seequel = options.binary or fixtures.release()
        prepare(seequel)
        all_cases = cases()
        for name in options.only or all_cases:
            keep(name, outcome(seequel, all_cases[name]))
    except BenchError as error:
        print(f"bench-advise: {error}", file=sys.stderr)
        return 1
    text = render(load, is_given=options.binary is not None)
    print(text)
    (BENCHES / "ADVISE.md").write_text(text, "utf-8")
    return 0


def prepare(seequel: Path) -> None:
    """Makes the photos and tables of the cases, unless they are there."""
    if not (BENCH / "small").exists():
        raise BenchError("no photos yet: run `make bench ARGS=--quick`")
    small, large, lossless = FOLDER / "small", FOLDER / "large", FOLDER / "lossless"
    if (FOLDER / "groups" / "cut.parquet").exists():
        return
    say("making photos")
    shutil.rmtree(FOLDER, ignore_errors=True)
    for folder in (small, large):
        folder.mkdir(parents=True)
    for photo in sorted((BENCH / "small").glob("*.jpg"))[:PHOTOS]:
        os.link(photo, small / photo.name)
    sys.path.insert(0, str(PYTHON_PACKAGES))
    from PIL import Image

    made = FOLDER / "making"
    made.mkdir()
    for number, photo in enumerate(sorted((BENCH / "large").glob("*.jpg"))[:LARGE_PHOTOS]):
        image = Image.open(photo).convert("RGB").resize(LARGE_SIZE)
        image.save(large / f"{number:04}.jpg", quality=92)
        image.save(made / f"{number:04}.png", compress_level=1)
    made.rename(lossless)
    (FOLDER / "groups").mkdir()
    for name, group in (("whole", "OPTIONS ('format.max_row_group_size' '100000')"), ("cut", "")):
        target = FOLDER / "groups" / f"{name}.parquet"
        copy = f"COPY (SELECT image FROM read_images('{BENCH / 'large'}')) TO '{target}' {group}"
        run(seequel, ["--quiet", "--command", copy], dict(os.environ))


def cases() -> dict[str, Case]:
    """Returns all cases by name."""
    folder = HOME / "models" / "efficientnet_lite0"
    model, labels = folder / "model.onnx", folder / "labels.txt"
    sixteen = ROOT / "tests" / "data" / "models" / "sixteen.onnx"
    small, large, lossless, out = (FOLDER / name for name in ("small", "large", "lossless", "out"))

    def create(**options: object) -> str:
        given = "".join(f", {key} '{value}'" for key, value in options.items())
        return f"CREATE OR REPLACE MODEL m FROM '{model}' OPTIONS (labels '{labels}'{given})"

    def classify(images: Path | str, name: str = "m") -> str:
        return f"SELECT path, classify(image, '{name}')['label'] AS label FROM read_images('{images}')"

    def one_by_one(photos: list[Path]) -> str:
        # The parser takes no more than 50 in a row.
        if len(photos) > 40:
            parts = (photos[start : start + 40] for start in range(0, len(photos), 40))
            return " UNION ALL ".join(f"SELECT * FROM ({one_by_one(part)})" for part in parts)
        return " UNION ALL ".join(f"SELECT path, image FROM read_images('{photo}')" for photo in photos)

    lite0 = "efficientnet_lite0"
    embeddings = f"SELECT path, embed(image, 'm') AS v FROM read_images('{small}')"
    few = sorted(small.glob("*.jpg"))[:160]
    fixed = f"CREATE MODEL fixed FROM '{sixteen}'"
    likes = "path LIKE '%5_.jpg' AND p['confidence'] > 0.5 OR path LIKE '%7_.jpg' AND p['confidence'] > 0.9"
    names = "path LIKE '%5_.jpg' OR path LIKE '%7_.jpg'"
    filtered = f"SELECT path FROM (SELECT path, classify(image) AS p FROM read_images('{small}')) WHERE ({likes})"
    parquet = "SELECT classify(image)['label'] FROM 's3://photos/{}.parquet'"
    s3 = "s3://photos/"
    return {
        "sessions": Case(
            "batch 64 on one session",
            "sessions",
            (create(batch_size=64, concurrency=1), classify(small)),
            (create(batch_size=64, concurrency=2), classify(small)),
        ),
        "batch": Case(
            "batch 64 on two sessions",
            "batch",
            (create(batch_size=64, concurrency=2), classify(small)),
            (create(batch_size="{}", concurrency=2), classify(small)),
        ),
        "threads": Case(
            "eight sessions of two threads on two cores",
            "sessions",
            (create(concurrency=8, num_cpus=2), "SET datafusion.execution.target_partitions = 16", classify(small)),
            (create(concurrency=2, num_cpus=1), "SET datafusion.execution.target_partitions = 16", classify(small)),
        ),
        "partitions": Case(
            "one target partition",
            "partitions",
            ("SET datafusion.execution.target_partitions = 1", classify(small, lite0)),
            ("SET datafusion.execution.target_partitions = 2", classify(small, lite0)),
        ),
        "store": Case(
            f"a store of {BYTES_A_SECOND // 1_000_000} MB a second",
            "store",
            (classify(s3, lite0),),
            (f"COPY (SELECT * FROM read_images('{small}')) TO '{out}.parquet'", classify(small, lite0)),
            store=Store(small, BYTES_A_SECOND),
        ),
        "memory": Case(
            "PNG photos of 12 MP in 128 MB",
            "memory",
            (classify(lossless, lite0),),
            (classify(lossless, lite0),),
            ("--memory-limit", "128MB"),
            ("--memory-limit", "512MB"),
        ),
        "decode": Case(
            "JPEG photos of 12 MP",
            "decode",
            (classify(large, lite0),),
            (
                f"COPY (SELECT path, thumbnail(image, 448) AS image FROM read_images('{large}')) TO '{out}.parquet'",
                f"SELECT path, classify(image)['label'] AS label FROM '{out}.parquet'",
            ),
        ),
        "padding": Case(
            "batches of 16 on inputs of one row",
            "padding",
            (fixed, f"SELECT path, classify(image, 'fixed')['class'] AS c FROM ({one_by_one(few)})"),
            (fixed, f"SELECT path, classify(image, 'fixed')['class'] AS c FROM read_images('{small}') LIMIT {len(few)}"),
        ),
        "filter": Case("LIKE within OR, above inference", "filter", (filtered,), (f"{filtered} AND ({names})",)),
        "text": Case(
            "embeddings as text in CSV",
            "text",
            (create(), f"COPY ({embeddings}) TO '{out}.csv'"),
            (create(), f"COPY ({embeddings}) TO '{out}.parquet'"),
        ),
        "column": Case(
            "image_info(image)['width'] of whole files",
            "column",
            (f"SELECT avg(image_info(image)['width']) FROM read_images('{s3}')",),
            (f"SELECT avg(width) FROM read_images('{s3}')",),
            store=Store(small, BYTES_A_SECOND),
        ),
        "groups": Case(
            "a row group of 134 MB, in a store of 30 MB a second",
            "row groups",
            (parquet.format("whole"),),
            (parquet.format("cut"),),
            store=Store(FOLDER / "groups", FAST_BYTES_A_SECOND),
        ),
    }


def outcome(seequel: Path, case: Case) -> Outcome:
    """Asks for advice, follows it, and times both."""
    say(case.what)
    with store(case.store) if case.store else contextlib.nullcontext({}) as variables:
        environment = os.environ | variables
        setup, query = case.bad[:-1], case.bad[-1]
        command = ["--quiet", "--format", "json", *case.arguments, "--command", ";".join((*setup, f"ADVISE {query}"))]
        lines = run(seequel, command, environment).stdout.splitlines()
        rows = json.loads(next(line for line in reversed(lines) if line.startswith("[")))
        first = rows[0]
        before = seconds(seequel, case.arguments, case.bad, environment)
        advised = tuple(statement.replace("'{}'", f"'{size(first)}'") for statement in case.advised)
        after = seconds(seequel, case.advised_arguments, advised, environment)
    expected = first.get("gain") or 1.0
    return Outcome(case.what, case.cause, first["cause"], expected, before, after, first["evidence"])


def size(finding: dict[str, str]) -> str:
    """Returns the batch size that a finding advises."""
    found = re.search(r"batch_size '(\d+)'", finding.get("change") or "")
    return found[1] if found else "1"


def seconds(
    seequel: Path, arguments: tuple[str, ...], statements: tuple[str, ...], environment: dict[str, str]
) -> float:
    """Returns the time of the second run of the last statement."""
    text = ";".join((*statements, statements[-1]))
    shown = run(seequel, ["--format", "csv", "--progress", "never", *arguments, "--command", text], environment)
    times = re.findall(r"row\(s\) in set, ([\d.]+) seconds", shown.stdout)
    if not times:
        raise BenchError(shown.stderr.strip().splitlines()[-1] if shown.stderr else "no time")
    return float(times[-1])


def run(seequel: Path, arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs Seequel to its end."""
    done = subprocess.run(
        [str(seequel), "--no-rc", *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    if done.returncode != 0:
        raise BenchError(done.stderr.strip().splitlines()[0])
    return done


@contextlib.contextmanager
def store(served: Store) -> Iterator[dict[str, str]]:
    """Serves a bucket, slowly; gives the environment variables for it."""
    script = ROOT / "tests" / "support" / "s3_server.py"
    environment = os.environ | {"PYTHONPATH": str(HOME / "test-python"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(script), str(served.folder)]
    with subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, text=True) as server:
        assert server.stdin and server.stdout
        port = server.stdout.readline().strip()
        server.stdin.write(json.dumps({"command": "throttle", "bytes_a_second": served.speed}) + "\n")
        server.stdin.flush()
        server.stdout.readline()
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        server.kill()


def keep(name: str, measured: Outcome) -> None:
    """Adds an outcome to the file of all."""
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | {name: measured}), "utf-8")


def render(load: float, *, is_given: bool) -> str:
    """Returns the report; `is_given` says that the binary is another than the release build."""
    known = {name: Outcome(*outcome) for name, outcome in json.loads(RESULTS.read_text("utf-8")).items()}
    rows = [["", "asked", "found first", "expected", "gained", "off", "met"]]
    for outcome in (known[name] for name in cases() if name in known):
        gained = outcome.before / outcome.after
        off = gained / outcome.expected - 1
        is_met = outcome.found == outcome.cause and abs(off) <= TOLERANCE
        cells = [outcome.what, outcome.cause, outcome.found, f"{outcome.expected:.2f} ×"]
        gain = f"{gained:.2f} × ({outcome.before:.2f} s, {outcome.after:.2f} s)"
        rows.append([*cells, gain, f"{off:+.0%}", "yes" if is_met else "**no**"])
    evidence = ["| | evidence |\n|---|---|"] + [f"| {known[name].what} | {known[name].evidence} |" for name in known]
    parts = [
        "# Results of `make bench-advise`",
        report.table(rows),
        NOTES.format(tolerance=TOLERANCE),
        "Measured with a binary given by `--binary`, such as the development build, not with the release build." * is_given,
        "\n".join(evidence),
        report.machine(load, ()),
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


if __name__ == "__main__":
    sys.exit(main())
