"""Quantizes a model with onnxruntime's own `quantize_static`: QDQ, a scale for each channel, uint8 activations, MinMax.

    python3 quantize_static.py MODEL PHOTOS COUNT TARGET

MODEL and TARGET are folders of model.onnx, seequel.json and labels.txt. The first COUNT of the folder PHOTOS calibrate.
Needs onnx as well as the peers' packages.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from classifier import Classifier
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process


class Photos(CalibrationDataReader):
    """The model's inputs for some photos, one after the other."""

    def __init__(self, classifier: Classifier, paths: list[Path]) -> None:
        self.inputs: Iterator[dict[str, np.ndarray]] = (
            {classifier.input: classifier.open(str(path))[None]} for path in paths
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Returns the next input, or None at the end."""
        return next(self.inputs, None)


def main() -> None:
    """Writes the quantized model with the settings and labels of its original, atomically."""
    model, photos, target = (Path(sys.argv[position]) for position in (1, 2, 4))
    paths = sorted(photos.glob("*.jpg"))[: int(sys.argv[3])]
    partial = target.with_name(f"{target.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    simplified = partial / "simplified.onnx"
    quant_pre_process(str(model / "model.onnx"), str(simplified), skip_symbolic_shape=True)
    quantize_static(
        str(simplified),
        str(partial / "model.onnx"),
        Photos(Classifier(str(model)), paths),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    simplified.unlink()
    for name in ("seequel.json", "labels.txt"):
        shutil.copy(model / name, partial / name)
    partial.rename(target)


if __name__ == "__main__":
    main()
