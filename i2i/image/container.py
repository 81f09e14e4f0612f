"""Picture files taken apart: the pixels for Pillow, and the metadata that changes the picture.

Nothing is decoded here. Metadata can neither cost memory nor raise, because Pillow never gets it.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from i2i.image.picture import ImageError

_READABLE = "PNG, JPEG, WebP, TIFF or BMP"
_MAX_PARTS = 1 << 17  # chunks or segments of a file; a 256 MiB PNG of usual 8 KiB chunks has 2^15
_MAX_PROFILE = 1 << 22  # bytes; press profiles have 2 MiB
# A progressive JPEG has about 10 scans; each is a pass over the whole picture, however few bytes.
_MAX_SCANS = 100


@dataclass(frozen=True)
class Parts:
    """What Pillow shall decode, and the metadata that changes the picture."""

    format: str
    decoder: type[ImageFile.ImageFile]
    pixels: bytes  # the file without its metadata
    complete: bool  # the file ends where it says it does
    pictures: int = 1
    exif: bytes = b""
    profile: bytes = b""
    size: tuple[int, int] | None = None  # (width, height), if opening the decoder costs a canvas


def take_apart(data: bytes) -> Parts:
    if not data:
        raise ImageError("empty", "there are no bytes", _READABLE, "nothing")
    kind = data[:4] + data[8:12] if data.startswith(b"RIFF") else data[:8]
    takers = [take for signature, take in _SIGNATURES.items() if kind.startswith(signature)]
    if not takers:
        if _is_animated_gif(data):
            raise ImageError("animated", "GIF is not read", _READABLE, "an animated GIF")
        if any(signature.startswith(kind) for signature in _SIGNATURES):
            raise ImageError("truncated", "the file ends within its first bytes")
        raise ImageError(
            "unsupported_format", "this is no format that is read", _READABLE, "something else"
        )
    try:
        parts = takers[0](data)
    except (struct.error, IndexError) as error:
        raise ImageError("truncated", "the file ends before its picture") from error
    if parts.pictures > 1:
        raise ImageError("animated", "the file holds several pictures", "one", "several")
    return parts


def _is_animated_gif(data: bytes) -> bool:
    try:
        return bool(GifImagePlugin.GifImageFile(io.BytesIO(data)).is_animated)
    except Exception:  # no GIF, or a broken one: no format that is read either way
        return False


def _take_png(data: bytes) -> Parts:
    view, kept = memoryview(data), [memoryview(data)[:8]]
    exif = packed = b""
    frames, at, kind = 1, 8, b""
    for _ in range(_MAX_PARTS):
        if at >= len(data) or kind == b"IEND":
            break
        size, kind = struct.unpack_from(">I4s", data, at)
        start, at = at, at + 12 + size
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(view[start:at])
        elif kind == b"eXIf":
            exif = data[start + 8 : at - 4]
        elif kind == b"iCCP":
            packed = packed or data[start + 8 : at - 4]
        elif kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, start + 8)
    else:
        raise ImageError("damaged", "the file consists of too many parts")
    return Parts(
        "png",
        PngImagePlugin.PngImageFile,
        b"".join(kept),
        kind == b"IEND" and at <= len(data),
        frames,
        exif,
        _inflate(packed.partition(b"\0")[2][1:]),
    )


def _inflate(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(packed, _MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if inflater.eof else b""


# The start of a segment and its size, or the end of the picture. 0xFF before any other byte is no
# segment: fill, a restart, a value among the pixels. libjpeg passes over it likewise, or gives up.
_JPEG_SEGMENT = re.compile(rb"\xff(?:[\xc0-\xcf\xda-\xfe](..)|\xd9)", re.DOTALL)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of every segment, up to the end of the picture."""
    at = 2
    for _ in range(_MAX_PARTS):
        found = _JPEG_SEGMENT.search(data, at)
        if not found:
            return
        start, size = found.start(), found[1]
        at = start + 2 + max(int.from_bytes(size), 2) if size else start + 2
        yield data[start + 1], start, at
        if not size:
            return
    raise ImageError("damaged", "the file consists of too many parts")


def _take_jpeg(data: bytes) -> Parts:
    view, kept = memoryview(data), [memoryview(data)[:2]]
    exif, profile = b"", dict[int, bytes]()
    marker, scans = 0, list[int]()  # where they start; the last may be the end of the picture
    for marker, start, end in _jpeg_segments(data):
        if marker in (0xD9, 0xDA):
            scans.append(start)
        elif scans:
            continue  # between scans: for the decoder
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", start + 4):
            exif = exif or data[start + 4 : end]
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", start + 4) and end - start > 18:
            profile[data[start + 16]] = data[start + 18 : end]
        elif marker in (0xE0, 0xEE) or not (0xE1 <= marker <= 0xEF or marker == 0xFE):
            kept.append(view[start:end])  # JFIF and Adobe tell the colour space
    complete = marker == 0xD9
    if len(scans) - complete > _MAX_SCANS:
        raise ImageError("damaged", "the file consists of too many scans")
    return Parts(
        "jpeg",
        JpegImagePlugin.JpegImageFile,  # of MPO it sees the first picture only
        b"".join([*kept, view[scans[0] :]]),
        complete,
        exif=exif,
        profile=b"".join(profile[number] for number in sorted(profile)),
    )


def _take_webp(data: bytes) -> Parts:
    exif = profile = b""
    frames, at = 0, 12
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            break
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            exif = data[at + 8 : at + 8 + size]
        elif kind == b"ICCP":
            profile = data[at + 8 : at + 8 + size]
        frames += kind == b"ANMF"
        at += 8 + size + size % 2
    else:
        raise ImageError("damaged", "the file consists of too many parts")
    first, width, height = data[12:16], 0, 0
    if first == b"VP8X":
        width = (struct.unpack_from("<I", data, 23)[0] >> 8) + 1
        height = (struct.unpack_from("<I", data, 26)[0] >> 8) + 1
    elif first == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    complete = struct.unpack_from("<I", data, 4)[0] + 8 <= len(data)
    return Parts(
        "webp",
        WebPImagePlugin.WebPImageFile,
        data,
        complete,
        frames,
        exif,
        profile,
        (width, height),
    )


def _take_bmp(data: bytes) -> Parts:
    complete = struct.unpack_from("<I", data, 2)[0] <= len(data)
    return Parts("bmp", BmpImagePlugin.BmpImageFile, data, complete)


_Entry = tuple[int, int, bytes]  # type, count, and the value or its place

_TIFF_MAX_NUMBERS = 1 << 20  # in one tag; a picture of a million strips
_TIFF_TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u8", 7: "u1"}
_TIFF_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946)
_TIFF_SINGLE = {256, 257, 259, 262, 266, 277, 278, 284, 292, 293, 317, 322, 323}
# All that says how pixels are stored; no names, dates, resolutions, sub-files.
_TIFF_TAGS = _TIFF_SINGLE | {258, 273, 279, 320, 324, 325, 338, 339, 347, 529, 530, 532}


def _take_tiff(data: bytes) -> Parts:
    order, entries, end = directory(data)

    def numbers(tag: int, default: int = 1) -> NDArray[Any]:
        kind, count, value = entries.get(tag, (4, 1, struct.pack(order + "I", default)))
        dtype = np.dtype(order + _TIFF_TYPES.get(kind, "u1"))
        limit = 1 if tag in _TIFF_SINGLE else _TIFF_MAX_NUMBERS
        if not 1 <= count <= limit or kind not in _TIFF_TYPES:
            raise ImageError("damaged", f"tag {tag} of the TIFF file makes no sense")
        if count * dtype.itemsize <= 4:
            return np.frombuffer(value, dtype, count)
        (where,) = struct.unpack(order + "I", value)
        if where + count * dtype.itemsize > len(data):
            raise IndexError
        return np.frombuffer(data, dtype, count, where)

    kept = {tag: entries[tag] for tag in sorted(entries) if tag in _TIFF_TAGS}
    for tag in kept:
        numbers(tag)  # raises unless its values lie within the file
    compression, bits = int(numbers(259)[0]), int(numbers(258)[0])
    # Pillow reads 12 bits unscaled, and of 16 bits neither separate planes nor white-is-zero.
    odd = bits == 16 and (numbers(284)[0] == 2 or numbers(262)[0] == 0)
    if compression not in _TIFF_COMPRESSIONS or bits not in (1, 2, 4, 8, 16) or odd:
        raise ImageError(
            "unsupported_format",
            "this kind of TIFF is not read",
            "8 or 16 bits; no, CCITT, LZW, JPEG, deflate or PackBits compression",
            f"{bits} bits, compression {compression}",
        )
    width, height = int(numbers(256)[0]), int(numbers(257)[0])
    if 273 in kept:
        places, sizes, across, down = 273, 279, width, min(height, int(numbers(278, height)[0]))
        kept = {
            tag: kept[tag] for tag in kept if not 322 <= tag <= 325
        }  # strips or tiles, not both
    else:
        places, sizes, across, down = 324, 325, int(numbers(322)[0]), int(numbers(323)[0])
    starts = numbers(places, 0).astype(np.int64)
    # Every block costs a buffer, and Pillow decodes each that is listed, however often.
    across, down = max(across, 1), max(down, 1)
    blocks = -(-width // across) * -(-height // down) * int(numbers(277)[0])
    if across * down > max(4 * width * height, 1 << 22):
        raise ImageError("damaged", "the tiles of the TIFF file dwarf its picture")
    if len(starts) > max(blocks, 1):
        raise ImageError("damaged", "the TIFF file lists more blocks than its picture has")
    last = int(starts.max()) + int(numbers(sizes, 0)[-1])
    count, profile = entries.get(34675, (7, 0, b""))[1:]
    if 4 < count <= _MAX_PROFILE:
        (where,) = struct.unpack(order + "I", profile)
        profile = data[where : where + count]
    # The same file with a directory of what was kept, behind the rest.
    listing = struct.pack(order + "H", len(kept)) + b"".join(
        struct.pack(order + "HHI4s", tag, *entry) for tag, entry in kept.items()
    )
    header = data[:4] + struct.pack(order + "I", len(data) + len(data) % 2)
    padding = b"\0" * (len(data) % 2)
    pixels = b"".join((header, memoryview(data)[8:], padding, listing, b"\0" * 4))
    (following,) = struct.unpack_from(order + "I", data, end)
    return Parts(
        "tiff",
        TiffImagePlugin.TiffImageFile,
        pixels,
        last <= len(data),
        pictures=2 if following else 1,
        exif=data,
        profile=profile,
    )


def directory(tiff: bytes) -> tuple[str, dict[int, _Entry], int]:
    """Byte order, entries by tag, and the place behind them, of TIFF or EXIF bytes."""
    order = "<" if tiff.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, at)
    entries: dict[int, _Entry] = {}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, *entry = struct.unpack_from(order + "HHI4s", tiff, place)
        entries.setdefault(tag, (entry[0], entry[1], entry[2]))
    return order, entries, at + 2 + 12 * count


_SIGNATURES: dict[bytes, Callable[[bytes], Parts]] = {
    b"\x89PNG\r\n\x1a\n": _take_png,
    b"\xff\xd8\xff": _take_jpeg,
    b"RIFFWEBP": _take_webp,
    b"II*\0": _take_tiff,
    b"MM\0*": _take_tiff,
    b"BM": _take_bmp,
}
