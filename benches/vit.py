"""Makes a ViT-S/16 with random weights: its speed is representative, its predictions are meaningless.

    python3 benches/vit.py .seequel/models/efficientnet_lite0/labels.txt .seequel/bench/vit_s16

Needs onnx and numpy; tuning.py runs this with those that setup.py installed. The nodes are those that PyTorch's
exporter writes: MatMul and Add for linear layers, Erf for GELU, LayerNormalization, and shapes that follow the batch.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
import seeded
from seeded import CLASSES, SIZE

OPSET = 17
SEED = 16
PATCH = 16
WIDTH = 384
HEADS = 6
LAYERS = 12
EXPANSION = 4
EPSILON = 1e-6
RESIDUAL_GAIN = 0.3
"""Scale of what a layer adds, so that values stay small over the layers."""

SETTINGS = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_fraction": 0.9}


def build() -> onnx.ModelProto:
    """Returns the checked model."""
    graph = Graph(SEED)
    x = graph.tokens()
    for layer in range(LAYERS):
        name = f"layer{layer}"
        y = graph.attention(graph.normalized(x, f"{name}.norm1"), f"{name}.attention")
        x = graph.node("Add", [x, y], f"{name}.sum1")
        y = graph.linear(graph.normalized(x, f"{name}.norm2"), f"{name}.widen", WIDTH, WIDTH * EXPANSION)
        y = graph.gelu(y, f"{name}.gelu")
        y = graph.linear(y, f"{name}.narrow", WIDTH * EXPANSION, WIDTH, gain=RESIDUAL_GAIN)
        x = graph.node("Add", [x, y], f"{name}.sum2")
    x = graph.normalized(x, "norm")
    x = graph.node("Gather", [x, graph.integers("first", 0)], "features", axis=1)
    weight = graph.weights("head.weight", (CLASSES, WIDTH), 1 / math.sqrt(WIDTH))
    bias = graph.weights("head.bias", (CLASSES,), 0.1)
    graph.node("Gemm", [x, weight, bias], "logits", transB=1)
    return graph.model("vit_s16_random", OPSET)


class Graph(seeded.Graph):
    """A graph of transformer layers."""

    def integers(self, name: str, value: int | list[int]) -> str:
        """Adds one integer or a vector of some, for shapes and positions, and returns the name."""
        return self.constant(name, np.array(value, np.int64))

    def scalar(self, name: str, value: float) -> str:
        """Adds a number and returns its name."""
        return self.constant(name, np.array(value, np.float32))

    def tokens(self) -> str:
        """Adds the patches' embeddings, the class token before them, and the positions."""
        patches = (SIZE // PATCH) ** 2
        kernel = self.weights("patches.weight", (WIDTH, 3, PATCH, PATCH), 1 / math.sqrt(3 * PATCH**2))
        bias = self.weights("patches.bias", (WIDTH,), 0.01)
        x = self.node("Conv", ["input", kernel, bias], "patches", kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
        x = self.node("Reshape", [x, self.integers("patches.shape", [0, WIDTH, patches])], "patches.flat")
        x = self.node("Transpose", [x], "patches.tokens", perm=[0, 2, 1])
        shape = self.node("Shape", ["input"], "input.shape")
        batch = self.node("Gather", [shape, self.integers("batch.position", [0])], "batch", axis=0)
        shape = self.node("Concat", [batch, self.integers("class.rest", [1, WIDTH])], "class.shape", axis=0)
        token = self.node("Expand", [self.weights("class.token", (1, 1, WIDTH), 0.5), shape], "class")
        x = self.node("Concat", [token, x], "tokens", axis=1)
        return self.node("Add", [x, self.weights("positions", (1, patches + 1, WIDTH), 0.5)], "embeddings")

    def normalized(self, x: str, name: str) -> str:
        """Adds a layer normalisation."""
        scale, bias = self.weights(f"{name}.scale", (WIDTH,), 0.05, 1), self.weights(f"{name}.bias", (WIDTH,), 0.05)
        return self.node("LayerNormalization", [x, scale, bias], name, axis=-1, epsilon=EPSILON)

    def linear(self, x: str, name: str, width: int, outputs: int, *, gain: float = 1) -> str:
        """Adds a linear layer that keeps the variance of its input, times `gain` squared."""
        weight = self.weights(f"{name}.weight", (width, outputs), gain / math.sqrt(width))
        x = self.node("MatMul", [x, weight], f"{name}.product")
        return self.node("Add", [self.weights(f"{name}.bias", (outputs,), 0.01), x], name)

    def attention(self, x: str, name: str) -> str:
        """Adds self-attention of several heads."""
        size = WIDTH // HEADS
        x = self.linear(x, f"{name}.qkv", WIDTH, 3 * WIDTH)
        x = self.node("Reshape", [x, self.integers(f"{name}.split", [0, -1, 3, HEADS, size])], f"{name}.heads")
        x = self.node("Transpose", [x], f"{name}.parts", perm=[2, 0, 3, 1, 4])
        q, k, v = (
            self.node("Gather", [x, self.integers(f"{name}.{part}.position", number)], f"{name}.{part}", axis=0)
            for number, part in enumerate("qkv")
        )
        q = self.node("Mul", [q, self.scalar(f"{name}.scale", size**-0.5)], f"{name}.scaled")
        k = self.node("Transpose", [k], f"{name}.k.transposed", perm=[0, 1, 3, 2])
        shares = self.node("Softmax", [self.node("MatMul", [q, k], f"{name}.scores")], f"{name}.shares", axis=-1)
        x = self.node("MatMul", [shares, v], f"{name}.mixed")
        x = self.node("Transpose", [x], f"{name}.rows", perm=[0, 2, 1, 3])
        x = self.node("Reshape", [x, self.integers(f"{name}.join", [0, -1, WIDTH])], f"{name}.joined")
        return self.linear(x, f"{name}.project", WIDTH, WIDTH, gain=RESIDUAL_GAIN)

    def gelu(self, x: str, name: str) -> str:
        """Adds a GELU, x / 2 × (1 + erf(x / √2)), as exporters write it."""
        y = self.node("Div", [x, self.scalar(f"{name}.root", math.sqrt(2))], f"{name}.divided")
        y = self.node("Erf", [y], f"{name}.erf")
        y = self.node("Add", [y, self.scalar(f"{name}.one", 1)], f"{name}.share")
        y = self.node("Mul", [x, y], f"{name}.product")
        return self.node("Mul", [y, self.scalar(f"{name}.half", 0.5)], name)


if __name__ == "__main__":
    seeded.write(build, SETTINGS)
