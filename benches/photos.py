"""Makes the photos of the benchmark: random crops of the fetched ones, some mirrored, as JPEGs of two sizes.

    python3 benches/photos.py .seequel/photos .seequel/bench

Needs Pillow; run.py runs this with it. The same seed makes the same crops every time.
"""

from __future__ import annotations

import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

QUALITY = 92
SEED = 20
LEAST_SHARE = 0.5
"""The smallest side of a crop, as a share of the largest possible one."""


class PhotoSet(NamedTuple):
    """A folder of photos of one size."""

    name: str
    count: int
    width: int
    height: int


SETS = (PhotoSet("small", 1600, 500, 375), PhotoSet("large", 400, 1920, 1440))


def main() -> None:
    """Makes missing folders, atomically."""
    source, target = (Path(argument) for argument in sys.argv[1:])
    originals = [Image.open(path).convert("RGB") for path in sorted(source.iterdir())]
    for photos in SETS:
        folder = target / photos.name
        if folder.exists():
            continue
        partial = target / f"{photos.name}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda number: save(originals, photos, number, partial), range(photos.count)))
        partial.rename(folder)


def save(originals: list[Image.Image], photos: PhotoSet, number: int, folder: Path) -> None:
    """Writes photo number `number`: a crop with the set's proportions, scaled to its size."""
    chance = random.Random(f"{SEED} {photos.name} {number}")
    original = originals[number % len(originals)]
    share = chance.uniform(LEAST_SHARE, 1)
    unit = share * min(original.width / photos.width, original.height / photos.height)
    width, height = unit * photos.width, unit * photos.height
    left, top = chance.uniform(0, original.width - width), chance.uniform(0, original.height - height)
    box = (left, top, left + width, top + height)
    photo = original.resize((photos.width, photos.height), Image.Resampling.LANCZOS, box=box)
    if chance.random() < 0.5:
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    photo.save(folder / f"{number:04}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
