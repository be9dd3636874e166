"""The contenders: the command line of each for a job, and the grid of settings to search."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from os import sched_getaffinity
from pathlib import Path
from typing import NamedTuple

import fixtures
from fixtures import BENCH, HOME, PEERS, RUN, quantized

CORES = len(sched_getaffinity(0))
LITE0 = HOME / "models" / "efficientnet_lite0"
LITE2 = HOME / "models" / "efficientnet_lite2"
LITE2_CALL = "classify(image, 'efficientnet_lite2')"
OPENVINO = HOME / "runtimes" / "openvino"
BF16_FEATURES = ("avx512_bf16", "amx_bf16")
RESNET50 = BENCH / "resnet50"

COLUMNS = ("small", "large", "resnet50")

Setting = dict[str, object]

SEEQUEL_GRID = [{"batch_size": batch, "concurrency": CORES * each} for each in (1, 2) for batch in (1, 2, 4, 8)]
SEEQUEL_GRID += [{"batch_size": batch, "concurrency": 1, "num_cpus": CORES} for batch in (1, 4)]
LIMIT_GRID = [
    {"batch": batch, "sessions": sessions, "threads": threads}
    for sessions, threads in ((CORES, 1), (1, CORES))
    for batch in (1, 2, 4, 8)
]
DAFT_GRID = [
    {"batch": batch, "concurrency": CORES, "process": process} for batch in (8, 32) for process in (0, 1)
]
DAFT_GRID += [{"batch": 16, "concurrency": CORES * 2, "process": 0}]
RAY_GRID = [
    {"batch": batch, "concurrency": concurrency, "cpus": 0.5}
    for concurrency in (CORES, max(1, CORES // 2))
    for batch in (16, 64)
]
SCRIPT_GRID = [{"threads": threads, "workers": CORES * each} for threads in (1, CORES) for each in (1, 2)]


class Job(NamedTuple):
    """Photos to classify; a column of the report."""

    column: str
    photos: Path
    count: int
    model: Path

    @property
    def parquet(self) -> Path:
        """The Parquet file of the same photos, paths and bytes; it may not exist."""
        return self.photos.with_suffix(".parquet")


Command = Callable[[Job, Setting, Path], list[str]]
"""Returns the command line for a job, a setting and the path of the results."""


class Contender(NamedTuple):
    """A way to do the jobs; a row of the report."""

    family: str
    name: str
    command: Command
    suffix: str
    """Suffix of the results, which may be a folder."""
    columns: tuple[str, ...] = ("small", "large")
    grid: Sequence[Setting] = ({},)
    """Settings to search, the most likely best first."""
    by_itself: bool = False
    """Whether it measures its own time, without start-up."""
    has_workers: bool = False
    """Whether it runs processes that its peak memory does not include."""
    compared_with: str = "Seequel"
    """The contender of the same model in float32, with whose predictions its own are compared."""
    is_exact: bool = True
    """Whether it computes in float32, so that its predictions should equal those."""
    missing: str | None = None
    """What this machine lacks to run it."""


def jobs(share: float, columns: Sequence[str]) -> list[Job]:
    """Returns the jobs of these columns, each with the given share of its photos."""
    sizes = [("small", "small", 1600, LITE0), ("large", "large", 400, LITE0), ("resnet50", "small", 400, RESNET50)]
    counts = [(column, name, round(most * share), model) for column, name, most, model in sizes if column in columns]
    return [Job(column, fixtures.photos(name, count), count, model) for column, name, count, model in counts]


def contenders(binaries: dict[str, Path]) -> list[Contender]:
    """Returns all contenders, Seequel at its defaults first."""
    binary = str(binaries["seequel"])
    lite2 = seequel_command(binary, calls=[LITE2_CALL])
    int8 = seequel_command(binary, model=quantized)
    lite2_int8 = seequel_command(binary, model=lambda _: quantized(LITE2))
    both = seequel_command(binary, calls=["{own}", LITE2_CALL])
    errors = f"'errors' '{RUN}/errors.parquet'"
    with_letters = seequel_command(binary, target=f"'{{results}}' OPTIONS ({errors})")
    with_resume = seequel_command(
        binary, target=f"'{{results}}/' STORED AS PARQUET OPTIONS ('resume' 'path', {errors})"
    )
    return [
        Contender("seequel", "Seequel", seequel_command(binary), ".parquet", COLUMNS),
        Contender("seequel", "Seequel, tuned", seequel_command(binary), ".parquet", COLUMNS, SEEQUEL_GRID),
        Contender("seequel", "Seequel, from Parquet", seequel_command(binary, parquet=True), ".parquet"),
        Contender("seequel", "Seequel, Lite2 alone", lite2, ".parquet", compared_with="Seequel, Lite2 alone"),
        Contender("seequel", "Seequel, Lite0 and Lite2", both, ".parquet"),
        Contender("writing", "Seequel, with dead letters", with_letters, ".parquet"),
        Contender("writing", "Seequel, with resume", with_resume, ".out"),
        Contender("precision", "Seequel, int8", int8, ".parquet", COLUMNS, is_exact=False),
        Contender(
            "precision",
            "Seequel, Lite2 int8",
            lite2_int8,
            ".parquet",
            compared_with="Seequel, Lite2 alone",
            is_exact=False,
        ),
        openvino(binary, "f32", options={"precision": "'f32'"}, is_exact=True),
        openvino(binary, "bf16", options={"precision": "'bf16'"}, features=BF16_FEATURES),
        openvino(binary, "int8", model=quantized),
        openvino(
            binary,
            "Lite2 int8",
            model=lambda _: quantized(LITE2),
            columns=COLUMNS[:2],
            compared_with="Seequel, Lite2 alone",
        ),
        Contender("limit", "limit", limit_command(binaries["limit"]), ".csv", COLUMNS, LIMIT_GRID),
        Contender("daft", "Daft", peer_command("daft_job.py", "daft"), ".out", grid=DAFT_GRID),
        Contender("daft", "Daft, reduced by hand", peer_command("daft_job.py", "pillow"), ".out", grid=DAFT_GRID),
        Contender(
            "ray",
            "Ray Data",
            peer_command("ray_job.py", "ray"),
            ".out",
            grid=RAY_GRID,
            by_itself=True,
            has_workers=True,
        ),
        Contender(
            "ray",
            "Ray Data, reduced by hand",
            peer_command("ray_job.py", "pillow"),
            ".out",
            grid=RAY_GRID,
            by_itself=True,
            has_workers=True,
        ),
        Contender("script", "Python script", peer_command("script.py"), ".parquet", grid=SCRIPT_GRID),
    ]  # fmt: skip


def openvino(
    binary: str,
    kind: str,
    *,
    model: Callable[[Path], Path] = lambda model: model,
    options: Setting | None = None,
    features: Sequence[str] = (),
    columns: tuple[str, ...] = COLUMNS,
    compared_with: str = "Seequel",
    is_exact: bool = False,
) -> Contender:
    """Returns Seequel with Intel's kernels, which may need one of these features of a processor."""
    choices = {"device": "'openvino'"} | (options or {})
    command = seequel_command(binary, model=model, options=choices, runtime=OPENVINO.name)
    missing = None
    if not OPENVINO.exists():
        missing = "its runtime is not installed; `make setup RUNTIME=openvino` does it"
    elif features and processor_features().isdisjoint(features):
        missing = f"this processor has neither {' nor '.join(features)}"
    return Contender(
        "precision",
        f"Seequel, OpenVINO {kind}",
        command,
        ".parquet",
        columns,
        compared_with=compared_with,
        is_exact=is_exact,
        missing=missing,
    )


def processor_features() -> set[str]:
    """Returns the names of the processor's features, as Linux spells them; none if it doesn't tell."""
    with open("/proc/cpuinfo") as file:
        return next((set(line.split()) for line in file if line.startswith("flags")), set())


def seequel_command(
    binary: str,
    *,
    calls: Sequence[str] = ("{own}",),
    parquet: bool = False,
    model: Callable[[Path], Path] = lambda model: model,
    options: Setting | None = None,
    runtime: str | None = None,
    target: str = "'{results}'",
) -> Command:
    """Returns the command of one query with these calls.

    `{own}` is `model` of the job's model, with the setting and these options; `target` follows TO.
    """

    def command(job: Job, setting: Setting, results: Path) -> list[str]:
        statements, own = [], "classify(image)"
        folder, choices = model(job.model), (options or {}) | setting
        if choices or folder != LITE0:
            own = "classify(image, 'own')"
            listed = ", ".join(f"{key} {value}" for key, value in choices.items())
            statements.append(f"CREATE MODEL own FROM '{folder}/model.onnx' OPTIONS ({listed})")
        source = f"'{job.parquet}'" if parquet else "photos"
        if not parquet:
            statements.append(f"CREATE EXTERNAL TABLE photos STORED AS IMAGES LOCATION '{job.photos}/'")
        fields, columns = ["path"], ["path"]
        for number, call in enumerate(calls):
            suffix = str(number + 1) if number else ""
            columns.append(f"{call.format(own=own)} AS p{suffix}")
            fields += [f"p{suffix}['{field}'] AS {field}{suffix}" for field in ("label", "class", "confidence")]
        query = f"SELECT {', '.join(fields)} FROM (SELECT {', '.join(columns)} FROM {source})"
        statements.append(f"COPY ({query}) TO {target.format(results=results)}")
        start = [binary, "--runtime", runtime] if runtime else [binary]
        return [*start, "--quiet", "--command", *statements]

    return command


def limit_command(binary: Path) -> Command:
    """Returns the command of the loop without an engine, with the contents of seequel.json as arguments."""

    def command(job: Job, setting: Setting, results: Path) -> list[str]:
        settings = json.loads((job.model / "seequel.json").read_text("utf-8"))
        options: Setting = {
            "library": HOME / "lib" / "libonnxruntime.so",
            "model": job.model / "model.onnx",
            "output": settings["output"],
            "size": settings["input_size"].split("x")[0],
            "rescale": settings["rescale"],
            "mean": per_channel(settings["mean"]),
            "std": per_channel(settings["std"]),
            "results": results,
        }
        return [str(binary), str(job.photos), *arguments(options | setting)]

    return command


def peer_command(script: str, decode: str | None = None) -> Command:
    """Returns the command of a script in `peers/`, with the decoder as argument where it has a choice."""

    def command(job: Job, setting: Setting, results: Path) -> list[str]:
        options: Setting = {"photos": job.photos, "model": job.model, "results": results}
        options |= {"decode": decode} if decode else {}
        return [sys.executable, str(PEERS / script), *arguments(options | setting)]

    return command


def per_channel(value: float | list[float]) -> str:
    """Writes one number, or one for each of three channels, as three numbers."""
    return ",".join(map(str, value if isinstance(value, list) else [value] * 3))


def arguments(options: Setting) -> list[str]:
    """Writes options as `--name=value`."""
    return [f"--{name}={value}" for name, value in options.items()]
