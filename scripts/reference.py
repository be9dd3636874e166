#!/usr/bin/env python3
"""Writes tests/data: Python's predictions for every fetched photo, with which the tests compare seequel's.

They share no code with seequel: Pillow decodes and resizes, onnxruntime's Python binding runs the models. Classes
go to reference.json, detections to detections.json. Run scripts/setup.py --tests first. Transparency is dropped, not
blended (`convert("RGB")`); EXIF orientation is applied.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fetch
import home
import pins
import reference_detections
from home import HOME, SetupError

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    from PIL import Image

PACKAGES = HOME / "reference-python"
DATA = home.SCRIPTS.parent / "tests" / "data"
CROP_FRACTION = 0.875
DIGITS = 5


def main() -> int:
    """Installs the requirements, predicts, and writes the files."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        with home.locked() as lock:
            fetch.install(home.SCRIPTS / "requirements-reference.txt", PACKAGES, lock)
        # numpy, onnxruntime and Pillow may be imported only after this line.
        sys.path.insert(0, str(PACKAGES))
        write("reference.json", reference())
        write("detections.json", reference_detections.reference())
    except SetupError as error:
        print(f"reference: {error}", file=sys.stderr)
        return 1
    return 0


def write(name: str, predictions: dict[str, Any]) -> None:
    """Writes one file of tests/data."""
    text = json.dumps(predictions, indent=2, sort_keys=True) + "\n"
    (DATA / name).write_text(text, "utf-8")
    print(f"wrote {DATA / name}")


def reference() -> dict[str, Any]:
    """Returns all predictions, with the versions and digests that produced them."""
    import numpy
    import onnxruntime
    import PIL

    wheels = (numpy, onnxruntime, PIL)
    classifiers = {model.name: Classifier(model) for model in pins.MODELS}
    members = [member for wheel in pins.PHOTOS for member in wheel.members]
    return {
        "command": "python3 scripts/reference.py",
        "versions": {module.__name__: module.__version__ for module in wheels},
        "preprocessing": "EXIF orientation, RGB without alpha, central square of 0.875 of the short side as a float "
        "box, bicubic to the input size, (x - 127) / 128, NCHW; confidence is the softmax of the logits; mean is the "
        "mean of all models' softmaxes",
        "models": {name: {"sha256": classifier.model.sha256} for name, classifier in classifiers.items()},
        "photos": {member.name: photo_entry(member, classifiers) for member in members},
    }


def photo_entry(member: pins.Member, classifiers: dict[str, Classifier]) -> dict[str, Any]:
    """Returns the properties of one photo and each classifier's prediction."""
    from PIL import Image, ImageOps

    path = home.verified(HOME / "photos" / member.name, member.sha256)
    with Image.open(path) as image:
        facts = {"sha256": member.sha256, "format": image.format, "mode": image.mode}
        upright = ImageOps.exif_transpose(image)
    rgb = upright.convert("RGB")
    confidences = {name: classifier.confidences(rgb) for name, classifier in classifiers.items()}
    confidences["mean"] = sum(confidences.values()) / len(confidences)
    # All models have the same labels.
    labels = next(iter(classifiers.values())).labels
    predictions = {name: prediction(numbers, labels) for name, numbers in confidences.items()}
    return {**facts, "width": rgb.width, "height": rgb.height, "predictions": predictions}


class Classifier:
    """A converted model, loaded with one thread so that the order of sums is fixed."""

    def __init__(self, model: pins.Model) -> None:
        import onnxruntime

        folder = HOME / "models" / model.name
        self.model = model
        self.labels = home.verified(folder / "labels.txt", pins.LABELS_SHA256).read_text("utf-8").splitlines()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = home.verified(folder / "model.onnx", model.sha256)
        self.session: onnxruntime.InferenceSession = onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"]
        )

    def confidences(self, image: Image.Image) -> np.ndarray:
        """Returns the confidence of each class."""
        (logits,) = self.session.run(["logits"], {"input": tensor(image, self.model.size)})
        return softmax(logits[0])


def prediction(confidences: np.ndarray, labels: list[str]) -> dict[str, Any]:
    """Returns the best class, and the second to show how close it is."""
    members: dict[str, Any] = {}
    for prefix, number in zip(("", "second_"), confidences.argsort()[::-1], strict=False):
        confidence = round(float(confidences[number]), DIGITS)
        members |= {f"{prefix}class": int(number), f"{prefix}label": labels[number], f"{prefix}confidence": confidence}
    return members


def tensor(image: Image.Image, size: int) -> np.ndarray:
    """Returns the model's input for one image: cropped, resized, normalised, channels first."""
    import numpy as np
    from PIL import Image

    side = CROP_FRACTION * min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box), np.float32)
    return ((pixels - 127) / 128).transpose(2, 0, 1)[None]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns confidences that sum to one."""
    import numpy as np

    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    return exponentials / exponentials.sum()


if __name__ == "__main__":
    sys.exit(main())
