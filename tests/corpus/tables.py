"""Parquet files, whole and broken: a column of images, written as the format says or not quite so.

  PAR1 ── page header, page ── footer: schema, row groups, their columns ── length of the footer ── PAR1

Headers and the footer are Thrift's compact protocol: a field is its number and type, and then its value.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from random import Random

from encoders import png

MAGIC = b"PAR1"
# Types of Thrift.
I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
# Types of columns.
INT32, BYTE_ARRAY = 1, 6


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def integer(number: int) -> bytes:
    return varint((number << 1 ^ number >> 63) & (1 << 64) - 1)


def binary(content: bytes) -> bytes:
    return varint(len(content)) + content


def listed(kind: int, items: list[bytes]) -> bytes:
    start = bytes([len(items) << 4 | kind]) if len(items) < 15 else bytes([0xF0 | kind]) + varint(len(items))
    return start + b"".join(items)


def fields(*given: tuple[int, int, bytes]) -> bytes:
    """A struct of fields: number, type and value."""
    out, last = b"", 0
    for number, kind, value in given:
        out += bytes([number - last << 4 | kind]) + value
        last = number
    return out + b"\0"


def levels(values: list[bytes | None]) -> bytes:
    """Which values there are: runs of eight bits."""
    bits = sum((value is not None) << at for at, value in enumerate(values))
    groups = (len(values) + 7) // 8
    runs = varint(groups << 1 | 1) + bits.to_bytes(groups, "little")
    return struct.pack("<I", len(runs)) + runs


def table(
    values: list[bytes | None],
    kind: int = BYTE_ARRAY,
    *,
    name: bytes = b"image",
    page: bytes | None = None,
    page_bytes: int | None = None,
    page_values: int | None = None,
    crc: int | None = None,
    codec: int = 0,
    offset: int | None = None,
    chunk_bytes: int | None = None,
    rows: int | None = None,
    children: int = 1,
    encoding: int = 0,
) -> bytes:
    """A file of one column in one page; the others are what headers and footer say, if that is not so."""
    if page is None:
        length = (lambda value: struct.pack("<I", len(value))) if kind == BYTE_ARRAY else lambda value: b""
        page = levels(values) + b"".join(length(value) + value for value in values if value is not None)
    size = len(page) if page_bytes is None else page_bytes
    count = len(values) if page_values is None else page_values
    header = [(1, I32, integer(0)), (2, I32, integer(size)), (3, I32, integer(size))]
    if crc is not None:
        header.append((4, I32, integer(crc - (1 << 32) if crc >> 31 else crc)))
    data = fields((1, I32, integer(count)), (2, I32, integer(encoding)), (3, I32, integer(3)), (4, I32, integer(3)))
    start = fields(*header, (5, STRUCT, data))
    rows = len(values) if rows is None else rows
    whole = len(start) + len(page) if chunk_bytes is None else chunk_bytes
    column = fields(
        (1, I32, integer(kind)),
        (2, LIST, listed(I32, [integer(0), integer(3)])),
        (3, LIST, listed(BINARY, [binary(name)])),
        (4, I32, integer(codec)),
        (5, I64, integer(rows if page_values is None else page_values)),
        (6, I64, integer(whole)),
        (7, I64, integer(whole)),
        (9, I64, integer(len(MAGIC) if offset is None else offset)),
    )
    chunk = fields((2, I64, integer(len(MAGIC))), (3, STRUCT, column))
    group = fields((1, LIST, listed(STRUCT, [chunk])), (2, I64, integer(whole)), (3, I64, integer(rows)))
    root = fields((4, BINARY, binary(b"schema")), (5, I32, integer(children)))
    leaf = fields((1, I32, integer(kind)), (3, I32, integer(1)), (4, BINARY, binary(name)))
    footer = fields(
        (1, I32, integer(1)),
        (2, LIST, listed(STRUCT, [root, leaf])),
        (3, I64, integer(rows)),
        (4, LIST, listed(STRUCT, [group])),
    )
    return MAGIC + start + page + footer + struct.pack("<I", len(footer)) + MAGIC


def tables(folder: Path, random: Random) -> None:
    """Files whose names say what becomes of them: good- and odd- ones have the rows that the test counts, bad- ones an error
    that names them, panics- ones too, after their reader has panicked, and type- ones have no column of images."""
    folder.mkdir()
    image = png(6, 6)
    values = [image, None, b"no image", b"", image[:50], image]
    whole = table(values)
    page = levels(values) + b"".join(struct.pack("<I", len(value)) + value for value in values if value is not None)
    footer = 8 + struct.unpack("<I", whole[-8:-4])[0]

    def write(name: str, content: bytes) -> None:
        (folder / f"{name}.parquet").write_bytes(content)

    write("good-images", whole)
    write("good-checksum", table(values, crc=zlib.crc32(page)))
    write("good-no-rows", table([]))
    write("good-nulls", table([None] * 20))
    write("good-long-image", table([image + bytes(5 << 20)]))

    write("type-empty", b"")
    write("type-numbers", table([struct.pack("<i", 7)] * 3, INT32))
    write("type-other-name", table(values, name=b"picture"))

    write("bad-magic-only", MAGIC)
    write("bad-text", b"path,image\n" * 100)
    write("bad-first-magic-and-last", b"PARX" + whole[4:-4] + b"PARX")
    write("bad-encrypted", whole[:-4] + b"PARE")
    for share in (1, 30, 70, 99):
        write(f"bad-cut-{share}", whole[: len(whole) * share // 100])
    write("panics-footer-length", whole[:-8] + struct.pack("<I", 2**31 - 1) + MAGIC)
    write("panics-footer-longer-than-file", whole[:-8] + struct.pack("<I", len(whole)) + MAGIC)
    write("bad-footer-zeros", whole[:-footer] + bytes(footer - 8) + whole[-8:])
    write("bad-footer-noise", whole[:-footer] + random.randbytes(footer - 8) + whole[-8:])
    write("bad-children", table(values, children=1000))
    write("bad-page-length", table(values, page_bytes=2**31 - 1))
    write("bad-page-length-negative", table(values, page_bytes=-5))
    write("bad-page-shorter", table(values, page_bytes=len(page) - 10))
    write("bad-page-values", table(values, page_values=10**9))
    write("bad-value-length", table([image], page=levels([image]) + struct.pack("<I", 2**31 - 1) + image))
    write("bad-page-noise", table(values, page=random.randbytes(200)))
    write("odd-rows", table(values, rows=2**40))
    write("bad-rows-negative", table(values, rows=-1))
    write("bad-offset", table(values, offset=2**40))
    write("panics-offset-negative", table(values, offset=-1))
    write("bad-chunk-bytes", table(values, chunk_bytes=2**40))
    write("bad-codec", table(values, codec=1))
    write("bad-codec-unknown", table(values, codec=99))
    write("bad-encoding", table(values, encoding=77))
    write("odd-checksum", table(values, crc=1))
