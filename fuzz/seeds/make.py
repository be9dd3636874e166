#!/usr/bin/env python3
"""Writes the images beside it: small ones of each format, with the features that a photograph rarely has.

    python3 fuzz/seeds/make.py      needs pillow
"""

import io
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).resolve().parent
EXIF = Image.Exif()
EXIF[0x0112] = 6
EXIF[0x010F] = "Maker"
EXIF[0x0110] = "Model"
EXIF.get_ifd(0x8769)[0x9003] = "2021:03:04 05:06:07"


def main() -> None:
    image = Image.effect_mandelbrot((33, 19), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    image = Image.merge("RGB", (image.getchannel(0), image.getchannel(1).rotate(180), Image.linear_gradient("L").resize(image.size)))
    grey, cmyk, palette = image.convert("L"), image.convert("CMYK"), image.quantize(7)
    alpha = image.convert("RGBA")
    alpha.putalpha(grey)
    frames = [palette, palette.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    more = {"save_all": True, "append_images": frames[1:]}
    write("jpeg", "baseline", image, quality=80)
    write("jpeg", "full", image, quality=90, subsampling=0, optimize=True)
    write("jpeg", "progressive", image, progressive=True)
    write("jpeg", "restarts", image, restart_marker_blocks=1)
    write("jpeg", "grey", grey)
    write("jpeg", "cmyk", cmyk)
    write("jpeg", "exif", image, exif=EXIF)
    write("png", "rgb", image)
    write("png", "grey", grey)
    write("png", "bits", palette, bits=4)
    write("png", "sixteen", grey.convert("I;16"))
    write("png", "alpha", alpha)
    write("png", "palette", palette, transparency=0)
    write("png", "exif", image, exif=EXIF)
    write("png", "animated", palette, **more)
    write("webp", "lossy", image)
    write("webp", "lossless", image, lossless=True)
    write("webp", "alpha", alpha)
    write("webp", "exif", image, exif=EXIF)
    write("webp", "animated", image, save_all=True, append_images=[alpha], duration=50)
    write("gif", "plain", palette)
    write("gif", "interlaced", palette, interlace=1, transparency=0)
    write("gif", "animated", palette, duration=50, **more)
    write("bmp", "rgb", image)
    write("bmp", "palette", palette)
    write("bmp", "bits", grey.convert("1"))
    write("bmp", "alpha", alpha)
    write("tiff", "rgb", image)
    write("tiff", "cmyk", cmyk, compression="packbits")
    write("tiff", "lzw", palette, compression="tiff_lzw")
    write("tiff", "deflate", grey, compression="tiff_adobe_deflate")
    write("tiff", "jpeg", image, compression="jpeg")
    write("tiff", "fax", grey.convert("1"), compression="group4")
    write("tiff", "pages", image, save_all=True, append_images=[grey], exif=EXIF)
    (FOLDER / "exif").mkdir(exist_ok=True)
    (FOLDER / "exif" / "plain").write_bytes(EXIF.tobytes()[6:])


def write(kind: str, name: str, image: Image.Image, **options: object) -> None:
    bytes_ = io.BytesIO()
    image.save(bytes_, kind, **options)
    (FOLDER / kind).mkdir(exist_ok=True)
    (FOLDER / kind / f"{name}.{kind}").write_bytes(bytes_.getvalue())


if __name__ == "__main__":
    main()
