"""Mesa's software driver for Vulkan, with which the tests run WebGPU on a machine without a GPU.

The tests point the processes that they start at it. Debian 12 has Mesa 22.3 and WebGPU needs a later one, so that it comes
from the backports.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import debian
import home
from home import SetupError

PACKAGES = ["libvulkan1", "mesa-vulkan-drivers"]

# The driver that computes on the processor, and what the system's loader for Vulkan reads about it.
DRIVER = "lvp_icd*.json"


def unpack(folder: Path, lock: int) -> None:
    """Unpacks the driver and what it needs of what the machine lacks into `folder`: `lib` and `lvp.json`."""
    root = debian.unpack(PACKAGES, lock, backports=True)
    libraries, drivers = list(root.glob("usr/lib/*-linux-gnu")), list(root.glob(f"usr/share/vulkan/icd.d/{DRIVER}"))
    if len(libraries) != 1 or len(drivers) != 1:
        raise SetupError(f"{' and '.join(PACKAGES)} have no driver for processors")
    made = home.TEMPORARY / folder.name
    made.mkdir()
    shutil.move(libraries[0], made / "lib")
    shutil.move(drivers[0], made / "lvp.json")
    home.place(made, folder)
