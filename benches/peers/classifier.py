"""Shared by the peers: the model's settings, and the fastest classification of a JPEG with Pillow and onnxruntime.

Pillow's `draft` lets libjpeg decode at 1/2, 1/4 or 1/8 where that leaves enough pixels. Pillow and onnxruntime release
the GIL, and so does NumPy for arrays of this size.
"""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path
from typing import NamedTuple

# For jobs that are started by hand; onnxruntime reads it when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
from PIL import Image


class Prediction(NamedTuple):
    """A prediction for one photo; a row of the results without its path."""

    label: str
    number: int
    confidence: float


class Classifier:
    """A loaded model, with the preprocessing that its seequel.json describes."""

    def __init__(self, folder: str, threads: int = 1, providers: tuple = ("CPUExecutionProvider",)) -> None:
        settings = json.loads((Path(folder) / "seequel.json").read_text("utf-8"))
        self.size = int(settings["input_size"].split("x")[0])
        self.crop_fraction = settings["crop_fraction"]
        mean, std = (np.array(settings[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))
        self.scale = np.float32(settings["rescale"]) / std
        self.offset = -mean / std
        self.labels = (Path(folder) / settings["labels"]).read_text("utf-8").splitlines()
        self.output = settings["output"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = str(Path(folder) / "model.onnx")
        self.session = onnxruntime.InferenceSession(model, options, providers=list(providers))
        self.input = self.session.get_inputs()[0].name

    def open(self, source: bytes | str) -> np.ndarray:
        """Decodes a JPEG, from bytes or a file name, no larger than the model needs, and prepares it."""
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            enough = math.ceil(self.size / self.crop_fraction)
            image.draft("RGB", (enough, enough))
            return self.prepare(image.convert("RGB"))

    def prepare(self, image: Image.Image) -> np.ndarray:
        """Returns the model's input for an image: central crop, bicubic, normalised, channels first."""
        side = self.crop_fraction * min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        pixels = image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)
        tensor = np.multiply(np.asarray(pixels).transpose(2, 0, 1), self.scale, order="C", dtype=np.float32)
        tensor += self.offset
        return tensor

    def predict(self, tensors: list[np.ndarray]) -> list[Prediction]:
        """Runs the model on prepared images, as one batch."""
        batch = tensors[0][None] if len(tensors) == 1 else np.stack(tensors)
        (logits,) = self.session.run([self.output], {self.input: batch})
        numbers = logits.argmax(axis=1)
        best = logits.max(axis=1, keepdims=True)
        confidences = 1 / np.exp(logits - best).sum(axis=1)
        pairs = zip(numbers.tolist(), confidences.tolist(), strict=True)
        return [Prediction(self.labels[number], number, confidence) for number, confidence in pairs]
