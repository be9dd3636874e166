"""Reads a legacy torch.save file with numpy alone, accepting only tensors.

The file is five pickles (magic number, protocol version, system facts, the state dict, the order of the storages)
followed by the raw storages. A pickle may name any function of any module; `Restricted` accepts the four names below.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of the state dict in `path`, by name and in the order of the file."""
    with path.open("rb") as file:
        if Restricted(file).load() != MAGIC_NUMBER or Restricted(file).load() != PROTOCOL_VERSION:
            raise ValueError(f"{path} is not a legacy torch.save file")
        Restricted(file).load()
        tensors = Restricted(file).load()
        storages = read_storages(file, Restricted(file).load(), tensors)
        if file.read(1):
            raise ValueError(f"{path} has bytes after its last storage")
    return {name: tensor.over(storages[tensor.key]) for name, tensor in tensors.items()}


@dataclass(frozen=True)
class Tensor:
    """A view of a storage that is not read yet; offset and strides count elements."""

    key: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def over(self, storage: np.ndarray) -> np.ndarray:
        """Copies the view out of its storage; the strides may be permuted (channels last)."""
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min(self.shape, default=1) < 1 or min(self.strides, default=0) < 0 or not 0 <= last < storage.size:
            raise ValueError(f"a tensor reaches outside its storage: {self}")
        byte_strides = tuple(step * storage.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, byte_strides).copy()


class Restricted(pickle.Unpickler):
    """An unpickler that reads storages and tensors as plain data, and raises for every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"the file asks for {module}.{name}, which weights have no use for")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        kind, dtype, key, _location, _length, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unexpected reference {pid!r}")
        return key, dtype


def rebuild_tensor(storage: tuple[str, np.dtype], offset: int, shape: tuple, strides: tuple, *_: Any) -> Tensor:
    """Replaces torch._utils._rebuild_tensor_v2."""
    return Tensor(*storage, offset, shape, strides)


def read_storages(file: BinaryIO, keys: list[str], tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Reads the storages that follow the pickles, each as its length (eight bytes) and its elements."""
    dtypes = {tensor.key: tensor.dtype for tensor in tensors.values()}
    storages = {}
    for key in keys:
        length = int.from_bytes(file.read(8), "little")
        data = file.read(length * dtypes[key].itemsize)
        storages[key] = np.frombuffer(data, dtypes[key], length)
    return storages
