"""Converts the weights of YOLOv3-tiny, a detector of the 80 COCO classes, from Darknet's format to ONNX.

    python3 scripts/yolov3_tiny.py yolov3-tiny.weights model.onnx

Needs onnx and numpy; setup.py installs both under .seequel/python and runs this file with them. The architecture is
that of yolov3-tiny.cfg. Outputs are the two heads as they are, before any sigmoid:

    input [batch, 3, 416, 416] ─ 8 convolutions ─┬─ 3 convolutions ─► head_0 [batch, 255, 13, 13]
                                   │ 26 × 26     └─ convolution ─ upsample ─┐
                                   └────────────────────────────────────────┴─ 2 convolutions ─► head_1 [batch, 255, 26, 26]

255 = 3 anchors × (x, y, width, height, objectness, 80 classes).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx

import onnx_graph

SIZE = 416
HEAD_CHANNELS = 3 * (5 + 80)
LEAK = 0.1
# Darknet's normalize_cpu adds this to the standard deviation, not to the variance.
BATCH_NORM_EPSILON = 1e-6


def main() -> None:
    """Reads the arguments, converts, and writes the model atomically."""
    parser = argparse.ArgumentParser(description="Convert YOLOv3-tiny weights (.weights) to ONNX.")
    parser.add_argument("weights", type=Path, help="the .weights file, in Darknet's format")
    parser.add_argument("model", type=Path, help="the .onnx file to write")
    options = parser.parse_args()
    onnx_graph.write(build(options.weights.read_bytes()), options.model)


def build(weights: bytes) -> onnx.ModelProto:
    """Returns the checked model, every number of `weights` used once."""
    graph = Graph(weights)
    x, channels = "input", 3
    for wanted in (16, 32, 64, 128):
        x = graph.max_pool(graph.convolution(x, channels, wanted), stride=2)
        channels = wanted
    fine = graph.convolution(x, 128, 256)
    x = graph.max_pool(fine, stride=2)
    x = graph.max_pool(graph.convolution(x, 256, 512), stride=1)
    x = graph.convolution(x, 512, 1024)
    coarse = graph.convolution(x, 1024, 256, kernel=1)
    graph.head(graph.convolution(coarse, 256, 512), 512, "head_0")
    x = graph.upsample(graph.convolution(coarse, 256, 128, kernel=1))
    x = graph.node("Concat", [x, fine], "joined", axis=1)
    graph.head(graph.convolution(x, 128 + 256, 256), 256, "head_1")
    graph.assert_all_taken()
    cells = {"head_0": SIZE // 32, "head_1": SIZE // 16}
    outputs = {name: ["batch", HEAD_CHANNELS, side, side] for name, side in cells.items()}
    return graph.model("yolov3_tiny", {"input": ["batch", 3, SIZE, SIZE]}, outputs)


class Graph(onnx_graph.OnnxGraph):
    """A graph with Darknet's layers, which reads their weights in file order."""

    def __init__(self, weights: bytes) -> None:
        super().__init__()
        major, minor = np.frombuffer(weights, "<i4", 2)
        # Three version numbers, then the number of training images, in 64 bits since 0.2.
        header = 20 if major * 10 + minor >= 2 else 16
        self.numbers = np.frombuffer(weights, "<f4", offset=header)
        self.layers = 0

    def take(self, *shape: int) -> np.ndarray:
        """Returns the next numbers of the file."""
        size = int(np.prod(shape))
        if size > self.numbers.size:
            raise ValueError("the weights end before the architecture does")
        taken, self.numbers = np.split(self.numbers, [size])
        return taken.reshape(shape).astype(np.float64)

    def assert_all_taken(self) -> None:
        """Raises if the file has numbers that the architecture does not use."""
        if self.numbers.size:
            raise ValueError(f"{self.numbers.size} numbers left over")

    def convolution(self, x: str, channels: int, filters: int, *, kernel: int = 3) -> str:
        """Adds a convolution with its normalisation folded in, and a leaky ReLU."""
        beta, gamma, mean, variance = (self.take(filters) for _ in range(4))
        scale = gamma / (np.sqrt(variance) + BATCH_NORM_EPSILON)
        weight = self.take(filters, channels, kernel, kernel) * scale[:, None, None, None]
        x = self.add_convolution(x, self.name("conv"), weight, beta - mean * scale)
        return self.node("LeakyRelu", [x], f"{x}.leaky", alpha=LEAK)

    def head(self, x: str, channels: int, name: str) -> None:
        """Adds an output convolution: with a bias, without normalisation and activation."""
        bias = self.take(HEAD_CHANNELS)
        self.add_convolution(x, name, self.take(HEAD_CHANNELS, channels, 1, 1), bias)

    def add_convolution(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """Adds a convolution of stride 1 that keeps the size."""
        kernel = weight.shape[2]
        inputs = [
            x,
            self.constant(f"{name}.weight", weight.astype(np.float32)),
            self.constant(f"{name}.bias", bias.astype(np.float32)),
        ]
        return self.node("Conv", inputs, name, kernel_shape=[kernel, kernel], pads=[kernel // 2] * 4)

    def max_pool(self, x: str, *, stride: int) -> str:
        """Adds the maximum of 2 × 2; where the size is kept, the missing row and column below and right don't count."""
        pads = [0, 0, 2 - stride, 2 - stride]
        return self.node("MaxPool", [x], self.name("pool"), kernel_shape=[2, 2], strides=[stride, stride], pads=pads)

    def upsample(self, x: str) -> str:
        """Repeats each row and column twice."""
        scales = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.node("Resize", [x, "", scales], "upsampled", **attributes)

    def name(self, kind: str) -> str:
        """Returns an unused name."""
        self.layers += 1
        return f"{kind}_{self.layers}"


if __name__ == "__main__":
    main()
