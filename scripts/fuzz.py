#!/usr/bin/env python3
"""Fuzzes what reads untrusted bytes: each target of `fuzz/` for some time, as many at once as there are processors.

    python3 scripts/fuzz.py [--seconds 60] [--list] [WORD ...]      targets whose names contain a word; all without

```text
 fuzz/images   headers, decoders, EXIF      without DataFusion; AddressSanitizer, in libjpeg-turbo's C too
 fuzz/engine   tar, SQL, ONNX, JSON, logs   with DataFusion; no sanitizer, as it is Rust without `unsafe`
```

Inputs that reach new code are kept in target/fuzz/corpus, for the next run. A finding ends its target: the script says
where the input is and how to run it again, and exits 1.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FUZZ = PROJECT / "fuzz"
HOME = Path(os.environ.get("SEEQUEL_HOME", PROJECT / ".seequel")).resolve()
BUILD = Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target")).resolve() / "fuzz"
CORPUS = BUILD / "corpus"
FINDINGS = BUILD / "findings"

# Rust's AddressSanitizer is LLVM's, and takes what this clang or a later one compiles.
OLDEST_CLANG = 14
IMAGES = ["bmp", "gif", "jpeg", "png", "tiff", "webp"]
# Of larger files there would be few runs.
MOST_BYTES = 64 << 10
SECONDS_AN_INPUT = 20
MEMORY_MB = 2048
# A TIFF's directory may take 256 MiB, by its decoder's own limit; pixels take less: fuzz/images/lib.rs.
ALLOCATION_MB = 300


@dataclass(frozen=True)
class Group:
    name: str
    build: tuple[str, ...]
    profile: str
    flags: tuple[str, ...]

    def targets(self) -> list[str]:
        return sorted(file.stem for file in (FUZZ / self.name / "fuzz_targets").glob("*.rs"))

    def binary(self, target: str) -> Path:
        triple = subprocess.run(["rustc", "--print", "host-tuple"], capture_output=True, text=True, check=True)
        return BUILD / triple.stdout.strip() / self.profile / target


GROUPS = [
    Group("images", ("--sanitizer", "address"), "release", (f"-malloc_limit_mb={ALLOCATION_MB}",)),
    Group("engine", ("--dev", "--sanitizer", "none"), "debug", ()),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="targets whose names contain a word; all without")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--list", action="store_true", help="list the targets")
    arguments = parser.parse_args()
    chosen = {
        group: [name for name in group.targets() if any(word in name for word in arguments.words or [""])]
        for group in GROUPS
    }
    if arguments.list:
        print(*(f"{group.name}/{name}" for group, names in chosen.items() for name in names), sep="\n")
        return 0
    runs = [(group, name) for group, names in chosen.items() for name in names]
    if not runs:
        print("fuzz: no target has such a name; --list lists them", file=sys.stderr)
        return 1
    for group, names in chosen.items():
        if names:
            build(group, names)
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        ended_well = list(workers.map(lambda run: fuzz(*run, arguments.seconds), runs))
    return 0 if all(ended_well) else 1


def build(group: Group, names: list[str]) -> None:
    cargo = os.environ.get("CARGO", "cargo")
    if subprocess.run([cargo, "fuzz", "--version"], capture_output=True).returncode != 0:
        sys.exit("fuzz: cargo-fuzz is missing; install it with\n    cargo install --locked cargo-fuzz")
    environment = dict(os.environ)
    if group.name == "images":
        host = "x86_64_unknown_linux_gnu"
        flags = "-fsanitize=address,fuzzer-no-link -fno-omit-frame-pointer -g1"
        # `-Zsanitizer` is for nightly toolchains otherwise.
        environment |= {"RUSTC_BOOTSTRAP": "1", f"CC_{host}": clang(), f"CFLAGS_{host}": flags}
    command = [cargo, "fuzz", "build", *group.build, "--fuzz-dir", FUZZ / group.name, "--target-dir", BUILD]
    # One by one only if not all are wanted.
    for name in names if names != group.targets() else [None]:
        subprocess.run([*command, *([name] if name else [])], cwd=PROJECT, env=environment, check=True)


def clang() -> str:
    """The newest clang with its sanitizer libraries."""
    found = []
    for folder in os.environ["PATH"].split(os.pathsep):
        found += [str(file) for file in Path(folder).glob("clang*") if re.fullmatch(r"clang(-\d+)?", file.name)]
    usable = []
    for name in found:
        version = re.search(r"version (\d+)", subprocess.run([name, "--version"], capture_output=True, text=True).stdout)
        library = subprocess.run([name, "--print-file-name=libclang_rt.asan-x86_64.a"], capture_output=True, text=True)
        if version and int(version[1]) >= OLDEST_CLANG and Path(library.stdout.strip()).is_file():
            usable.append((int(version[1]), name))
    if not usable:
        sys.exit(
            f"fuzz: clang {OLDEST_CLANG} or newer, with its sanitizers, is needed for libjpeg-turbo; on Debian install\n"
            "    clang-19 libclang-rt-19-dev"
        )
    return max(usable)[1]


def fuzz(group: Group, name: str, seconds: int) -> bool:
    corpus, findings = CORPUS / name, FINDINGS / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    seed(group, name, corpus)
    command = [
        group.binary(name),
        corpus,
        f"-max_total_time={seconds}",
        f"-max_len={MOST_BYTES}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
        *group.flags,
    ]
    dictionary = FUZZ / "dictionaries" / f"{name}.dict"
    if dictionary.exists():
        command.append(f"-dict={dictionary}")
    log = BUILD / f"{name}.log"
    # The assembly of libjpeg-turbo is not instrumented, its C is.
    environment = os.environ | {"ASAN_OPTIONS": "detect_odr_violation=0", "JSIMD_FORCENONE": "1"}
    with log.open("wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=output, env=environment, cwd=PROJECT)
    text = log.read_text(errors="replace")
    runs = re.search(r"number_of_executed_units: (\d+)", text)
    if ended.returncode == 0:
        print(f"{name}: {runs[1] if runs else 'no'} runs, no finding", flush=True)
        return True
    inputs = sorted(set(findings.iterdir()) - before)
    summary = [line for line in text.splitlines() if re.search(r"SUMMARY|panicked at|ERROR: ", line)]
    lines = [f"{name}: a finding: {(summary or ['see the log'])[0]}", f"    log: {log}"]
    lines += [f"    input: {file}\n    again: {group.binary(name)} {file}" for file in inputs]
    # At once, since others end meanwhile.
    print(*lines, sep="\n", flush=True)
    return False


def seed(group: Group, name: str, corpus: Path) -> None:
    """Copies what is there to begin with into the corpus: our own small files, and of the set-up's what is small."""
    kinds = IMAGES if name in ("header", "metadata") else [name]
    files = [file for kind in kinds for file in (FUZZ / "seeds" / kind).glob("*")]
    if group.name == "images":
        suffixes = {"jpeg": ".jpg", "tiff": ".tif"}
        wanted = {suffixes.get(kind, f".{kind}") for kind in kinds}
        files += [file for file in (HOME / "photos").glob("*") if file.suffix in wanted]
    elif name == "onnx":
        files += (PROJECT / "tests" / "data" / "models").glob("*.onnx")
    elif name == "statements":
        files += (PROJECT / "queries").glob("*.sql")
    for file in files:
        if file.stat().st_size <= MOST_BYTES:
            shutil.copyfile(file, corpus / f"seed-{file.name}")


if __name__ == "__main__":
    sys.exit(main())
