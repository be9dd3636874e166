"""What the models with random weights have in common: their speed is representative, their predictions are meaningless."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 8
SIZE = 224
CLASSES = 1000

SETTINGS = {
    "task": "image-classification",
    "input_size": f"{SIZE}x{SIZE}",
    "rescale": 1 / 255,
    "resize": "crop",
    "interpolation": "bicubic",
    "labels": "labels.txt",
    "activation": "softmax",
    "output": "logits",
}


class Graph:
    """An ONNX graph builder, whose numbers follow from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, data: np.ndarray) -> str:
        """Adds an initializer and returns its name."""
        self.constants.append(numpy_helper.from_array(data, name))
        return name

    def weights(self, name: str, shape: tuple[int, ...], deviation: float, mean: float = 0) -> str:
        """Adds normally distributed numbers and returns their name."""
        data = self.random.standard_normal(shape, np.float32) * np.float32(deviation) + np.float32(mean)
        return self.constant(name, data)

    def node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Adds a node and returns the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def model(self, name: str, opset: int) -> onnx.ModelProto:
        """Returns the checked model with inferred shapes."""
        image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
        graph = helper.make_graph(self.nodes, name, [image], [logits], self.constants)
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="seequel")
        onnx.checker.check_model(model, full_check=True)
        return model


def write(build: Callable[[], onnx.ModelProto], settings: dict[str, object]) -> None:
    """Writes model, settings and labels into the folder of the command line, atomically."""
    labels, folder = (Path(argument) for argument in sys.argv[1:])
    partial = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "model.onnx").write_bytes(build().SerializeToString(deterministic=True))
    (partial / "seequel.json").write_text(json.dumps(SETTINGS | settings, indent=2) + "\n")
    shutil.copy(labels, partial / "labels.txt")
    partial.rename(folder)
