"""Stands in for Python's onnxruntime package: starts the set-up's library as it does, then waits and exits.

The test's folder of stand-ins has numpy and PIL too, empty, so that nothing needs to be installed.
"""

import ctypes
import os
import sys

__version__ = "0"


def start() -> None:
    """Creates an environment, by the fourth function of the library's table."""
    library = ctypes.CDLL(os.path.join(os.environ["SEEQUEL_HOME"], "lib", "libonnxruntime.so"))
    library.OrtGetApiBase.restype = ctypes.POINTER(ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32))
    functions = ctypes.cast(library.OrtGetApiBase()[0](24), ctypes.POINTER(ctypes.c_void_p))
    arguments = (ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p))
    create_env = ctypes.CFUNCTYPE(ctypes.c_void_p, *arguments)(functions[3])
    warnings = 2
    if create_env(warnings, b"seequel", ctypes.byref(ctypes.c_void_p())):
        sys.exit("ONNX Runtime does not start")


start()
print("started", flush=True)
sys.stdin.read()
sys.exit()
