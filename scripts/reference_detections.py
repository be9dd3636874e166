"""Python's detections in the fetched photos: the part of reference.py that writes tests/data/detections.json.

Boxes follow the YOLOv3 paper: for cell (column, row) and an anchor, sigmoid(x) and sigmoid(y) are the position of the
centre in the cell, exp(width) and exp(height) scale the anchor. A box has its best class, whose confidence is
objectness × probability of the class, both sigmoids.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import home
import pins
from home import HOME
from setup import DETECTOR_SETTINGS

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SIZE = 416
PADDING = 128
MIN_CONFIDENCE = 0.25
MAX_OVERLAP = 0.45
DIGITS = 5


class Detection(NamedTuple):
    """A box as left, top, right and bottom, with its class."""

    number: int
    confidence: float
    box: tuple[float, float, float, float]


class Letterbox(NamedTuple):
    """The placement of a photo in the model's input: scaled, then moved by whole pixels."""

    scale: float
    width: int
    height: int
    left: int
    top: int

    @classmethod
    def of(cls, image: Image.Image) -> Letterbox:
        """Returns the largest placement that fits."""
        scale = min(SIZE / image.width, SIZE / image.height)
        width, height = int(image.width * scale + 0.5), int(image.height * scale + 0.5)
        return cls(scale, width, height, (SIZE - width) // 2, (SIZE - height) // 2)


def reference() -> dict[str, Any]:
    """Returns all detections, with the versions and digests that produced them."""
    import numpy
    import onnxruntime
    import PIL

    wheels = (numpy, onnxruntime, PIL)
    detector = Detector()
    folders = [*((HOME / "photos", package) for package in pins.PHOTOS), (HOME / "tests" / "photos", pins.TEST_PHOTOS)]
    photos = [(folder, member) for folder, package in folders for member in package.members]
    return {
        "command": "python3 scripts/reference.py",
        "versions": {module.__name__: module.__version__ for module in wheels},
        "preprocessing": f"EXIF orientation, RGB without alpha, bilinear to the largest size that fits {SIZE} x {SIZE}, "
        f"centred on grey {PADDING}, x / 255, NCHW",
        "postprocessing": f"best class of each box if objectness x class is at least {MIN_CONFIDENCE}, then greedy "
        f"suppression within a class above an overlap of {MAX_OVERLAP}, then cut at the edges of the photo; best first; "
        "boxes are left, top, right, bottom in pixels of the photo",
        "models": {pins.DETECTOR.name: {"sha256": pins.DETECTOR.sha256}},
        "photos": {member.name: detector.entries(folder, member) for folder, member in photos},
    }


class Detector:
    """YOLOv3-tiny, loaded with one thread so that the order of sums is fixed."""

    def __init__(self) -> None:
        import onnxruntime

        folder = HOME / "tests" / pins.DETECTOR.name
        self.labels = home.verified(folder / "labels.txt", pins.DETECTOR.labels.sha256).read_text("utf-8").splitlines()
        self.anchors: dict[str, list[list[int]]] = DETECTOR_SETTINGS["anchors"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = home.verified(folder / "model.onnx", pins.DETECTOR.sha256)
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def entries(self, folder: Path, member: pins.Member) -> list[dict[str, Any]]:
        """Returns the detections in a photo as JSON members."""
        from PIL import Image, ImageOps

        with Image.open(home.verified(folder / member.name, member.sha256)) as image:
            rgb = ImageOps.exif_transpose(image).convert("RGB")
        return [self.entry(detection) for detection in self.detect(rgb)]

    def entry(self, detection: Detection) -> dict[str, Any]:
        """Returns one detection as JSON members."""
        return {
            "label": self.labels[detection.number],
            "class": detection.number,
            "confidence": round(detection.confidence, DIGITS),
            "box": [round(side, 2) for side in detection.box],
        }

    def detect(self, image: Image.Image) -> list[Detection]:
        """Returns the detections in a photo, best first."""
        letterbox = Letterbox.of(image)
        heads = self.session.run(list(self.anchors), {"input": tensor(image, letterbox)})
        found = [
            detection
            for head, anchors in zip(heads, self.anchors.values(), strict=True)
            for detection in decode(head[0], anchors)
        ]
        return [
            detection._replace(box=in_photo(detection.box, letterbox, image)) for detection in suppressed(found)
        ]


def tensor(image: Image.Image, letterbox: Letterbox) -> np.ndarray:
    """Returns the model's input for one image."""
    import numpy as np
    from PIL import Image

    fitted = image.resize((letterbox.width, letterbox.height), Image.Resampling.BILINEAR)
    square = Image.new("RGB", (SIZE, SIZE), (PADDING,) * 3)
    square.paste(fitted, (letterbox.left, letterbox.top))
    return (np.asarray(square, np.float32) / 255).transpose(2, 0, 1)[None]


def decode(head: np.ndarray, anchors: list[list[int]]) -> list[Detection]:
    """Returns the boxes of one head with at least `MIN_CONFIDENCE`, in pixels of the input."""
    import numpy as np

    rows, columns = head.shape[1:]
    head = head.reshape(len(anchors), -1, rows, columns).astype(np.float64)
    confidences = sigmoid(head[:, 4:5]) * sigmoid(head[:, 5:])
    best = confidences.argmax(axis=1)
    found = []
    for anchor, row, column in np.argwhere(confidences.max(axis=1) >= MIN_CONFIDENCE):
        x, y, width, height = head[anchor, :4, row, column]
        centre_x = (column + sigmoid(x)) * SIZE / columns
        centre_y = (row + sigmoid(y)) * SIZE / rows
        half_width, half_height = (np.exp([width, height]) * anchors[anchor] / 2).tolist()
        box = (centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)
        number = int(best[anchor, row, column])
        found.append(Detection(number, float(confidences[anchor, number, row, column]), box))
    return found


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Returns numbers between 0 and 1."""
    import numpy as np

    return 1 / (1 + np.exp(-x))


def suppressed(found: list[Detection]) -> list[Detection]:
    """Drops each detection that overlaps a better one of its class by more than `MAX_OVERLAP`; best first."""
    kept: list[Detection] = []
    for detection in sorted(found, key=lambda detection: -detection.confidence):
        rivals = (other for other in kept if other.number == detection.number)
        if all(overlap(detection.box, other.box) <= MAX_OVERLAP for other in rivals):
            kept.append(detection)
    return kept


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Returns the intersection of two boxes over their union."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (areas - width * height)


def in_photo(box: tuple[float, ...], letterbox: Letterbox, image: Image.Image) -> tuple[float, float, float, float]:
    """Returns a box of the input in pixels of the photo, clipped to its edges."""
    left, top, right, bottom = box
    xs = (min(max((x - letterbox.left) / letterbox.scale, 0.0), float(image.width)) for x in (left, right))
    ys = (min(max((y - letterbox.top) / letterbox.scale, 0.0), float(image.height)) for y in (top, bottom))
    (x0, x1), (y0, y1) = xs, ys
    return (x0, y0, x1, y1)
