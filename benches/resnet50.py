"""Makes a ResNet-50 with random weights: its speed is representative, its predictions are meaningless.

    python3 benches/resnet50.py .seequel/models/efficientnet_lite0/labels.txt .seequel/bench/resnet50

Needs onnx and numpy; run.py runs this with those that setup.py installed. Batch normalisations are already folded
into the convolutions, as by exporters, and the stride of a block is in its 3 × 3 convolution (version 1.5).
"""

from __future__ import annotations

import math

import onnx
import seeded
from seeded import CLASSES

OPSET = 13
SEED = 50
STEM_CHANNELS = 64
STAGES = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))
"""For each stage: blocks, channels inside a block, stride of the first block."""
EXPANSION = 4
RESIDUAL_GAIN = 0.3
"""Scale of a block's output, so that values neither grow nor vanish over the blocks."""

SETTINGS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop_fraction": 0.875}


def build() -> onnx.ModelProto:
    """Returns the checked model."""
    graph = Graph(SEED)
    x = graph.convolution("input", "stem", 3, STEM_CHANNELS, kernel=7, stride=2)
    x = graph.node("MaxPool", [x], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = STEM_CHANNELS
    for stage, (blocks, inner, stride) in enumerate(STAGES):
        for block in range(blocks):
            x = graph.block(x, f"stage{stage}.block{block}", channels, inner, stride if block == 0 else 1)
            channels = inner * EXPANSION
    x = graph.node("GlobalAveragePool", [x], "pooled")
    x = graph.node("Flatten", [x], "features", axis=1)
    weight = graph.weights("fc.weight", (CLASSES, channels), 1 / math.sqrt(channels))
    bias = graph.weights("fc.bias", (CLASSES,), 0.1)
    graph.node("Gemm", [x, weight, bias], "logits", transB=1)
    return graph.model("resnet50_random", OPSET)


class Graph(seeded.Graph):
    """A graph of convolutions."""

    def block(self, x: str, name: str, channels: int, inner: int, stride: int) -> str:
        """Adds a bottleneck: narrow, convolve, widen, and add the input."""
        outer = inner * EXPANSION
        y = self.convolution(x, f"{name}.narrow", channels, inner, kernel=1)
        y = self.convolution(y, f"{name}.convolve", inner, inner, kernel=3, stride=stride)
        y = self.convolution(y, f"{name}.widen", inner, outer, kernel=1, relu=False, gain=RESIDUAL_GAIN)
        if channels != outer:
            x = self.convolution(x, f"{name}.skip", channels, outer, kernel=1, stride=stride, relu=False)
        return self.node("Relu", [self.node("Add", [x, y], f"{name}.sum")], f"{name}.relu")

    def convolution(
        self, x: str, name: str, channels: int, filters: int, *,
        kernel: int, stride: int = 1, relu: bool = True, gain: float = 1,
    ) -> str:  # fmt: skip
        """Adds a convolution with He initialisation, which keeps the variance of its input."""
        deviation = gain * math.sqrt((2 if relu else 1) / (channels * kernel**2))
        weight = self.weights(f"{name}.weight", (filters, channels, kernel, kernel), deviation)
        bias = self.weights(f"{name}.bias", (filters,), 0.01)
        x = self.node(
            "Conv", [x, weight, bias], name,
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=[kernel // 2] * 4,
        )  # fmt: skip
        return self.node("Relu", [x], f"{name}.relu") if relu else x


if __name__ == "__main__":
    seeded.write(build, SETTINGS)
