#!/usr/bin/env python3
"""Measures builds from clean clones: `make bench-build ARGS="--before v0.1.0"` writes benches/BUILD.md.

For each revision: what `make demo` builds, then what `make test` builds on top in the same target folder, in wall seconds
and processor seconds, and the binary's size. Nothing else should run meanwhile. It takes an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
MEGA = 1e6


def main() -> None:
    """Builds all revisions and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--before", metavar="REV", help="another revision to build in the same run")
    parser.add_argument("--no-tests", action="store_true", help="build what `make demo` needs, and nothing more")
    arguments = parser.parse_args()
    revisions = [revision for revision in (arguments.before, "HEAD") if revision]
    columns = [measure(revision, not arguments.no_tests) for revision in revisions]
    lines = table(revisions, columns)
    (ROOT / "benches" / "BUILD.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def measure(revision: str, with_tests: bool) -> dict[str, float]:
    """Builds a revision in a clone and a target folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        clone, target = Path(folder) / "clone", Path(folder) / "target"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        subprocess.run(["git", "-C", clone, "checkout", "--quiet", commit(revision)], check=True)
        subprocess.run([CARGO, "fetch", "--locked", "--quiet"], cwd=clone, check=True)
        makefile = (clone / "Makefile").read_text()
        profile = "release" if "build --release" in makefile else "debug"
        demo = ["build", "--locked", *(["--release"] if profile == "release" else [])]
        figures = {}
        figures["`make demo`, wall s"], figures["`make demo`, processor s"] = timed(demo, clone, target)
        binary = target / profile / "seequel"
        figures["demo's binary, MB"] = binary.stat().st_size / MEGA
        stripped = Path(folder) / "stripped"
        subprocess.run(["strip", "-o", stripped, binary], check=True)
        figures["stripped, MB"] = stripped.stat().st_size / MEGA
        if with_tests:
            split = "--package seequel-upstream" in makefile
            selections = [["-p", "seequel", "-p", "seequel-pixels", "-p", "seequel-udfs"], ["-p", "seequel-upstream"]] if split else [["--workspace"]]
            costs = [timed(["test", "--no-run", "--locked", *selection], clone, target) for selection in selections]
            figures["`make test` on top, wall s"] = sum(wall for wall, _ in costs)
            figures["`make test` on top, processor s"] = sum(processor for _, processor in costs)
        return figures


def commit(revision: str) -> str:
    """Returns a revision's full name, which a clone knows too."""
    found = subprocess.run(["git", "rev-parse", revision], cwd=ROOT, check=True, capture_output=True, text=True)
    return found.stdout.strip()


def timed(arguments: list[str], clone: Path, target: Path) -> tuple[float, float]:
    """Runs cargo; returns wall and processor seconds, those of its compilers included."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(target)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([CARGO, *arguments], cwd=clone, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, processor


def table(revisions: list[str], columns: list[dict[str, float]]) -> list[str]:
    """Returns the report in Markdown."""
    names = [f"{revision} ({commit(revision)[:9]})" for revision in revisions]
    ratio = len(columns) == 2
    head = ["", *names, *(["ratio"] if ratio else [])]
    lines = ["# Builds", "", "By `make bench-build`, in one run, from clean clones with the crates fetched; "]
    lines[-1] += f"{os.cpu_count()} cores, {processor_name()}."
    lines += ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name in columns[-1]:
        cells = [f"{column[name]:.0f}" for column in columns]
        cells += [f"{columns[1][name] / columns[0][name]:.2f}"] if ratio else []
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def processor_name() -> str:
    """Returns the processor's name where Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
