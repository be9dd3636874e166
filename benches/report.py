"""The report: one table of all contenders and their ratios, then settings, machine and versions, in Markdown."""

from __future__ import annotations

import importlib.metadata
import subprocess
import tomllib
from collections.abc import Callable
from statistics import median

from contenders import COLUMNS, CORES
from entry import Entry
from fixtures import CALIBRATION_PHOTOS, PYTHON_PACKAGES, ROOT

MEGA = 1e6
TITLES = {
    "small": "Lite0, {count} photos of 500 × 375",
    "large": "Lite0, {count} photos of 1920 × 1440",
    "resnet50": "ResNet-50¹, {count} photos of 500 × 375",
}
PEERS = ("limit", "Daft", "Daft, reduced by hand", "Ray Data", "Ray Data, reduced by hand", "Python script")
RATIOS = (
    *(("Seequel", peer) for peer in PEERS),
    ("Seequel, with dead letters", "Seequel"),
    ("Seequel, with resume", "Seequel"),
    ("Seequel, int8", "Seequel"),
    ("Seequel, Lite2 int8", "Seequel, Lite2 alone"),
    ("Seequel, OpenVINO f32", "Seequel"),
    ("Seequel, OpenVINO bf16", "Seequel"),
    ("Seequel, OpenVINO int8", "Seequel"),
    ("Seequel, OpenVINO Lite2 int8", "Seequel, Lite2 alone"),
    ("Seequel, int8", "Daft"),
    ("Seequel, int8", "Daft, reduced by hand"),
    ("Seequel, OpenVINO int8", "Daft"),
)
"""Contenders whose speeds are divided."""
PEER_PACKAGES = ("daft", "ray", "onnxruntime", "pillow", "numpy", "pyarrow")

NOTES = """\
Each cell: images a second, the median of {rounds} round{s} (slowest to fastest), and the peak of resident memory.
Rounds alternate between the contenders, at the settings below; Seequel at its defaults. Time is that of the whole
process, but for Ray Data, whose start of a cluster (`ray.init`) and imports are left out. "Reduced by hand": the class
that holds the model gets the files' bytes, and has Pillow decode them at a reduced scale.

Agreement: the share of photos in the same class as by Seequel at its defaults, in float32 on the CPU, with the same
model. "int8": the twin that `CREATE MODEL … AS QUANTIZED` makes from the first {calibration} small photos, which are
among those measured.

¹ Random weights: the time is real, the labels and their agreement mean nothing.
² Of the largest process; the other workers, and Ray's object store, come on top.
"""


def render(entries: list[Entry], left_out: list[str], rounds: int, load: float, arguments: list[str]) -> str:
    """Returns the report of a run with these arguments."""
    cells = {(entry.contender.name, entry.job.column): entry for entry in entries}
    names = list(dict.fromkeys(entry.contender.name for entry in entries))
    titles = {entry.job.column: TITLES[entry.job.column].format(count=entry.job.count) for entry in entries}
    columns = [column for column in COLUMNS if column in titles]
    rows = [["", *(title for column in columns for title in (titles[column], "agreement"))]]
    rows += [[name, *(text for column in columns for text in measured(cells.get((name, column))))] for name in names]
    rows += [row for row in ratio_rows(cells, columns) if any(row[1:])]
    notes = NOTES.format(rounds=rounds, s="s" * (rounds > 1), calibration=CALIBRATION_PHOTOS)
    command = f"make bench ARGS='{' '.join(arguments)}'" if arguments else "make bench"
    missing = ["\n".join(f"Left out: {reason}." for reason in left_out)] if left_out else []
    parts = [f"# Results of `{command}`", table(rows), notes, *missing, settings(entries), machine(load)]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def measured(entry: Entry | None) -> tuple[str, str]:
    """Returns two cells: the measurements or the error, and the agreement."""
    if entry is None:
        return "", ""
    if entry.error:
        return f"failed: {entry.error[:100]}".replace("|", "/"), ""
    speeds = sorted(entry.job.count / run.seconds for run in entry.runs)
    spread = f" ({number(speeds[0])}–{number(speeds[-1])})" if len(speeds) > 1 else ""
    has_workers = entry.contender.has_workers or entry.setting.get("process")
    memory = median(run.peak_bytes for run in entry.runs) / MEGA
    cell = f"{number(median(speeds))}{spread}, {memory:.0f} MB{'²' if has_workers else ''}"
    return cell, f"{entry.agreement:.1%}"


def number(speed: float) -> str:
    """Writes images a second with three digits."""
    return f"{speed:.0f}" if speed >= 100 else f"{speed:.1f}"


Cells = dict[tuple[str, str], "Entry"]


def ratio_rows(cells: Cells, columns: list[str]) -> list[list[str]]:
    """Returns the ratios of speeds, and the ratio of times for two models."""

    def row(title: str, ratio: Callable[[dict[str, float]], float]) -> list[str]:
        texts = []
        for column in columns:
            times = {name: seconds(entry) for (name, of), entry in cells.items() if of == column}
            try:
                texts.append(f"**{ratio({name: time for name, time in times.items() if time}):.2f}**")
            except KeyError:
                texts.append("")
            texts.append("")
        return [title, *texts]

    rows = [
        row(f"{one} ÷ {other}", lambda time, one=one, other=other: time[other] / time[one]) for one, other in RATIOS
    ]
    rows.append(row("Seequel's defaults ÷ tuned", lambda time: time["Seequel, tuned"] / time["Seequel"]))
    rows.append(row("from Parquet ÷ from files", lambda time: time["Seequel"] / time["Seequel, from Parquet"]))
    rows.append(
        row(
            "time for both Lites ÷ one by one",
            lambda time: time["Seequel, Lite0 and Lite2"] / (time["Seequel"] + time["Seequel, Lite2 alone"]),
        )
    )
    return rows


def seconds(entry: Entry) -> float | None:
    """Returns the median time, unless the entry failed."""
    return None if entry.error else median(run.seconds for run in entry.runs)


def table(rows: list[list[str]]) -> str:
    """Returns a Markdown table with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [[text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def settings(entries: list[Entry]) -> str:
    """Lists the settings from the grids; contenders without a grid have none."""
    lines = ["Settings:", ""]
    for entry in entries:
        if entry.setting and not entry.error:
            chosen = ", ".join(f"{key} {value}" for key, value in entry.setting.items())
            lines.append(f"- {entry.contender.name}, {entry.job.column}: {chosen}")
    return "\n".join(lines) if len(lines) > 2 else ""


def machine(load: float, packages: tuple[str, ...] = PEER_PACKAGES) -> str:
    """Describes the machine and the versions, including those of the measured peers' packages."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))
    locked = {package["name"]: package["version"] for package in lock["package"]}
    peers = {one.name.lower(): one.version for one in importlib.metadata.distributions(path=[str(PYTHON_PACKAGES)])}
    versions = [f"seequel {revision()}", f"datafusion {locked['datafusion']}"]
    versions += [f"{name} {peers[name]}" for name in packages if name in peers]
    return f"Machine: {CORES} cores, {model}; load {load:.1f} before the start.\n\nVersions: {', '.join(versions)}."


def revision() -> str:
    """Returns the measured commit, marked if the working tree has changes."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "of unknown revision"
