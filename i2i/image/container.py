"""Picture files taken apart: the pixels for Pillow, and the metadata that changes the picture.

Nothing is decoded here. Metadata can neither cost memory nor raise, because Pillow never gets it.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from i2i.image.picture import ImageError
from i2i.image.tiff import MAX_PROFILE, Tiff, holds_several, take_tiff_apart

_READABLE = "PNG, JPEG, WebP, TIFF or BMP"
_MAX_PARTS = 1 << 17  # chunks or segments of a file; a 256 MiB PNG of usual 8 KiB chunks has 2^15
# Formats that people send all the same, by how their files begin.
_OTHERS = [
    (re.compile(signature, re.DOTALL), name)
    for signature, name in (
        (rb"....ftyp(hei|hev|mif1|msf1)", "HEIC"),
        (rb"....ftypavi", "AVIF"),
        (rb"....ftypcrx", "a raw file of a camera"),
        (rb"....ftyp", "a film"),
        (rb"GIF8", "GIF"),
        (rb"%PDF", "PDF"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
        (rb"\0\0\0\x0cjP  ", "JPEG 2000"),
        (rb"8BPS", "a Photoshop file"),
        (rb"\s*(<\?xml|<svg)", "SVG or XML"),
        (rb"\s*<(!DOCTYPE|html)", "an HTML page"),
    )
]
# Frames that are baseline, extended or progressive; coded by Huffman or by arithmetic.
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
# A progressive JPEG has about 10 scans; each is a pass over the whole picture, however few bytes.
_MAX_SCANS = 100


@dataclass(frozen=True)
class Parts:
    """What shall be decoded, and the metadata that changes the picture.

    Attributes:
        complete: the file ends where it says it does.
        decoder: of Pillow, for the pieces of the file without its metadata.
        tiff: in their place, how a TIFF file is stored.
        size: (width, height), where opening the decoder costs a canvas.
    """

    format: str
    complete: bool
    decoder: type[ImageFile.ImageFile] | None = None
    pieces: Sequence[bytes | memoryview] = ()
    tiff: Tiff | None = None
    pictures: int = 1
    exif: bytes = b""
    profile: bytes = b""
    size: tuple[int, int] | None = None

    @property
    def png_bits(self) -> int:
        """Of a sample in a PNG file: stands in its header, behind the signature."""
        return int(self.pieces[1][16])

    def open(self) -> ImageFile.ImageFile:
        """The picture, by Pillow, before its pixels are decoded."""
        assert self.decoder is not None
        return self.decoder(io.BufferedReader(_Joined(self.pieces)))


class _Joined(io.RawIOBase):
    """A file of pieces that are not copied: pixels of a PNG may be half of the memory it costs."""

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._pieces = [memoryview(piece) for piece in pieces]
        self._starts = [0, *accumulate(map(len, self._pieces))]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._starts[-1])[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        at = bisect_right(self._starts, self._at) - 1
        if at == len(self._pieces):
            return 0
        start = self._at - self._starts[at]
        read = self._pieces[at][start : start + len(buffer)]
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)


def take_apart(data: bytes | bytearray | memoryview) -> Parts:
    """What a file holds, by its first bytes.

    Raises:
        ImageError: it is no picture that is read, or ends before its pixels.
        TypeError: no bytes.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(
            f"data: expected the bytes of a file, got {type(data).__name__}; `read` and `read_map` "
            "of i2i.image take a path"
        )
    data = bytes(data)  # no copy of bytes
    if not data:
        raise ImageError("empty", "there are no bytes", _READABLE, "nothing")
    kind = data[:4] + data[8:12] if data.startswith(b"RIFF") else data[:8]
    takers = [take for signature, take in _SIGNATURES.items() if kind.startswith(signature)]
    if not takers:
        if _is_animated_gif(data):
            raise ImageError("animated", "GIF is not read", _READABLE, "an animated GIF")
        if any(signature.startswith(kind) for signature in _SIGNATURES):
            raise ImageError("truncated", "the file ends within its first bytes")
        named = next((name for signature, name in _OTHERS if signature.match(data, 0, 99)), None)
        remedy = "; convert it, to PNG or JPEG" if named else ""
        raise ImageError(
            "unsupported_format",
            f"this is no format that is read{remedy}",
            _READABLE,
            named or "something else",
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
        if at == 8 and (size, kind) != (13, b"IHDR"):
            raise ImageError("damaged", "the file does not begin with its header")
        start, at = at, at + 12 + size
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            # Pillow does not compare those of the pixels.
            if at <= len(data) and zlib.crc32(view[start + 4 : at - 4]) != _checksum(data, at):
                raise ImageError("damaged", "a checksum of the png file is wrong")
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
        kind == b"IEND" and at <= len(data),
        PngImagePlugin.PngImageFile,
        kept,
        pictures=frames,
        exif=exif,
        profile=_inflate(packed.partition(b"\0")[2][1:]),
    )


def _checksum(data: bytes, end: int) -> int:
    """That of the chunk which ends there."""
    return int.from_bytes(data[end - 4 : end])


def _inflate(packed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(packed, MAX_PROFILE)
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


def jpeg_sides(data: bytes) -> tuple[int, int]:
    """Height and width that a JPEG's frame says; zeros where it has none."""
    for marker, start, _ in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, start + 5)
            return height, width
    return 0, 0


def _take_jpeg(data: bytes) -> Parts:
    view, kept = memoryview(data), [memoryview(data)[:2]]
    exif, profile = b"", dict[int, bytes]()
    marker, scans = 0, list[int]()  # where they start; the last may be the end of the picture
    for marker, start, end in _jpeg_segments(data):
        if marker in (0xD9, 0xDA):
            scans.append(start)
        elif scans:
            continue  # between scans: for the decoder
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker not in _JPEG_FRAMES or data[start + 4] != 8:
                lossy = f"{data[start + 4]} bits, frame {marker:#x}"
                raise ImageError(
                    "unsupported_format",
                    "a JPEG of this kind is not read; save it as a usual JPEG, or as PNG",
                    "8 bits, baseline or progressive",
                    lossy,
                )
            kept.append(view[start:end])
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
        complete,
        JpegImagePlugin.JpegImageFile,  # of MPO it sees the first picture only
        [*kept, view[scans[0] :]],
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
        complete,
        WebPImagePlugin.WebPImageFile,
        [data],
        pictures=frames,
        exif=exif,
        profile=profile,
        size=(width, height),
    )


def _take_bmp(data: bytes) -> Parts:
    if struct.unpack_from("<I", data, 14)[0] >= 40 and data[30] in (1, 2):
        # Pillow unpacks these byte by byte in Python: seconds for a picture of few bytes.
        raise ImageError("unsupported_format", "BMP with run lengths is not read", _READABLE, "RLE")
    complete = struct.unpack_from("<I", data, 2)[0] <= len(data)
    return Parts("bmp", complete, BmpImagePlugin.BmpImageFile, [data])


def _take_tiff(data: bytes) -> Parts:
    tiff = take_tiff_apart(data)
    return Parts(
        "tiff",
        tiff.complete,
        tiff=tiff,
        pictures=2 if holds_several(tiff.directory) else 1,
        exif=data,
        profile=tiff.profile,
        size=(tiff.width, tiff.height),
    )


_SIGNATURES: dict[bytes, Callable[[bytes], Parts]] = {
    b"\x89PNG\r\n\x1a\n": _take_png,
    b"\xff\xd8\xff": _take_jpeg,
    b"RIFFWEBP": _take_webp,
    b"II*\0": _take_tiff,
    b"MM\0*": _take_tiff,
    b"II+\0": _take_tiff,
    b"MM\0+": _take_tiff,
    b"BM": _take_bmp,
}
