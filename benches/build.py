#!/usr/bin/env python3
"""Measures builds from clean clones: `make bench-build ARGS="--before v0.1.0"` writes benches/BUILD.md.

For each revision: what `make demo` builds, and `make test` on top in the same target folder, in wall and processor
seconds; the sizes of the demo's binary and of the one that `make install` builds, and the images a second of both. The
table is rewritten after each step. Nothing else should run meanwhile. It takes more than an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("SEEQUEL_HOME", ".seequel"))
CARGO = os.environ.get("CARGO", "cargo")
MEGA = 1e6
COPIES = 60
ROUNDS = 3
QUERY = "SELECT count(p['label']) FROM (SELECT classify(image) AS p FROM read_images('{folder}/'))"


@dataclass
class Build:
    """A revision in a clone and a target folder of its own, and what was measured of it."""

    revision: str
    commit: str
    clone: Path
    target: Path
    figures: dict[str, float] = field(default_factory=dict)

    def makefile(self) -> str:
        """Returns the revision's Makefile."""
        return (self.clone / "Makefile").read_text()

    def demo(self) -> Path:
        """Returns the path of the binary that `make demo` runs."""
        return self.target / ("release" if "build --release" in self.makefile() else "debug") / "seequel"

    def installed(self) -> Path:
        """Returns the path of the optimised binary."""
        return self.target / "release" / "seequel"

    def cargo(self, *arguments: str) -> None:
        """Runs cargo in the clone."""
        environment = os.environ | {"CARGO_TARGET_DIR": str(self.target)}
        subprocess.run([CARGO, *arguments, "--locked"], cwd=self.clone, env=environment, check=True)

    def timed_cargo(self, name: str, *arguments: str) -> None:
        """Runs cargo and adds its seconds, those of its compilers included, to the figures of `name`."""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        self.cargo(*arguments)
        wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        for unit, seconds in (("processor s", processor), ("wall s", wall)):
            self.figures[f"{name}, {unit}"] = self.figures.get(f"{name}, {unit}", 0) + seconds


def main() -> None:
    """Builds all revisions and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--before", metavar="REV", help="another revision to build in the same run")
    parser.add_argument("--no-tests", action="store_true", help="leave out what `make test` builds")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="keep clones and target folders there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        builds = [clone(name, folder) for name in ("HEAD", arguments.before) if name]
        builds.reverse()
        for _ in steps(builds, folder, with_tests=not arguments.no_tests):
            text = "\n".join(table(builds)) + "\n"
            (ROOT / "benches" / "BUILD.md").write_text(text)
    print(text, end="")


def clone(revision: str, folder: Path) -> Build:
    """Clones a revision and fetches its crates."""
    command = ["git", "rev-parse", f"{revision}^{{commit}}"]
    commit = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    build = Build(revision, commit, folder / commit[:9] / "clone", folder / commit[:9] / "target")
    subprocess.run(["git", "clone", "--quiet", ROOT, build.clone], check=True)
    subprocess.run(["git", "-C", build.clone, "checkout", "--quiet", commit], check=True)
    subprocess.run([CARGO, "fetch", "--locked", "--quiet"], cwd=build.clone, check=True)
    return build


def steps(builds: list[Build], folder: Path, *, with_tests: bool) -> Iterator[None]:
    """Measures one thing after another, and yields after each."""
    for build in reversed(builds):
        profile = ["--release"] if build.demo() == build.installed() else []
        build.timed_cargo("`make demo`", "build", *profile)
        build.figures["demo's binary, stripped, MB"] = stripped_size(build.demo(), folder)
        yield
    for build in builds:
        build.cargo("build", "--release")
        build.figures["installed binary, stripped, MB"] = stripped_size(build.installed(), folder)
        yield
    measure_throughput(builds, folder)
    yield
    for build in builds if with_tests else []:
        split = "--package seequel-upstream" in build.makefile()
        ours = ["-p", "seequel", "-p", "seequel-pixels", "-p", "seequel-rounding", "-p", "seequel-udfs"]
        for selection in [ours, ["-p", "seequel-upstream"]] if split else [["--workspace"]]:
            build.timed_cargo("`make test` on top", "test", "--no-run", *selection)
        yield


def stripped_size(binary: Path, folder: Path) -> float:
    """Returns a binary's megabytes without symbols."""
    stripped = folder / "stripped"
    subprocess.run(["strip", "-o", stripped, binary], check=True)
    return stripped.stat().st_size / MEGA


def measure_throughput(builds: list[Build], folder: Path) -> None:
    """Classifies copies of the set-up's photos with all binaries by turns; whole processes, the median of the rounds."""
    home = (ROOT / HOME).resolve()
    photos = sorted(path for path in (home / "photos").iterdir() if path.is_file())
    copies = folder / "photos"
    for copy in range(COPIES):
        (copies / str(copy)).mkdir(parents=True)
        for photo in photos:
            shutil.copy(photo, copies / str(copy))
    binaries = [(build, name, path) for build in builds for name, path in (("demo", build.demo()), ("installed", build.installed()))]
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for build, name, path in binaries:
            start = time.monotonic()
            command = [path, "--quiet", "-c", QUERY.format(folder=copies)]
            subprocess.run(command, env=os.environ | {"SEEQUEL_HOME": str(home)}, check=True, capture_output=True)
            seconds.setdefault((build.commit, name), []).append(time.monotonic() - start)
    for build, name, _ in binaries:
        build.figures[f"{name} binary, images/s"] = COPIES * len(photos) / statistics.median(seconds[build.commit, name])


def table(builds: list[Build]) -> list[str]:
    """Returns the report in Markdown."""
    ratio = len(builds) == 2
    head = ["", *(f"{build.revision} ({build.commit[:9]})" for build in builds), *(["ratio"] if ratio else [])]
    lines = ["# Builds", "", "By `make bench-build`, in one run, from clean clones with the crates fetched; "]
    lines[-1] += f"{os.cpu_count()} cores, {processor_name()}."
    lines += [f"Images/s: {COPIES} copies of the set-up's photos, `classify`, whole processes by turns, median of {ROUNDS}."]
    lines += ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name in dict.fromkeys(name for build in reversed(builds) for name in build.figures):
        figures = [build.figures.get(name) for build in builds]
        cells = ["–" if figure is None else f"{figure:.0f}" for figure in figures]
        if ratio:
            cells.append("–" if None in figures else f"{figures[1] / figures[0]:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def processor_name() -> str:
    """Returns the processor's name where Linux tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
