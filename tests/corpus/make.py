#!/usr/bin/env python3
"""Writes a tree of broken and odd files, and what must become of each: make.py FOLDER EXPECTED [--seed N].

EXPECTED becomes a file with a JSON object a line: `path` below FOLDER, and `outcome`, one of

  decodes   a row with a prediction; `width` and `height` are those of the image as displayed
  fails     a row with an error
  either    a row with one of the two, as chance has it: bytes that the seed chose are altered
  unlisted  no row, and counted as a fault of the listing
  none      no row: hidden, not named like an image, or no file

Needs Python 3.11 and nothing else. The same seed gives the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import socket
import stat
import struct
import sys
import tarfile
import zlib
from pathlib import Path

sys.dont_write_bytecode = True

from encoders import animated_webp, bmp, chunk, directory, exif, gif, jpeg, png, png_header, riff, segment, tiff, vp8l, vp8x
from tables import tables

# The smallest lossy WebP, one pixel.
LOSSY = base64.b64decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
OUTCOMES = ("decodes", "fails", "either", "unlisted", "none")


class Corpus:
    """Writes files and remembers what they declare."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = os.fsencode(folder)
        self.random = random.Random(seed)
        self.expected: list[dict[str, object]] = []

    def expect(self, name: str | bytes, outcome: str, size: tuple[int, int] | None = None) -> bytes:
        """Declares what becomes of an entry, and returns its place."""
        assert outcome in OUTCOMES
        name = os.fsencode(name)
        line: dict[str, object] = {"path": name.decode(errors="backslashreplace"), "outcome": outcome}
        if size:
            line |= {"width": size[0], "height": size[1]}
        self.expected.append(line)
        place = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        return place

    def file(self, name: str | bytes, content: bytes, outcome: str, size: tuple[int, int] | None = None) -> None:
        """Writes a file."""
        with open(self.expect(name, outcome, size), "wb") as file:
            file.write(content)

    def decodes(self, name: str | bytes, content: bytes, width: int, height: int) -> None:
        self.file(name, content, "decodes", (width, height))

    def fails(self, name: str | bytes, content: bytes) -> None:
        self.file(name, content, "fails")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("expected", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    corpus = Corpus(options.folder, options.seed)
    for write in (pngs, jpegs, orientations, bmps, gifs, tiffs, webps, wrong, cut, flipped, sizes, bombs, names, entries):
        write(corpus)
    shards(options.folder.parent / "shards")
    tables(options.folder.parent / "tables", corpus.random)
    options.expected.write_text("".join(json.dumps(line) + "\n" for line in corpus.expected))


def pngs(corpus: Corpus) -> None:
    """Every colour type and depth, with and without interlace, and chunks that are odd or damaged."""
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            for interlace in (0, 1):
                name = f"png/colour{colour}-depth{depth}-interlace{interlace}.png"
                corpus.decodes(name, png(12, 9, depth, colour, interlace), 12, 9)
    text = chunk(b"tEXt", b"Comment\0" + b"x" * 5000)
    corpus.decodes("png/text.png", png(before=text), 12, 9)
    corpus.decodes("png/unknown-chunk.png", png(before=chunk(b"veRy", b"odd")), 12, 9)
    corpus.decodes("png/icc-junk.png", png(before=chunk(b"iCCP", b"junk\0\0" + zlib.compress(b"no profile"))), 12, 9)
    corpus.decodes("png/icc-not-compressed.png", png(before=chunk(b"iCCP", b"junk\0\0no zlib")), 12, 9)
    corpus.decodes("png/gamma-zero.png", png(before=chunk(b"gAMA", bytes(4))), 12, 9)
    corpus.decodes("png/exif-loop.png", png(before=chunk(b"eXIf", directory([(0x8769, 4, 1, 8)], following=8))), 12, 9)
    corpus.decodes("png/transparent.png", png(colour=2, before=chunk(b"tRNS", bytes(6))), 12, 9)
    animated = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 12, 9, 0, 0, 1, 10, 0, 0))
    second = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 4, 4, 0, 0, 1, 10, 0, 0))
    data = chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(b"".join(b"\0" + bytes(12) for _ in range(4))))
    corpus.decodes("png/animated.png", png(before=animated, after=second + data), 12, 9)
    corpus.decodes("png/animated-cut.png", png(before=animated, after=second[:-6]), 12, 9)
    corpus.decodes("png/trailing.png", png() + b"trailing garbage" * 100, 12, 9)
    corpus.fails("png/no-data.png", png_header(12, 9) + chunk(b"IEND"))
    corpus.fails("png/bad-check-sum.png", png()[:-13] + b"\0" + png()[-12:])
    corpus.fails("png/bad-depth.png", png_header(12, 9, depth=3) + png()[33:])
    corpus.fails("png/no-pixels.png", png_header(0, 9) + png()[33:])
    corpus.fails("png/no-palette.png", png_header(12, 9, 8, 3) + chunk(b"IDAT", zlib.compress(b"\0" * 117)) + chunk(b"IEND"))
    corpus.fails("png/few-rows.png", png_header(12, 90) + png()[33:])
    corpus.fails("png/unknown-filter.png", png_header(12, 9) + chunk(b"IDAT", zlib.compress(b"\x09" * 333)) + chunk(b"IEND"))
    corpus.fails("png/not-zlib.png", png_header(12, 9) + chunk(b"IDAT", b"not compressed at all") + chunk(b"IEND"))
    corpus.fails("png/negative-length.png", png_header(12, 9) + b"\xff\xff\xff\xffIDAT" + bytes(20))
    corpus.fails("png/signature-only.png", png()[:8])


def jpegs(corpus: Corpus) -> None:
    """Colour spaces, sampling, progressive scans, restart markers, and frames that are rare or damaged."""
    for sampling in ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1)):
        corpus.decodes(f"jpeg/sampling{sampling[0]}x{sampling[1]}.jpg", jpeg(sampling=sampling), 20, 13)
    corpus.decodes("jpeg/grey.jpg", jpeg(components=1), 20, 13)
    corpus.decodes("jpeg/grey-progressive.jpg", jpeg(components=1, progressive=True), 20, 13)
    corpus.decodes("jpeg/rgb.jpg", jpeg(adobe=0), 20, 13)
    corpus.decodes("jpeg/cmyk.jpg", jpeg(components=4, adobe=0), 20, 13)
    corpus.decodes("jpeg/ycck.jpg", jpeg(components=4, adobe=2), 20, 13)
    corpus.decodes("jpeg/cmyk-no-adobe.jpg", jpeg(components=4), 20, 13)
    corpus.decodes("jpeg/cmyk-progressive.jpg", jpeg(components=4, adobe=2, progressive=True), 20, 13)
    corpus.decodes("jpeg/progressive.jpg", jpeg(progressive=True), 20, 13)
    corpus.decodes("jpeg/restart.jpg", jpeg(restart=1), 20, 13)
    corpus.decodes("jpeg/restart-progressive.jpg", jpeg(restart=2, progressive=True), 20, 13)
    restarted = jpeg(restart=1)
    corpus.decodes("jpeg/restart-wrong-order.jpg", restarted.replace(b"\xff\xd1", b"\xff\xd5", 1), 20, 13)
    corpus.decodes("jpeg/trailing.jpg", jpeg() + b"trailing garbage" * 100, 20, 13)
    corpus.decodes("jpeg/icc-junk.jpg", jpeg(applications=segment(0xE2, b"ICC_PROFILE\0\1\1junk")), 20, 13)
    corpus.decodes("jpeg/icc-part-of-none.jpg", jpeg(applications=segment(0xE2, b"ICC_PROFILE\0\x09\x02junk")), 20, 13)
    corpus.decodes("jpeg/comments.jpg", jpeg(applications=segment(0xFE, b"c" * 65533) * 20), 20, 13)
    corpus.decodes("jpeg/empty-segments.jpg", jpeg(applications=segment(0xE5, b"") * 500), 20, 13)
    corpus.decodes("jpeg/fill-bytes.jpg", jpeg(applications=b"\xff" * 300), 20, 13)
    corpus.decodes("jpeg/twice.jpg", jpeg() * 2, 20, 13)
    corpus.decodes("jpeg/many-scans.jpg", jpeg(progressive=True, scans=100), 20, 13)
    corpus.fails("jpeg/too-many-scans.jpg", jpeg(progressive=True, scans=2000))
    corpus.fails("jpeg/no-end.jpg", jpeg()[:-2])
    corpus.fails("jpeg/lossless.jpg", jpeg(frame=0xC3))
    corpus.fails("jpeg/hierarchical.jpg", jpeg(frame=0xC5))
    corpus.fails("jpeg/twelve-bits.jpg", jpeg(frame=0xC1, precision=12))
    corpus.fails("jpeg/no-pixels.jpg", jpeg(declared=(0, 13)))
    corpus.fails("jpeg/height-in-dnl.jpg", jpeg(declared=(20, 0)))
    # Ends with the marker, so that libjpeg takes what is missing for damaged.
    corpus.decodes("jpeg/taller-than-data.jpg", jpeg(declared=(20, 4000)), 20, 4000)
    corpus.decodes("jpeg/two-components.jpg", jpeg(components=2), 20, 13)
    corpus.fails("jpeg/start-only.jpg", b"\xff\xd8\xff")
    corpus.fails("jpeg/no-scan.jpg", jpeg()[: jpeg().index(b"\xff\xda")] + b"\xff\xd9")
    # Decoded with the tables of Motion JPEG.
    corpus.decodes("jpeg/no-huffman-table.jpg", without(jpeg(), 0xC4), 20, 13)
    corpus.fails("jpeg/no-quantization-table.jpg", without(jpeg(), 0xDB))
    corpus.fails("jpeg/no-frame.jpg", without(jpeg(), 0xC0))


def without(image: bytes, marker: int) -> bytes:
    """The JPEG without its segments of a marker."""
    while (at := image.find(bytes([0xFF, marker]))) >= 0:
        image = image[:at] + image[at + 2 + int.from_bytes(image[at + 2 : at + 4], "big") :]
    return image


def orientations(corpus: Corpus) -> None:
    """All orientations, in JPEG and TIFF, and Exif data that is damaged."""
    for orientation in range(1, 9):
        size = (13, 20) if orientation > 4 else (20, 13)
        order = "<" if orientation % 2 else ">"
        corpus.decodes(f"exif/orientation{orientation}.jpg", jpeg(applications=exif(orientation, order)), *size)
        size = (9, 12) if orientation > 4 else (12, 9)
        corpus.decodes(f"exif/orientation{orientation}.tif", tiff(orientation=orientation, order=order), *size)
    for orientation in (0, 9, 65535):
        corpus.decodes(f"exif/orientation{orientation}.jpg", jpeg(applications=exif(orientation)), 20, 13)
    corpus.decodes("exif/loop.jpg", jpeg(applications=exif(6, following=8)), 13, 20)
    inner = segment(0xE1, b"Exif\0\0" + directory([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x112, 3, 1, 3)]))
    corpus.decodes("exif/loop-inside.jpg", jpeg(applications=inner), 20, 13)
    corpus.decodes("exif/beyond-end.jpg", jpeg(applications=segment(0xE1, b"Exif\0\0" + directory([], start=0xFFFFFFF0))), 20, 13)
    many = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(100))
    corpus.decodes("exif/many-entries.jpg", jpeg(applications=many), 20, 13)
    corpus.decodes("exif/empty.jpg", jpeg(applications=segment(0xE1, b"Exif\0\0")), 20, 13)
    corpus.decodes("exif/twice.jpg", jpeg(applications=exif(1) + exif(1)), 20, 13)
    huge = segment(0xE1, b"Exif\0\0" + directory([(0x112, 3, 0xFFFFFFFF, 8)]))
    corpus.decodes("exif/huge-count.jpg", jpeg(applications=huge), 20, 13)


def bmps(corpus: Corpus) -> None:
    for bits in (1, 4, 8, 16, 24, 32):
        corpus.decodes(f"bmp/bits{bits}.bmp", bmp(bits=bits), 12, 9)
    corpus.decodes("bmp/run-lengths.bmp", bmp(bits=8, compression=1), 12, 9)
    corpus.decodes("bmp/top-down.bmp", bmp(declared=(12, -9)), 12, 9)
    corpus.decodes("bmp/trailing.bmp", bmp() + b"garbage", 12, 9)
    corpus.fails("bmp/negative-width.bmp", bmp(declared=(-12, 9)))
    corpus.fails("bmp/smallest-height.bmp", bmp(declared=(12, -(2**31))))
    corpus.fails("bmp/no-pixels.bmp", bmp(declared=(0, 9)))
    corpus.fails("bmp/few-rows.bmp", bmp(declared=(12, 900)))
    corpus.fails("bmp/unknown-compression.bmp", bmp(compression=77))
    corpus.fails("bmp/three-bits.bmp", bmp()[:28] + b"\x03\0" + bmp()[30:])
    corpus.fails("bmp/pixels-beyond-end.bmp", bmp()[:10] + b"\xf0\xff\xff\x7f" + bmp()[14:])
    corpus.fails("bmp/signature-only.bmp", b"BM")


def gifs(corpus: Corpus) -> None:
    for bits in (2, 4, 8):
        corpus.decodes(f"gif/bits{bits}.gif", gif(bits=bits), 12, 9)
    corpus.decodes("gif/interlaced.gif", gif(interlaced=True), 12, 9)
    corpus.decodes("gif/transparent.gif", gif(transparent=True), 12, 9)
    corpus.decodes("gif/local-palette.gif", gif(local=True), 12, 9)
    corpus.decodes("gif/animated.gif", gif(frames=5), 12, 9)
    corpus.decodes("gif/many-frames.gif", gif(width=2, height=2, frames=2000), 2, 2)
    corpus.decodes("gif/animated-cut.gif", gif(frames=5)[:-80], 12, 9)
    corpus.decodes("gif/larger-screen.gif", gif(screen=(40, 30)), 40, 30)
    corpus.decodes("gif/trailing.gif", gif() + b"garbage", 12, 9)
    corpus.decodes("gif/larger-than-screen.gif", gif(screen=(3, 3)), 3, 3)
    corpus.fails("gif/no-frame.gif", gif()[: gif().index(b"\x2c")] + b"\x3b")
    corpus.fails("gif/no-pixels.gif", gif(screen=(0, 0)))
    corpus.fails("gif/bad-code-size.gif", gif().replace(b"\x09\0\0\x04", b"\x09\0\0\x0f"))
    corpus.fails("gif/signature-only.gif", b"GIF89a")


def tiffs(corpus: Corpus) -> None:
    for order in "<>":
        side = "little" if order == "<" else "big"
        for samples, bits in ((1, 1), (1, 8), (1, 16), (3, 8), (3, 16), (4, 8), (4, 16)):
            corpus.decodes(f"tiff/{side}-samples{samples}-bits{bits}.tif", tiff(samples=samples, bits=bits, order=order), 12, 9)
        # The decoder knows no grey with transparency.
        corpus.fails(f"tiff/{side}-samples2-bits8.tif", tiff(samples=2, order=order))
        corpus.decodes(f"tiff/{side}-deflate.tif", tiff(order=order, compression=8), 12, 9)
        corpus.decodes(f"tiff/{side}-packed.tif", tiff(order=order, compression=32773), 12, 9)
    corpus.decodes("tiff/white-is-zero.tif", tiff(samples=1, photometric=0), 12, 9)
    corpus.decodes("tiff/cmyk.tif", tiff(samples=4, photometric=5), 12, 9)
    corpus.decodes("tiff/pages.tif", tiff(pages=3), 12, 9)
    corpus.decodes("tiff/trailing.tif", tiff() + b"garbage", 12, 9)
    corpus.fails("tiff/directory-beyond-end.tif", directory([], start=0x7FFFFFF0))
    corpus.fails("tiff/empty-directory.tif", directory([]))
    corpus.fails("tiff/unknown-compression.tif", tiff(compression=31337))
    corpus.fails("tiff/no-pixels.tif", tiff(declared=(0, 9)))
    corpus.fails("tiff/few-rows.tif", tiff(declared=(12, 900)))
    corpus.fails("tiff/big-tiff-cut.tif", b"II+\0\x08\0\0\0" + bytes(4))
    corpus.fails("tiff/signature-only.tif", b"II*\0")


def webps(corpus: Corpus) -> None:
    corpus.decodes("webp/lossy.webp", LOSSY, 1, 1)
    corpus.decodes("webp/lossless.webp", riff((b"VP8L", vp8l(12, 9))), 12, 9)
    corpus.decodes("webp/extended.webp", riff(vp8x(12, 9, 0), (b"VP8L", vp8l(12, 9))), 12, 9)
    turned = directory([(0x112, 3, 1, 6)])
    corpus.decodes("webp/exif.webp", riff(vp8x(12, 9, 0x08), (b"VP8L", vp8l(12, 9)), (b"EXIF", turned)), 9, 12)
    corpus.decodes("webp/icc-junk.webp", riff(vp8x(12, 9, 0x20), (b"ICCP", b"junk"), (b"VP8L", vp8l(12, 9))), 12, 9)
    corpus.decodes("webp/animated.webp", animated_webp(), 12, 9)
    corpus.decodes("webp/trailing.webp", riff((b"VP8L", vp8l(12, 9))) + b"garbage", 12, 9)
    corpus.fails("webp/size-differs.webp", riff(vp8x(24, 18, 0), (b"VP8L", vp8l(12, 9))))
    corpus.fails("webp/no-image.webp", riff(vp8x(12, 9, 0)))
    corpus.fails("webp/riff-only.webp", b"RIFF\x04\0\0\0WEBP")
    corpus.decodes("webp/huge-chunk.webp", b"RIFF\xff\xff\xff\xffWEBPVP8L\xf0\xff\xff\xff" + vp8l(12, 9), 12, 9)


WHOLE = {
    "png": png(40, 30),
    "interlaced.png": png(40, 30, interlace=1),
    "jpg": jpeg(40, 30),
    "progressive.jpg": jpeg(40, 30, progressive=True),
    "gif": gif(40, 30),
    "bmp": bmp(40, 30),
    "tif": tiff(40, 30),
    "webp": animated_webp(40, 30),
}


def wrong(corpus: Corpus) -> None:
    """Extensions and contents that are no image, or another one's."""
    for content, extension in (("png", "jpg"), ("jpg", "png"), ("gif", "webp"), ("bmp", "tif"), ("tif", "gif"), ("webp", "bmp")):
        corpus.decodes(f"wrong/{content}-named.{extension}", WHOLE[content], 40, 30)
    for extension in ("jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp"):
        corpus.fails(f"wrong/empty.{extension}", b"")
        corpus.fails(f"wrong/text.{extension}", b"This is a text.\n")
        corpus.fails(f"wrong/zeros.{extension}", bytes(4096))
    corpus.fails("wrong/newline.jpg", b"\n")
    corpus.fails("wrong/byte-order-mark.png", b"\xef\xbb\xbf" + WHOLE["png"])
    corpus.fails("wrong/html.jpg", b"<!doctype html><title>404 Not Found</title>")
    corpus.fails("wrong/heic.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    corpus.fails("wrong/avif.png", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1")
    corpus.fails("wrong/svg.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    corpus.fails("wrong/pdf.jpg", b"%PDF-1.7\n")
    corpus.fails("wrong/zip.jpg", b"PK\x03\x04" + bytes(100))
    corpus.fails("wrong/pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    corpus.fails("wrong/noise.jpg", corpus.random.randbytes(5000))


def cut(corpus: Corpus) -> None:
    """Whole files that end early."""
    for extension, whole in WHOLE.items():
        for share in (1, 5, 20, 50, 80):
            content = whole[: max(1, len(whole) * share // 100)]
            # The first frame is whole, and the second one ends at its start.
            ends_between_frames = extension == "webp" and share == 50
            name = f"cut/{share:02}.{extension}"
            corpus.decodes(name, content, 40, 30) if ends_between_frames else corpus.fails(name, content)


def flipped(corpus: Corpus) -> None:
    """Whole files with bytes that the seed chose."""
    for extension, whole in WHOLE.items():
        for number in range(6):
            content = bytearray(whole)
            for _ in range(2**number):
                content[corpus.random.randrange(len(content))] ^= 1 << corpus.random.randrange(8)
            corpus.file(f"flipped/{number}.{extension}", bytes(content), "either")


def sizes(corpus: Corpus) -> None:
    """One pixel, and sides as long as formats allow."""
    corpus.decodes("sizes/1x1.png", png(1, 1), 1, 1)
    corpus.decodes("sizes/1x1-interlaced.png", png(1, 1, interlace=1), 1, 1)
    corpus.decodes("sizes/1x1.jpg", jpeg(1, 1), 1, 1)
    corpus.decodes("sizes/1x1-420.jpg", jpeg(1, 1, sampling=(2, 2)), 1, 1)
    corpus.decodes("sizes/1x1.gif", gif(1, 1), 1, 1)
    corpus.decodes("sizes/1x1.bmp", bmp(1, 1), 1, 1)
    corpus.decodes("sizes/1x1.tif", tiff(1, 1), 1, 1)
    corpus.decodes("sizes/1x1.webp", riff((b"VP8L", vp8l(1, 1))), 1, 1)
    corpus.decodes("sizes/65535x1.png", png(65535, 1, colour=0), 65535, 1)
    corpus.decodes("sizes/1x65535.png", png(1, 65535, colour=0), 1, 65535)
    corpus.decodes("sizes/65535x1.gif", gif(65535, 1), 65535, 1)
    corpus.decodes("sizes/65535x1.bmp", bmp(65535, 1, bits=8), 65535, 1)
    corpus.decodes("sizes/65535x1.tif", tiff(65535, 1, samples=1), 65535, 1)
    corpus.decodes("sizes/16383x1.webp", riff((b"VP8L", vp8l(16383, 1))), 16383, 1)
    corpus.decodes("sizes/16000x8.jpg", jpeg(16000, 8, components=1), 16000, 8)


def bombs(corpus: Corpus) -> None:
    """Small files that declare, or decode to, more memory than they may have."""
    for width, height in ((50_000, 50_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 2**31 - 1), (2**32 - 1, 2**32 - 1)):
        corpus.fails(f"bombs/{width}x{height}.png", png_header(width, height) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND"))
    zeros = zlib.compress(bytes(9_001 * 3 * 1000)) * 3
    corpus.fails("bombs/within-pixels.png", png_header(9_000, 9_000) + chunk(b"IDAT", zeros) + chunk(b"IEND"))
    grey = zlib.compress(bytes((1 + 6_000) * 6_000), 9)
    corpus.decodes("bombs/36-megapixels-of-grey.png", png_header(6_000, 6_000, colour=0) + chunk(b"IDAT", grey) + chunk(b"IEND"), 6_000, 6_000)
    corpus.decodes("bombs/text.png", png(before=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100 << 20), 9))), 12, 9)
    corpus.decodes("bombs/profile.png", png(before=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100 << 20), 9))), 12, 9)
    corpus.fails("bombs/65500x65500.jpg", jpeg(declared=(65_500, 65_500)))
    corpus.fails("bombs/65535x65535.jpg", jpeg(declared=(65_535, 65_535)))
    corpus.fails("bombs/9000x9000.jpg", jpeg(declared=(9_000, 9_000), progressive=True))
    corpus.fails("bombs/65535x65535.gif", gif(screen=(65_535, 65_535)))
    corpus.fails("bombs/2147483647.bmp", bmp(declared=(2**31 - 1, 2**31 - 1)))
    corpus.fails("bombs/60000x60000-run-lengths.bmp", bmp(bits=8, compression=1, declared=(60_000, 60_000)))
    corpus.fails("bombs/4294967295.tif", tiff(declared=(2**32 - 1, 2**32 - 1)))
    corpus.fails("bombs/long-strip.tif", tiff(extra=[(0x144, 4, 0xFFFFFFFF, 8)]))
    corpus.fails("bombs/16384x16384.webp", riff((b"VP8L", vp8l(16_384, 16_384))))
    corpus.fails("bombs/canvas.webp", riff(vp8x(2**24, 2**8, 0x02), (b"ANIM", bytes(6))))


def names(corpus: Corpus) -> None:
    """Names that a shell, a URL or SQL could take for something else."""
    image = png(4, 4)
    for name in (
        "with space.png",
        " leading and trailing .png",
        "-dash.png",
        "--help.png",
        "quote's.png",
        'double"quote.png',
        "back`tick.png",
        "$HOME.png",
        "semi;colon.png",
        "star*.png",
        "question?.png",
        "[brackets].png",
        "{braces,here}.png",
        "percent%41.png",
        "percent%.png",
        "hash#.png",
        "plus+and&.png",
        "equals=value.png",
        "colon:.png",
        "back\\slash.png",
        "two..dots.png",
        "UPPER.PNG",
        "Mixed.JpG",
        "naïve-é.png",
        "e\u0301-combined.png",
        "日本語.png",
        "עברית.png",
        "😀.png",
        "\u200bzero-width.png",
        "a" * 251 + ".png",
        "ü" * 125 + "a.png",
        "folder.png/inside.png",
        "many/" * 40 + "deep.png",
    ):
        corpus.decodes(f"names/{name}", image, 4, 4)
    for number, name in enumerate(("new\nline.png", "tab\t.png", "bell\x07.png", "delete\x7f.png", "return\r.png")):
        corpus.file(f"names/{number}{name}", image, "unlisted")
    for name in (b"latin-\xe9.png", b"\xff\xfe.png", b"cut-\xe6\x97.png"):
        corpus.file(b"names/" + name, image, "unlisted")
    for name in (".hidden.png", "_underscore.png", ".folder/inside.png", "_folder/inside.png", ".png", "no-extension", "photo.png.bak", "photo.txt", "photo.png "):
        corpus.file(f"names/{name}", image, "none")


def entries(corpus: Corpus) -> None:
    """Entries of folders that are no files, or can't be read."""
    image = png(5, 5)
    corpus.decodes("entries/file.png", image, 5, 5)

    def link(target: str | bytes, name: str, outcome: str, size: tuple[int, int] | None = None) -> None:
        os.symlink(target, corpus.expect(name, outcome, size))

    link("file.png", "entries/link.png", "decodes", (5, 5))
    link("link.png", "entries/link-of-link.png", "decodes", (5, 5))
    link("nowhere.png", "entries/dangling.png", "unlisted")
    link("nowhere", "entries/dangling", "none")
    link("itself.png", "entries/itself.png", "unlisted")
    link("second.png", "entries/first.png", "unlisted")
    link("first.png", "entries/second.png", "unlisted")
    link(".", "entries/loop", "unlisted")
    link("..", "entries/loop-up", "unlisted")
    link("/dev/null", "entries/device-link.png", "none")
    outside = os.path.join(os.path.dirname(corpus.folder), b"outside")
    os.makedirs(outside)
    for name in (b"file.png", b"other.png"):
        with open(os.path.join(outside, name), "wb") as file:
            file.write(image)
    link(os.path.join(outside, b"file.png"), "entries/outside.png", "decodes", (5, 5))
    link(outside, "entries/outside-folder", "none")
    corpus.expect("entries/outside-folder/file.png", "decodes", (5, 5))
    corpus.expect("entries/outside-folder/other.png", "decodes", (5, 5))

    os.mkfifo(corpus.expect("entries/fifo.png", "none"))
    # A path of a socket has at most 107 bytes.
    place = corpus.expect("entries/socket.png", "none")
    before = os.getcwd()
    os.chdir(os.path.dirname(place))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    os.chdir(before)
    try:
        os.mknod(os.path.join(corpus.folder, b"entries/zero.png"), stat.S_IFCHR | 0o644, os.makedev(1, 5))
        corpus.expect("entries/zero.png", "none")
    except PermissionError:
        pass
    os.makedirs(corpus.expect("entries/empty", "none"))
    os.makedirs(corpus.expect("entries/empty.png", "none"))
    corpus.fails("entries/unreadable.png", image)
    os.chmod(os.path.join(corpus.folder, b"entries/unreadable.png"), 0)
    corpus.file("entries/locked/inside.png", image, "none")
    os.chmod(corpus.expect("entries/locked", "unlisted"), 0)
    sparse = corpus.expect("entries/sparse-1-terabyte.png", "fails")
    with open(sparse, "wb") as file:
        file.truncate(1 << 40)


def shards(folder: Path) -> None:
    """Shards of WebDataset: two that can be read, with odd members, and others that can't."""
    folder.mkdir()
    image = png(6, 6)

    def shard(name: str, members: list[tuple[str, bytes | None, bytes]], end: int | None = None) -> None:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path, content, kind in members:
                member = tarfile.TarInfo(path)
                member.type, member.size, member.linkname = kind, len(content or b""), "0001.png"
                tar.addfile(member, io.BytesIO(content or b""))
        (folder / name).write_bytes(data.getvalue()[:end])

    regular = tarfile.REGTYPE
    shard("good-plain.tar", [("0001.png", image, regular), ("0002.jpg", jpeg(), regular), ("0003.png", b"no image", regular)])
    shard(
        "good-odd.tar",
        [
            ("folder/", None, tarfile.DIRTYPE),
            ("a" * 200 + ".png", image, regular),
            ("link.png", None, tarfile.SYMTYPE),
            ("hard.png", None, tarfile.LNKTYPE),
            ("device.png", None, tarfile.CHRTYPE),
            ("fifo.png", None, tarfile.FIFOTYPE),
            ("empty.png", b"", regular),
            ("ü.png", image, regular),
            ("same.png", image, regular),
            ("same.png", b"again", regular),
            ("cut.png", image[:50], regular),
        ],
    )
    shard("good-empty.tar", [])
    shard("bad-cut.tar", [("0001.png", image * 50, regular)], end=1000)
    shard("bad-parent.tar", [("../../outside.png", image, regular)])
    shard("bad-root.tar", [("/outside.png", image, regular)])
    (folder / "bad-text.tar").write_bytes(b"no tar" * 200)
    (folder / "bad-zeros-then-noise.tar").write_bytes(b"\x01" * 512 + b"\xff" * 600)


if __name__ == "__main__":
    main()
