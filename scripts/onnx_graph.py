"""An ONNX graph builder, for the weight converters."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR_VERSION = 8

Shape = list[int | str]


class OnnxGraph:
    """The nodes and constants so far."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, data: np.ndarray) -> str:
        """Adds a constant and returns its name."""
        self.constants.append(numpy_helper.from_array(data, name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Adds a node and returns the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def model(self, name: str, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> onnx.ModelProto:
        """Returns the model of float32 inputs and outputs, checked against the inferred shapes."""
        graph = helper.make_graph(self.nodes, name, ports(inputs), ports(outputs), self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="seequel")
        onnx.checker.check_model(model, full_check=True)
        return model


def ports(shapes: dict[str, Shape]) -> list[onnx.ValueInfoProto]:
    """Returns the descriptions of float32 tensors."""
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]


def write(model: onnx.ModelProto, path: Path) -> None:
    """Writes the model atomically; the same model always gives the same bytes."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    os.replace(partial, path)
