"""Bad and odd pictures, made in memory: what library, command line and service must survive."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image


class BadPicture(NamedTuple):
    name: str
    data: bytes
    code: str | None  # of the ImageError; None where it is odd but decodes


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    """The image as bytes of a format, by Pillow."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(side: int) -> bytes:
    """A true, complete, black PNG of side x side in few bytes."""
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png_of(side, side, bits=1, colour=0, pixels=pixels)


def png_of(width: int, height: int, bits: int, colour: int, pixels: bytes, *more: bytes) -> bytes:
    """A PNG from its header fields and packed rows, with more chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [png_chunk(b"IHDR", header), *more]
    chunks += [png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff_of(entries: list[tuple[int, int, int, int]], behind: bytes = b"") -> bytes:
    """A little-endian TIFF of (tag, type, count, value) entries with bytes behind its directory."""
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + behind


def gray_tiff(side: int, *more: tuple[int, int, int, int], bits: int = 8) -> bytes:
    """A gray TIFF that claims side x side pixels and holds one, with more entries."""
    entries = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, bits), (262, 3, 1, 1)]
    return tiff_of([*entries, (273, 4, 1, 8), (279, 4, 1, 1), *more], bytes(2))


def bad_pictures() -> list[BadPicture]:
    """Every bad or odd picture with the code it must get."""
    ramp = np.arange(40 * 30 * 3, dtype=np.uint32).reshape(30, 40, 3)
    image = Image.fromarray((ramp * 37 % 251).astype(np.uint8))
    other = image.transpose(Image.Transpose.ROTATE_180)
    png, jpeg, webp = (encoded(image, format) for format in ("PNG", "JPEG", "WEBP"))
    tiff, bmp = encoded(image, "TIFF", compression="tiff_lzw"), encoded(image, "BMP")
    several: dict[str, Any] = {"save_all": True, "append_images": [other]}
    hole = bytearray(png)
    hole[len(png) // 2] ^= 0xFF
    zeros = zlib.compress(bytes(6), 9)
    text_bomb = png_chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(100 << 20), 9))
    profile_bomb = png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(100 << 20), 9))
    profiles = [png_chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(4 << 20), 9))] * 2000
    comment = b"\xff\xfe\0\4\xff\xd9"  # that holds the bytes of an end
    broken_exif = (
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x0f\x01\x02\0\xff\xff\xff\x7f\0\0\0\1" * 50
    )
    return [
        BadPicture("no bytes", b"", "empty"),
        BadPicture("text", b"not a picture at all\n" * 50, "unsupported_format"),
        BadPicture("svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_format"),
        BadPicture("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "unsupported_format"),
        BadPicture("eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported_format"),
        BadPicture("gif", encoded(image, "GIF"), "unsupported_format"),
        BadPicture("ppm", encoded(image, "PPM"), "unsupported_format"),
        BadPicture("float tiff", encoded(image.convert("F"), "TIFF"), "unsupported_format"),
        BadPicture("bmp with run lengths", bmp[:30] + b"\1" + bmp[31:], "unsupported_format"),
        BadPicture("12 bit tiff", gray_tiff(1, bits=12), "unsupported_format"),
        BadPicture("animated gif", encoded(image, "GIF", **several), "animated"),
        BadPicture("animated png", encoded(image, "PNG", **several), "animated"),
        BadPicture("animated webp", encoded(image, "WEBP", **several), "animated"),
        BadPicture("two-page tiff", encoded(image, "TIFF", **several), "animated"),
        BadPicture("first bytes of a png", png[:5], "truncated"),
        BadPicture("png without its end", png[:-100], "truncated"),
        BadPicture("png of a header", png[:33], "truncated"),
        BadPicture("jpeg without its end", jpeg[:-200], "truncated"),
        BadPicture("jpeg of a header", jpeg[:30], "truncated"),
        BadPicture("jpeg of zeros", b"\xff\xd8\xff\xe0\0\2" + bytes(12 << 20), "truncated"),
        BadPicture("jpeg of fill bytes", b"\xff\xd8" + b"\xff" * (4 << 20), "truncated"),
        BadPicture("webp without its end", webp[:-200], "truncated"),
        BadPicture("tiff without its end", tiff[:-200], "truncated"),
        BadPicture("bmp without its end", bmp[:-200], "truncated"),
        BadPicture("png with a hole", bytes(hole), "damaged"),
        BadPicture("png of colours first", png[:8] + png_chunk(b"PLTE", b"") + png[8:], "damaged"),
        BadPicture("png without pixels", png_of(40, 30, 8, 2, b""), "damaged"),
        BadPicture("jpeg of nothing", b"\xff\xd8\xff\xd9" + bytes(8), "damaged"),
        BadPicture("jpeg of 600 scans", many_scans(image, 600), "damaged"),
        BadPicture("jpeg of 600 scans, commented", many_scans(image, 600, comment), "damaged"),
        BadPicture("jpeg of a million segments", jpeg[:2] + b"\xff\xe0\0\2" * 1_000_000, "damaged"),
        BadPicture("webp of nothing", b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0" + bytes(10), "damaged"),
        BadPicture("tiff with giant tiles", giant_tiles(), "damaged"),
        BadPicture("tiff that lists a strip 999 times", repeated_strips(), "damaged"),
        BadPicture("tiff of columns of giant tiles", giant_columns(), "damaged"),
        BadPicture("tiff of 1000 strips that are one", overlapping_strips(), "damaged"),
        BadPicture("tiff without a size", tiff_of([(258, 3, 1, 8), (262, 3, 1, 1)]), "damaged"),
        BadPicture("bmp without a size", bmp[:18] + bytes(8) + bmp[26:], "damaged"),
        BadPicture("13000 x 13000 in 20 KB", huge_png(13_000), "too_many_pixels"),
        BadPicture("tiff of 2^60 tags", many_tags(), "damaged"),
        BadPicture("webp canvas of 2^48", vast_webp(), "too_many_pixels"),
        BadPicture("tiff of 2^60 pixels", gray_tiff(1 << 30), "too_many_pixels"),
        BadPicture("two-picture phone jpeg", encoded(image, "MPO", **several), None),
        BadPicture("jpeg with a broken exif", encoded(image, "JPEG", exif=broken_exif), None),
        BadPicture("png with a broken exif", encoded(image, "PNG", exif=broken_exif), None),
        BadPicture("webp with a broken profile", encoded(image, "WEBP", icc_profile=b"x"), None),
        BadPicture("png with a text bomb", png_of(2, 2, 8, 0, zeros, text_bomb), None),
        BadPicture("png with a profile bomb", png_of(2, 2, 8, 0, zeros, profile_bomb), None),
        BadPicture("png with 2000 profile bombs", png_of(2, 2, 8, 0, zeros, *profiles), None),
        BadPicture("tiff with a broken name", gray_tiff(1, (269, 2, 1 << 31, 8)), None),
        BadPicture("tiff of strips and giant tiles", strips_and_tiles(), None),
        BadPicture("big tiff", encoded(image, "TIFF", big_tiff=True), None),
        BadPicture("one pixel", encoded(image.crop((0, 0, 1, 1)), "PNG"), None),
        BadPicture("1 x 5000", encoded(Image.new("RGB", (1, 5000), "teal"), "JPEG"), None),
        BadPicture("jpeg with a tail", jpeg + b"PK\3\4 and more", None),
        BadPicture("jpeg with a video behind", jpeg + b"\xff\xda\0\2" * 200, None),
        BadPicture("jpeg with an end in a comment", many_scans(image, 1, comment), None),
        BadPicture("jpeg with a segment of no size", jpeg[:2] + b"\xff\xe0\0\0" + jpeg[2:], None),
    ]


def many_scans(image: Image.Image, count: int, between: bytes = b"") -> bytes:
    """A progressive JPEG with its last scan another `count` times, each behind a segment."""
    jpeg = encoded(image, "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + (between + scan) * count + jpeg[-2:]


def giant_tiles() -> bytes:
    """A 1 x 1 TIFF whose one tile claims a gigabyte."""
    entries = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(322, 4, 1, 1 << 15), (323, 4, 1, 1 << 15), (324, 4, 1, 8), (325, 4, 1, 8)]
    return tiff_of(entries)


def giant_columns() -> bytes:
    """A 4096 x 1 TIFF of 256 tiles of 16 x 2^18 pixels, all packed in the same place."""
    entries = [(256, 4, 1, 4096), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(322, 4, 1, 16), (323, 4, 1, 1 << 18), (324, 4, 256, 200), (325, 4, 256, 200)]
    return tiff_of(entries, struct.pack("<I", 8) * 300)


def overlapping_strips() -> bytes:
    """A 1 x 1000 TIFF of strips that each are the whole file, packed."""
    entries = [(256, 4, 1, 1), (257, 4, 1, 1000), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(278, 4, 1, 1), (273, 4, 1000, 4110), (279, 4, 1000, 110)]
    return tiff_of(entries, struct.pack("<I", 8000) * 1000 + struct.pack("<I", 8) * 1000)


def strips_and_tiles() -> bytes:
    """A 1 x 1 TIFF of one strip with the tags of giant tiles beside it."""
    tiles = [(322, 4, 1, 1 << 15), (323, 4, 1, 1 << 15), (324, 4, 1, 8), (325, 4, 1, 8)]
    return gray_tiff(1, *tiles)


def repeated_strips() -> bytes:
    """A 2 x 2 TIFF of two strips that lists 999, each to be decoded."""
    entries = [(256, 4, 1, 2), (257, 4, 1, 2), (258, 3, 1, 8), (262, 3, 1, 1), (278, 4, 1, 1)]
    return tiff_of([*entries, (273, 4, 999, 100), (279, 4, 999, 100)], b"\1\0\0\0" * 1999)


def many_tags() -> bytes:
    """A BigTIFF whose directory claims 2^60 entries."""
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 60) + bytes(1 << 20)


def vast_webp() -> bytes:
    """A WebP header of 2^24 x 2^24 pixels."""
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff" * 6
