"""Encoders for images of a few pixels in all variants of a format, whether or not a program would write them."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable


def pixel(x: int, y: int) -> tuple[int, int, int]:
    """A pattern that has edges, and differs at each place."""
    return (x * 7 + y * 3) % 256, (x * 2 + y * 11) % 256, (255 if (x // 4 + y // 4) % 2 else 20)


# PNG

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """A chunk with its length and check sum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """The signature and IHDR."""
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def png_rows(width: int, height: int, depth: int, colour: int, interlace: int) -> bytes:
    """The filtered rows of an image of the pattern; the filters take turns."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    raw = bytearray()
    for x0, y0, dx, dy in ADAM7 if interlace else [(0, 0, 1, 1)]:
        columns = range(x0, width, dx)
        if not columns:
            continue
        for y in range(y0, height, dy):
            raw.append(0)
            bits = [
                (value % 2**depth if colour == 3 else value >> (8 - depth) if depth <= 8 else value * 257)
                for x in columns
                for value in (*pixel(x, y), 200)[:samples]
            ]
            if depth == 16:
                raw += struct.pack(f">{len(bits)}H", *bits)
                continue
            text = "".join(f"{value:0{depth}b}" for value in bits)
            text += "0" * (-len(text) % 8)
            raw += int(text, 2).to_bytes(len(text) // 8, "big")
    return bytes(raw)


def png(
    width: int = 12, height: int = 9, depth: int = 8, colour: int = 2, interlace: int = 0, before: bytes = b"", after: bytes = b""
) -> bytes:
    """A whole PNG, with chunks before and after its data."""
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 and depth == 8 else b""
    if colour == 3 and depth < 8:
        palette = chunk(b"PLTE", bytes(range(3 * 2**depth)))
    data = chunk(b"IDAT", zlib.compress(png_rows(width, height, depth, colour, interlace)))
    header = png_header(width, height, depth, colour, interlace)
    return header + before + palette + data + after + chunk(b"IEND")


# JPEG

ZIGZAG = sorted(range(64), key=lambda n: (n // 8 + n % 8, n // 8 if (n // 8 + n % 8) % 2 else n % 8))
# Codes of eight bits for each symbol: a valid table that needs no statistics.
DC_SYMBOLS = list(range(12))
AC_SYMBOLS = [0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 11))]


class Bits:
    """Bits with the most significant first, and a zero stuffed after each 0xFF."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def add(self, value: int, count: int) -> None:
        if count:
            self.text.append(f"{value:0{count}b}")

    def bytes(self) -> bytes:
        text = "".join(self.text)
        text += "1" * (-len(text) % 8)
        return (int(text, 2).to_bytes(len(text) // 8, "big") if text else b"").replace(b"\xff", b"\xff\x00")


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def magnitude(value: int) -> tuple[int, int]:
    """Number of bits of a coefficient, and these bits."""
    size = abs(value).bit_length()
    return size, value if value >= 0 else value + (1 << size) - 1


COSINES = [[math.cos((2 * x + 1) * u * math.pi / 16) * (math.sqrt(0.125) if u == 0 else 0.5) for x in range(8)] for u in range(8)]


def transform(block: list[list[int]], step: int) -> list[int]:
    """The quantized coefficients of a block, in zigzag order."""
    rows = [[sum((row[x] - 128) * COSINES[u][x] for x in range(8)) for u in range(8)] for row in block]
    table = [sum(rows[y][n % 8] * COSINES[n // 8][y] for y in range(8)) / step for n in range(64)]
    return [round(table[place]) for place in ZIGZAG]


def planes(width: int, height: int, components: int) -> list[list[list[int]]]:
    """The samples of each component at full size: grey, YCbCr, or CMYK as Adobe inverts it."""
    made: list[list[list[int]]] = [[] for _ in range(components)]
    for y in range(height):
        rows: list[list[int]] = [[] for _ in range(components)]
        for x in range(width):
            r, g, b = pixel(x, y)
            luma = round(0.299 * r + 0.587 * g + 0.114 * b)
            values = (r, g, b, 220) if components == 4 else (luma, *(min(255, max(0, round(c))) for c in (128 + (b - luma) * 0.564, 128 + (r - luma) * 0.713)))
            for row, value in zip(rows, values, strict=False):
                row.append(value)
        for plane, row in zip(made, rows, strict=True):
            plane.append(row)
    return made


def scan(blocks: Iterable[tuple[int, list[int]]], first: int, last: int, restart: int, blocks_of_unit: int) -> bytes:
    """Entropy-coded data of blocks and their components: coefficients `first` to `last`."""
    bits, before, coded, intervals = Bits(), {}, bytearray(), 0
    for number, (component, block) in enumerate(blocks):
        if restart and number and number % (restart * blocks_of_unit) == 0:
            coded += bits.bytes() + bytes([0xFF, 0xD0 + intervals % 8])
            bits, before, intervals = Bits(), {}, intervals + 1
        if first == 0:
            size, value = magnitude(block[0] - before.get(component, 0))
            before[component] = block[0]
            bits.add(DC_SYMBOLS.index(size), 8)
            bits.add(value, size)
        run = 0
        for coefficient in block[max(first, 1) : last + 1]:
            if coefficient == 0:
                run += 1
                continue
            while run > 15:
                bits.add(AC_SYMBOLS.index(0xF0), 8)
                run -= 16
            size, value = magnitude(coefficient)
            bits.add(AC_SYMBOLS.index(run << 4 | size), 8)
            bits.add(value, size)
            run = 0
        if run and last > 0:
            bits.add(AC_SYMBOLS.index(0), 8)
    return bytes(coded + bits.bytes())


def jpeg(
    width: int = 20,
    height: int = 13,
    components: int = 3,
    sampling: tuple[int, int] = (1, 1),
    progressive: bool = False,
    restart: int = 0,
    adobe: int | None = None,
    applications: bytes = b"",
    frame: int | None = None,
    precision: int = 8,
    scans: int = 1,
    declared: tuple[int, int] | None = None,
) -> bytes:
    """A whole JPEG. `declared` is the size in its header, `scans` repeats the last scan of a progressive one."""
    h, v = sampling
    wide, high = 8 * h, 8 * v
    units_x, units_y = -(-width // wide), -(-height // high)
    samples = planes(width, height, components)
    blocks: list[tuple[int, list[int]]] = []

    def block(component: int, x0: int, y0: int, step_x: int, step_y: int) -> list[int]:
        plane = samples[component]
        rows = [plane[min(height - 1, y0 + y * step_y)] for y in range(8)]
        return transform([[row[min(width - 1, x0 + x * step_x)] for x in range(8)] for row in rows], 16)

    for unit in range(units_x * units_y):
        left, top = unit % units_x * wide, unit // units_x * high
        for component in range(components):
            if component in (0, 3) and components > 1:
                for part in range(h * v):
                    blocks.append((component, block(component, left + part % h * 8, top + part // h * 8, 1, 1)))
            else:
                blocks.append((component, block(component, left, top, h if components > 1 else 1, v if components > 1 else 1)))
    factors = [(h << 4 | v) if component in (0, 3) and components > 1 else 0x11 for component in range(components)]
    per_unit = sum((factor >> 4) * (factor & 15) for factor in factors)

    kind = frame if frame is not None else 0xC2 if progressive else 0xC0
    shown = declared or (width, height)
    parts = [b"\xff\xd8", applications]
    if adobe is not None:
        parts.append(segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe)))
    parts.append(segment(0xDB, b"\x00" + bytes([16]) * 64))
    described = b"".join(bytes([component + 1, factor, 0]) for component, factor in enumerate(factors))
    parts.append(segment(kind, struct.pack(">BHHB", precision, shown[1], shown[0], components) + described))
    for number, symbols in ((0x00, DC_SYMBOLS), (0x10, AC_SYMBOLS)):
        counts = bytes(len(symbols) if length == 8 else 0 for length in range(1, 17))
        parts.append(segment(0xC4, bytes([number]) + counts + bytes(symbols)))
    if restart:
        parts.append(segment(0xDD, struct.pack(">H", restart)))

    def start(members: range, first: int, last: int) -> bytes:
        chosen = b"".join(bytes([member + 1, 0x00]) for member in members)
        return segment(0xDA, bytes([len(members)]) + chosen + bytes([first, last, 0]))

    everything = range(components)
    if not progressive:
        parts.append(start(everything, 0, 63) + scan(blocks, 0, 63, restart, per_unit))
    else:
        parts.append(start(everything, 0, 0) + scan(blocks, 0, 0, restart, per_unit))
        for component in everything:
            own = [entry for entry in blocks if entry[0] == component]
            part = start(range(component, component + 1), 1, 63) + scan(own, 1, 63, restart, 1)
            parts.extend([part] * (scans if component == components - 1 else 1))
    return b"".join([*parts, b"\xff\xd9"])


# EXIF, which is a TIFF directory


def directory(entries: list[tuple[int, int, int, int]], order: str = "<", following: int = 0, start: int = 8) -> bytes:
    """A TIFF of one directory: tag, type, count and value or offset of each entry."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    body = b""
    for tag, kind, count, value in entries:
        short = struct.pack(order + "HH", value, 0) if kind == 3 and count == 1 else struct.pack(order + "I", value & 0xFFFFFFFF)
        body += struct.pack(order + "HHI", tag, kind, count) + short
    return head + struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", following)


def exif(orientation: int, order: str = "<", following: int = 0) -> bytes:
    """An APP1 segment with an orientation."""
    return segment(0xE1, b"Exif\0\0" + directory([(0x112, 3, 1, orientation)], order, following))


# BMP


def bmp(width: int = 12, height: int = 9, bits: int = 24, compression: int = 0, declared: tuple[int, int] | None = None) -> bytes:
    """A BMP with the header of Windows 3; a negative declared height is top-down."""
    rows = b""
    for y in range(height):
        if bits == 24:
            row = b"".join(bytes(reversed(pixel(x, y))) for x in range(width))
        elif bits == 32:
            row = b"".join(bytes(reversed(pixel(x, y))) + b"\xff" for x in range(width))
        elif bits == 16:
            row = b"".join(struct.pack("<H", (pixel(x, y)[0] >> 3) << 10 | pixel(x, y)[1] >> 3) for x in range(width))
        else:
            text = "".join(f"{pixel(x, y)[0] % 2**bits:0{bits}b}" for x in range(width))
            text += "0" * (-len(text) % 8)
            row = int(text, 2).to_bytes(len(text) // 8, "big")
        if compression == 1:
            rows += b"".join(bytes([1, byte]) for byte in row) + b"\0\0"
            continue
        rows += row + bytes(-len(row) % 4)
    rows += b"\0\1" if compression == 1 else b""
    palette = b"".join(bytes([n, 255 - n, n // 2, 0]) for n in range(2**bits)) if bits <= 8 else b""
    shown = declared or (width, height)
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, *shown, 1, bits, compression, len(rows), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


# GIF


def lzw(indices: Iterable[int], bits: int) -> bytes:
    """Codes of constant length: the table is cleared before they would grow."""
    clear, codes, count = 1 << bits, [], 0
    for index in indices:
        if count % ((1 << bits) - 2) == 0:
            codes.append(clear)
        codes.append(index)
        count += 1
    codes.append(clear + 1)
    text = "".join(reversed([f"{code:0{bits + 1}b}" for code in codes]))
    text = "0" * (-len(text) % 8) + text
    data = int(text, 2).to_bytes(len(text) // 8, "little")
    blocks = b"".join(bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255))
    return bytes([bits]) + blocks + b"\0"


def gif(
    width: int = 12,
    height: int = 9,
    bits: int = 4,
    frames: int = 1,
    interlaced: bool = False,
    transparent: bool = False,
    local: bool = False,
    screen: tuple[int, int] | None = None,
) -> bytes:
    """A GIF of the pattern's colours; `local` palettes stand beside each frame."""
    palette = b"".join(bytes([n * 255 // (2**bits - 1), n * 3 % 256, 255 - n]) for n in range(2**bits))
    shown = screen or (width, height)
    parts = [b"GIF89a", struct.pack("<HHBBB", *shown, 0 if local else 0x80 | bits - 1, 0, 0), b"" if local else palette]
    if frames > 1:
        parts.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
    order = [y for first, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(first, height, step)] if interlaced else range(height)
    for frame in range(frames):
        if frames > 1 or transparent:
            parts.append(b"\x21\xf9\x04" + struct.pack("<BHB", 1 if transparent else 0, 5, 3) + b"\0")
        flags = (0x40 if interlaced else 0) | (0x80 | bits - 1 if local else 0)
        parts.append(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, flags) + (palette if local else b""))
        parts.append(lzw((pixel(x + frame, y)[0] % 2**bits for y in order for x in range(width)), bits))
    return b"".join([*parts, b"\x3b"])


# TIFF


def tiff(
    width: int = 12,
    height: int = 9,
    samples: int = 3,
    bits: int = 8,
    order: str = "<",
    compression: int = 1,
    photometric: int | None = None,
    orientation: int = 1,
    pages: int = 1,
    declared: tuple[int, int] | None = None,
    extra: Iterable[tuple[int, int, int, int]] = (),
) -> bytes:
    """A TIFF of one strip a page: not compressed (1), Deflate (8) or PackBits (32773)."""
    raw = bytearray()
    for y in range(height):
        values = [value for x in range(width) for value in (*pixel(x, y), 200)[:samples]]
        if bits == 16:
            raw += struct.pack(f"{order}{len(values)}H", *(value * 257 for value in values))
        elif bits == 1:
            text = "".join("1" if value > 127 else "0" for value in values)
            text += "0" * (-len(text) % 8)
            raw += int(text, 2).to_bytes(len(text) // 8, "big")
        else:
            raw += bytes(values)
    data = bytes(raw)
    if compression == 8:
        data = zlib.compress(data)
    elif compression == 32773:
        data = b"".join(bytes([len(data[at : at + 128]) - 1]) + data[at : at + 128] for at in range(0, len(data), 128))
    if photometric is None:
        photometric = 2 if samples >= 3 else 1
    shown = declared or (width, height)
    made = b""
    for page in range(pages):
        start = 8 if page == 0 else len(made)
        entries = [
            (0x100, 4, 1, shown[0]),
            (0x101, 4, 1, shown[1]),
            (0x102, 3, 1, bits),
            (0x103, 3, 1, compression),
            (0x106, 3, 1, photometric),
            (0x111, 4, 1, 0),
            (0x112, 3, 1, orientation),
            (0x115, 3, 1, samples),
            (0x116, 4, 1, shown[1]),
            (0x117, 4, 1, len(data)),
            *extra,
        ]
        if samples in (2, 4) and photometric in (1, 2):
            entries.append((0x152, 3, 1, 2))
        entries.sort()
        length = 2 + 12 * len(entries) + 4
        values_at = start + length
        pixels_at = values_at + 8
        following = pixels_at + len(data) if page + 1 < pages else 0
        fixed = [
            (tag, kind, samples, values_at) if tag == 0x102 and samples > 2 else (tag, kind, count, pixels_at if tag == 0x111 else value)
            for tag, kind, count, value in entries
        ]
        body = directory(fixed, order, following)[8:]
        if tag_of_pairs := [entry for entry in fixed if entry[0] == 0x102 and samples == 2]:
            # Two samples' bits stand within the entry.
            place = 2 + 12 * fixed.index(tag_of_pairs[0])
            body = body[: place + 4] + struct.pack(order + "IHH", 2, bits, bits) + body[place + 12 :]
        head = directory([], order)[:8] if page == 0 else b""
        made += head + body + struct.pack(f"{order}4H", bits, bits, bits, bits) + data
    return made


# WebP


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A RIFF file of chunks."""
    body = b"".join(kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def vp8l(width: int, height: int, colour: tuple[int, int, int] = (200, 40, 90)) -> bytes:
    """Lossless data of one colour, which takes no bits for a pixel."""
    bits = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 1), (0, 3), (0, 1), (0, 1), (0, 1)]
    red, green, blue = colour
    for symbol in (green, red, blue, 255):
        bits += [(1, 1), (0, 1), (1, 1), (symbol, 8)]
    bits += [(1, 1), (0, 1), (0, 1), (0, 1)]
    text = "".join(reversed([f"{value:0{count}b}" for value, count in bits]))
    text = "0" * (-len(text) % 8) + text
    return int(text, 2).to_bytes(len(text) // 8, "little")


def vp8x(width: int, height: int, flags: int) -> tuple[bytes, bytes]:
    """The chunk of an extended file."""
    return b"VP8X", struct.pack("<B3x", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def animated_webp(width: int = 12, height: int = 9, frames: int = 3) -> bytes:
    """An animation of one colour a frame."""
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    made = []
    for frame in range(frames):
        data = vp8l(width, height, (frame * 60, 90, 255 - frame * 60))
        inner = b"VP8L" + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        made.append((b"ANMF", bytes(6) + sizes + (100).to_bytes(3, "little") + b"\0" + inner))
    return riff(vp8x(width, height, 0x02), (b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0)), *made)
