#!/usr/bin/env python3
"""Makes the ONNX files beside it: models that take numbers, alone and beside an image, and others that see what they are told.

    pip install onnx==1.23.2 scikit-learn==1.9.1 skl2onnx==1.20.0
    python3 make.py

iris.onnx is a real classifier of Fisher's irises, exported as its users do; the test has what scikit-learn predicts.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).parent
OPSET = 17
IR_VERSION = 8


def main() -> None:
    """Writes all files, and prints what scikit-learn says of three flowers."""
    (HERE / "iris.onnx").write_bytes(iris())
    (HERE / "tinted.onnx").write_bytes(tinted())
    (HERE / "numbers.onnx").write_bytes(numbers())
    (HERE / "shares.onnx").write_bytes(shares())
    (HERE / "endless.onnx").write_bytes(endless())
    (HERE / "yolov5.onnx").write_bytes(boxes("yolov5", [[12, 12, 8, 8, 0.9, 0.1, 0.8], [12, 12, 8, 8, 0.1, 0.9, 0.9]]))
    columns = np.array([[12, 12, 8, 8, 0.09, 0.72], [12, 12, 8, 8, 0.09, 0.09]]).T.tolist()
    (HERE / "yolov8.onnx").write_bytes(boxes("yolov8", columns))
    (HERE / "yolox.onnx").write_bytes(boxes("yolox", [[0.5, 0.5, 0.0, 0.0, 0.9, 0.9]] * (16 + 4 + 1)))
    (HERE / "nested.onnx").write_bytes(nested())
    (HERE / "map.onnx").write_bytes(large_map())
    (HERE / "picky.onnx").write_bytes(picky())
    (HERE / "hungry.onnx").write_bytes(hungry())
    (HERE / "hungry_eight.onnx").write_bytes(hungry(8))
    (HERE / "blinded.onnx").write_bytes(blinded())
    (HERE / "transformer.onnx").write_bytes(transformer())
    (HERE / "single.onnx").write_bytes(single())
    (HERE / "halves.onnx").write_bytes(halves())
    (HERE / "sixteen.onnx").write_bytes(sixteen())
    (HERE / "lookup.onnx").write_bytes(lookup())
    (HERE / "dark.onnx").write_bytes(dark())
    (HERE / "stuck.onnx").write_bytes(stuck())
    (HERE / "wearing.onnx").write_bytes(wearing())
    (HERE / "broken.onnx").write_bytes(broken())
    (HERE / "custom.onnx").write_bytes(custom())
    (HERE / "fatal.onnx").write_bytes(fatal())
    (HERE / "growing.onnx").write_bytes(growing())
    (HERE / "external.onnx").write_bytes(external())
    (HERE / "external.bin").write_bytes(np.array([1, 2, 3], np.float32).tobytes())


def iris() -> bytes:
    """A logistic regression: 'X' float32 [batch, 4] to a name and three probabilities."""
    data = load_iris()
    names = np.array([str(name) for name in data.target_names])
    model = LogisticRegression(max_iter=500).fit(data.data.astype(np.float32), names[data.target])
    for flower in (0, 60, 120):
        row = data.data[flower : flower + 1].astype(np.float32)
        print(row.tolist(), model.predict(row), model.predict_proba(row).round(4).tolist())
    exported = to_onnx(model, data.data[:1].astype(np.float32), options={"zipmap": False}, target_opset=OPSET)
    return exported.SerializeToString(deterministic=True)


def tinted() -> bytes:
    """The mean of each channel of an image, times a factor, plus the sum of a list of any length."""
    constants = {"flat": np.array([0, 3], np.int64), "last": np.array([1], np.int64)}
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("Mul", ["channels", "factor"], ["scaled"]),
        helper.make_node("ReduceSum", ["shifts", "last"], ["shift"], keepdims=1),
        helper.make_node("Cast", ["shift"], ["real_shift"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["scaled", "real_shift"], ["means"]),
    ]
    inputs = [
        helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8]),
        helper.make_tensor_value_info("factor", TensorProto.FLOAT, ["batch", 1]),
        helper.make_tensor_value_info("shifts", TensorProto.INT64, ["batch", "count"]),
    ]
    return model("tinted", nodes, inputs, [("means", TensorProto.FLOAT, ["batch", 3])], constants)


TYPES = {
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
}


def numbers() -> bytes:
    """Every other type of number, handed on as it is, two rows at a time."""
    nodes = [helper.make_node("Identity", [f"{name}_in"], [name]) for name in TYPES]
    inputs = [helper.make_tensor_value_info(f"{name}_in", kind, [2, 1]) for name, kind in TYPES.items()]
    return model("numbers", nodes, inputs, [(name, kind, [2, 1]) for name, kind in TYPES.items()], {})


def shares() -> bytes:
    """A classifier that ends in a softmax: every image is three quarters the first class."""
    logits = np.log(np.array([[0.75, 0.2, 0.05]], np.float32))
    nodes = [*nothing_of_pixels(), helper.make_node("Add", ["nothing", "logits"], ["sum"])]
    nodes.append(helper.make_node("Softmax", ["sum"], ["shares"], axis=1))
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    constants = {"logits": logits, "zero": np.zeros(1, np.float32), "axes": np.array([1], np.int64)}
    return model("shares", nodes, inputs, [("shares", TensorProto.FLOAT, ["batch", 3])], constants)


def boxes(name: str, rows: list[list[float]]) -> bytes:
    """A detector that sees the same in every image of 32 x 32 pixels."""
    table = np.array([rows], np.float32)
    nodes = [*nothing_of_pixels(), helper.make_node("Add", ["nothing", "rows"], ["boxes"])]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 32, 32])]
    constants = {"rows": table, "zero": np.zeros(1, np.float32), "axes": np.array([1, 2], np.int64)}
    outputs = [("boxes", TensorProto.FLOAT, ["batch", *table.shape[1:]])]
    return model(name, nodes, inputs, outputs, constants)


def nested() -> bytes:
    """Outputs of several dimensions from a list of any length: its products in pairs, itself with its negative, a grid."""
    constants = {
        "grid": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        "first": np.array([1], np.int64),
        "last": np.array([2], np.int64),
        "both": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["x", "last"], ["column"]),
        helper.make_node("Unsqueeze", ["x", "first"], ["row"]),
        helper.make_node("Mul", ["column", "row"], ["products"]),
        helper.make_node("Neg", ["column"], ["negative"]),
        helper.make_node("Concat", ["column", "negative"], ["pairs"], axis=2),
        helper.make_node("ReduceSum", ["column", "both"], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", "grid"], ["sums"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "n"])]
    outputs = [
        ("products", TensorProto.FLOAT, ["batch", "n", "n"]),
        ("pairs", TensorProto.FLOAT, ["batch", "n", 2]),
        ("sums", TensorProto.FLOAT, ["batch", 2, 3]),
    ]
    return model("nested", nodes, inputs, outputs, constants)


def large_map() -> bytes:
    """A map of 1024 x 1024 numbers for each image, all of them its mean."""
    constants = {"sides": np.array([1, 1024, 1024], np.int64), "axes": np.array([1, 2], np.int64)}
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "axes"], ["corner"]),
        helper.make_node("Expand", ["corner", "sides"], ["map"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    return model("map", nodes, inputs, [("map", TensorProto.FLOAT, ["batch", 1024, 1024])], constants)


def picky() -> bytes:
    """The mean of each channel of an image, in batches of at most 4: as if memory sufficed for no more."""
    constants = {
        "flat": np.array([0, 3], np.int64),
        "first": np.array(0, np.int64),
        "zeros": np.zeros(5, np.float32),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("Shape", ["pixels"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("Gather", ["zeros", "batch"], ["zero"]),
        helper.make_node("Add", ["channels", "zero"], ["means"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    return model("picky", nodes, inputs, [("means", TensorProto.FLOAT, ["batch", 3])], constants)


def hungry(batch: str | int = "batch") -> bytes:
    """The mean of each channel of an image. A run takes the same time for any batch, and memory by its square's power of
    two: 16 kB for 4 images, and for 8 more than any machine has."""
    constants = {
        "flat": np.array([0, 3], np.int64),
        "first": np.array([0], np.int64),
        "two": np.array([2], np.int64),
        "three": np.array([3], np.int64),
        "four": np.array([4], np.int64),
        "sides": np.array([1000, 1000], np.int64),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("Shape", ["pixels"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["batch"]),
        helper.make_node("Mul", ["batch", "batch"], ["square"]),
        helper.make_node("Mul", ["square", "three"], ["times_three"]),
        helper.make_node("Div", ["times_three", "four"], ["exponent"]),
        helper.make_node("Pow", ["two", "exponent"], ["count"]),
        helper.make_node("ConstantOfShape", ["count"], ["room"]),
        helper.make_node("ReduceMean", ["room"], ["nothing"], keepdims=0),
        # Work that does not depend on the batch.
        helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Expand", ["zero", "sides"], ["grid"]),
        helper.make_node("MatMul", ["grid", "grid"], ["product"]),
        helper.make_node("ReduceMean", ["product"], ["still_nothing"], keepdims=0),
        helper.make_node("Add", ["channels", "still_nothing"], ["means"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, 8, 8])]
    return model("hungry", nodes, inputs, [("means", TensorProto.FLOAT, [batch, 3])], constants)


def blinded() -> bytes:
    """The mean of each channel of four images, and never of more or fewer. A batch with a white one takes more memory than
    any machine has."""
    constants = {
        "flat": np.array([0, 3], np.int64),
        "white": np.array(0.9, np.float32),
        "fifty": np.array([50], np.int64),
        "two": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("ReduceMax", ["channels"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "white"], ["is_white"]),
        helper.make_node("Cast", ["is_white"], ["one_or_none"], to=TensorProto.INT64),
        helper.make_node("Mul", ["fifty", "one_or_none"], ["exponent"]),
        helper.make_node("Pow", ["two", "exponent"], ["count"]),
        helper.make_node("ConstantOfShape", ["count"], ["room"]),
        helper.make_node("ReduceMean", ["room"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["channels", "nothing"], ["means"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [4, 3, 8, 8])]
    return model("blinded", nodes, inputs, [("means", TensorProto.FLOAT, [4, 3])], constants)


def single() -> bytes:
    """A classifier that says it takes any batch and fails on more than one image: its logits are an image's channels."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "sides"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    outputs = [("logits", TensorProto.FLOAT, ["batch", 3])]
    return model("single", nodes, inputs, outputs, {"sides": np.array([1, 3], np.int64)}, has_odd_shapes=True)


def halves() -> bytes:
    """The sums of both halves of a list; it fails on a list of odd length."""
    constants = {"sides": np.array([0, 2, -1], np.int64), "last": np.array([2], np.int64)}
    nodes = [
        helper.make_node("Reshape", ["x", "sides"], ["both"]),
        helper.make_node("ReduceSum", ["both", "last"], ["sums"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "n"])]
    return model("halves", nodes, inputs, [("sums", TensorProto.FLOAT, ["batch", 2])], constants)


def lookup() -> bytes:
    """The squares of whole numbers below 1000; it fails on a batch with any other number."""
    nodes = [helper.make_node("Gather", ["squares", "number"], ["square"])]
    inputs = [helper.make_tensor_value_info("number", TensorProto.INT64, ["batch", 1])]
    constants = {"squares": np.arange(1000, dtype=np.float32) ** 2}
    return model("lookup", nodes, inputs, [("square", TensorProto.FLOAT, ["batch", 1])], constants)


def dark() -> bytes:
    """The mean of each channel of an image, in batches of exactly 4; it fails on a batch with a white image."""
    constants = {
        "flat": np.array([4, 3], np.int64),
        "zeros": np.zeros(1, np.float32),
        "scale": np.array(1.5, np.float32),
        "last": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Floor", ["scaled"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zeros", "index"], ["zero"]),
        helper.make_node("Unsqueeze", ["zero", "last"], ["column"]),
        helper.make_node("Add", ["channels", "column"], ["means"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [4, 3, 8, 8])]
    return model("dark", nodes, inputs, [("means", TensorProto.FLOAT, [4, 3])], constants)


def transformer() -> bytes:
    """A vision transformer of two blocks with random weights: 16 patches, 32 channels, one head, 10 classes."""
    random, width, hidden = np.random.default_rng(16), 32, 128
    constants = {
        "tokens_shape": np.array([0, width, 16], np.int64),
        "root": np.array(math.sqrt(width), np.float32),
        "ones": np.ones(width, np.float32),
        "none": np.zeros(width, np.float32),
        "positions": random.normal(0, 0.3, (16, width)).astype(np.float32),
        "patch": random.normal(0, 0.2, (width, 3, 8, 8)).astype(np.float32),
    }

    def weight(name: str, *shape: int) -> str:
        constants[name] = random.normal(0, 1.5 / math.sqrt(shape[0]), shape).astype(np.float32)
        return name

    nodes = [
        helper.make_node("Conv", ["pixels", "patch"], ["patches"], strides=[8, 8]),
        helper.make_node("Reshape", ["patches", "tokens_shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
        helper.make_node("Add", ["tokens", "positions"], ["block0"]),
    ]
    for number in range(2):
        block = f"block{number}"

        def node(operator: str, inputs: list[str], output: str, **attributes: object) -> str:
            nodes.append(helper.make_node(operator, inputs, [output], **attributes))
            return output

        normal = node("LayerNormalization", [block, "ones", "none"], f"{block}.normal")
        query, key, value = (
            node("MatMul", [normal, weight(f"{block}.{part}.weight", width, width)], f"{block}.{part}")
            for part in ("query", "key", "value")
        )
        turned = node("Transpose", [key], f"{block}.turned", perm=[0, 2, 1])
        scores = node("Div", [node("MatMul", [query, turned], f"{block}.products"), "root"], f"{block}.scores")
        shares = node("Softmax", [scores], f"{block}.shares", axis=-1)
        mixed = node("MatMul", [shares, value], f"{block}.mixed")
        out = node("MatMul", [mixed, weight(f"{block}.out.weight", width, width)], f"{block}.out")
        middle = node("Add", [block, out], f"{block}.middle")
        normal = node("LayerNormalization", [middle, "ones", "none"], f"{block}.second_normal")
        wide = node("MatMul", [normal, weight(f"{block}.wide.weight", width, hidden)], f"{block}.wide")
        narrow = weight(f"{block}.narrow.weight", hidden, width)
        narrow = node("MatMul", [node("Relu", [wide], f"{block}.active"), narrow], f"{block}.narrow")
        node("Add", [middle, narrow], f"block{number + 1}")
    constants["head"] = random.normal(0, 1, (10, width)).astype(np.float32)
    constants["bias"] = random.normal(0, 0.1, 10).astype(np.float32)
    nodes.append(helper.make_node("ReduceMean", ["block2"], ["mean"], axes=[1], keepdims=0))
    nodes.append(helper.make_node("Gemm", ["mean", "head", "bias"], ["logits"], transB=1))
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 32, 32])]
    return model("transformer", nodes, inputs, [("logits", TensorProto.FLOAT, ["batch", 10])], constants)


def sixteen() -> bytes:
    """A classifier in batches of exactly 16 images, as much work as a small real one: the same convolution four times."""
    random = np.random.default_rng(16)
    constants = {
        "first": random.normal(0, 0.2, (32, 3, 3, 3)).astype(np.float32),
        "again": random.normal(0, 0.08, (32, 32, 3, 3)).astype(np.float32),
        "head": random.normal(0, 1, (32, 10)).astype(np.float32),
        "flat": np.array([16, 32], np.int64),
    }
    nodes = [helper.make_node("Conv", ["pixels", "first"], ["map0"], pads=[1, 1, 1, 1])]
    for number in range(4):
        nodes.append(helper.make_node("Conv", [f"map{number}", "again"], [f"raw{number}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"raw{number}"], [f"map{number + 1}"]))
    nodes.append(helper.make_node("GlobalAveragePool", ["map4"], ["averages"]))
    nodes.append(helper.make_node("Reshape", ["averages", "flat"], ["features"]))
    nodes.append(helper.make_node("MatMul", ["features", "head"], ["logits"]))
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [16, 3, 64, 64])]
    return model("sixteen", nodes, inputs, [("logits", TensorProto.FLOAT, [16, 10])], constants)


def endless() -> bytes:
    """A classifier whose loop never ends: its condition stays true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"]), helper.make_node("Add", ["before", "one"], ["after"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["batch", 1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["batch", 1]),
        ],
    )
    nodes = [*nothing_of_pixels(), helper.make_node("Loop", ["", "true", "nothing"], ["looped"], body=body)]
    nodes.append(helper.make_node("Add", ["looped", "logits"], ["sum"]))
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    constants = {
        "logits": np.zeros((1, 2), np.float32),
        "one": np.ones((1, 1), np.float32),
        "true": np.array(True),
        "zero": np.zeros(1, np.float32),
        "axes": np.array([1], np.int64),
    }
    return model("endless", nodes, inputs, [("sum", TensorProto.FLOAT, ["batch", 2])], constants)


def stuck() -> bytes:
    """The mean of each channel of an image; a batch with a white image never ends."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Mul", ["before", "one"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["batch", 3]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["batch", 3]),
        ],
    )
    constants = {
        "flat": np.array([0, 3], np.int64),
        "white": np.array(0.9, np.float32),
        "one": np.ones(1, np.float32),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("ReduceMax", ["channels"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "white"], ["is_white"]),
        helper.make_node("Loop", ["", "is_white", "channels"], ["means"], body=body),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    return model("stuck", nodes, inputs, [("means", TensorProto.FLOAT, ["batch", 3])], constants)


def wearing() -> bytes:
    """The mean of each channel of an image. A session answers its first 8 runs and fails on the next: each run draws a
    number, and with this seed the first 8 are above 0.34 and the 5 after them below."""
    constants = {
        "flat": np.array([0, 3], np.int64),
        "least": np.array(0.34, np.float32),
        "zeros": np.zeros(1, np.float32),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("RandomUniform", [], ["drawn"], shape=[1], seed=58443.0),
        helper.make_node("Less", ["drawn", "least"], ["is_low"]),
        helper.make_node("Cast", ["is_low"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zeros", "index"], ["zero"]),
        helper.make_node("Add", ["channels", "zero"], ["means"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    return model("wearing", nodes, inputs, [("means", TensorProto.FLOAT, ["batch", 3])], constants)


def broken() -> bytes:
    """A model that takes any image and fails on all of them."""
    constants = {"flat": np.array([0, 3], np.int64), "five": np.array([5], np.float32), "zeros": np.zeros(1, np.float32)}
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        # Not a constant, so that the file can be loaded.
        helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["nothing"]),
        helper.make_node("Add", ["nothing", "five"], ["number"]),
        helper.make_node("Cast", ["number"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zeros", "index"], ["zero"]),
        helper.make_node("Add", ["channels", "zero"], ["means"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    return model("broken", nodes, inputs, [("means", TensorProto.FLOAT, ["batch", 3])], constants)


def custom() -> bytes:
    """A model with an operator that only a library of its maker has."""
    nodes = [helper.make_node("Whiten", ["pixels"], ["means"], domain="com.example")]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    outputs = [helper.make_tensor_value_info("means", TensorProto.FLOAT, ["batch", 3])]
    graph = helper.make_graph(nodes, "custom", inputs, outputs)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.example", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return made.SerializeToString(deterministic=True)


def fatal() -> bytes:
    """The mean of each channel of an image as logits. A batch with a black image divides the smallest number of 32 bits by
    minus one, for which x86 sends a signal that ends the process: a fault of ONNX Runtime, which checks for zeros alone."""
    constants = {
        "flat": np.array([0, 3], np.int64),
        "thousand": np.array([1000], np.float32),
        "one": np.array([1], np.int32),
        "least": np.array([np.iinfo(np.int32).min], np.int32),
        "none": np.array([0], np.float32),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["averages"]),
        helper.make_node("Reshape", ["averages", "flat"], ["channels"]),
        helper.make_node("Mul", ["channels", "thousand"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Sub", ["whole", "one"], ["divisor"]),
        helper.make_node("Div", ["least", "divisor"], ["quotient"]),
        helper.make_node("Cast", ["quotient"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "none"], ["nothing"]),
        helper.make_node("Add", ["channels", "nothing"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 8, 8])]
    return model("fatal", nodes, inputs, [("logits", TensorProto.FLOAT, ["batch", 3])], constants)


def growing() -> bytes:
    """As many zeros as a number says, in an output of open length."""
    constants = {"flat": np.array([-1], np.int64), "both": np.array([1, -1], np.int64)}
    nodes = [
        helper.make_node("Reshape", ["count", "flat"], ["sides"]),
        helper.make_node("ConstantOfShape", ["sides"], ["row"]),
        helper.make_node("Reshape", ["row", "both"], ["zeros"]),
    ]
    inputs = [helper.make_tensor_value_info("count", TensorProto.INT64, [1, 1])]
    return model("growing", nodes, inputs, [("zeros", TensorProto.FLOAT, [1, "length"])], constants)


def external() -> bytes:
    """The sum of a row of three numbers and weights in a file of their own, of 12 bytes."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="external.bin")
    nodes = [helper.make_node("Add", ["numbers", "weights"], ["sums"])]
    inputs = [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["batch", 3])]
    outputs = [helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["batch", 3])]
    graph = helper.make_graph(nodes, "external", inputs, outputs, [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return made.SerializeToString(deterministic=True)


def nothing_of_pixels() -> list[onnx.NodeProto]:
    """Nodes that give a zero for each image, with further dimensions at `axes`."""
    return [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["zeros"]),
        helper.make_node("Unsqueeze", ["zeros", "axes"], ["nothing"]),
    ]


def model(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[tuple[str, int, list[int | str]]],
    constants: dict[str, np.ndarray],
    has_odd_shapes: bool = False,
) -> bytes:
    """Returns the file of a checked graph; one with odd shapes declares others than its nodes have."""
    weights = [numpy_helper.from_array(value, constant) for constant, value in constants.items()]
    ports = [helper.make_tensor_value_info(*output) for output in outputs]
    graph = helper.make_graph(nodes, name, inputs, ports, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(made, full_check=not has_odd_shapes)
    return made.SerializeToString(deterministic=True)


if __name__ == "__main__":
    main()
