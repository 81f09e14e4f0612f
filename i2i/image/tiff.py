"""TIFF and BigTIFF taken apart: directories read and written, and where the pixels lie.

Nothing is decoded here. Tags that say nothing of the pixels are never looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from i2i.image.picture import ImageError

Order = Literal["<", ">"]  # little-endian, big-endian

_MAX_ENTRIES = 1 << 16  # all that the count of a classic directory can say
_MAX_ENTRIES_AFTER = 1 << 10  # in directories after the first, which may be many
_MAX_DIRECTORIES = 32  # a pyramid with masks has two dozen
_MAX_NUMBERS = 1 << 20  # in one tag; a picture of a million strips
MAX_PROFILE = 1 << 22  # bytes; press profiles have 2 MiB
_TYPES = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 13: "u4", 16: "u8"}
_TYPE_OF = {1: 7, 2: 3, 4: 4, 8: 16}  # by bytes of a number

RAW, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 7, 8, 32773, 32946
_FAX = (2, 3, 4)
_COMPRESSIONS = (RAW, *_FAX, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE)
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
# Of a directory: it holds a smaller copy of another's picture, or a mask of it.
_SMALLER, _MASK = 1, 4
_SIGNED, _FLOATS = 2, 3
_NUMBERS = {1: "whole numbers", _SIGNED: "signed numbers", _FLOATS: "float values"}
_BITS, _FLOAT_BITS = (1, 2, 4, 8, 16), (16, 32, 64)


@dataclass(frozen=True)
class Directory:
    """A directory of TIFF or EXIF bytes.

    Attributes:
        order: "<" little-endian or ">".
        entries: by tag: type, count, and the value or its place.
        end: the place behind the entries.
        place: the struct code of a place in the file: "I", in BigTIFF "Q".
    """

    data: bytes
    order: Order
    entries: dict[int, tuple[int, int, bytes]]
    end: int
    place: str

    def numbers(self, tag: int, default: int | None = None) -> NDArray[Any]:
        """The values of a tag, or the default.

        Raises:
            ImageError: damaged, there is no default, or no sensible number of whole numbers.
            IndexError: the values lie behind the end of the file.
        """
        if tag not in self.entries and default is not None:
            return np.array([default])
        kind, count, value = self.entries.get(tag, (0, 0, b""))
        dtype = np.dtype(self.order + _TYPES.get(kind, "u1"))
        if kind not in _TYPES or not 1 <= count <= (MAX_PROFILE if kind == 7 else _MAX_NUMBERS):
            raise ImageError("damaged", f"tag {tag} of the TIFF file makes no sense")
        if count * dtype.itemsize <= len(value):
            return np.frombuffer(value, dtype, count)
        (where,) = struct.unpack(self.order + self.place, value)
        if where + count * dtype.itemsize > len(self.data):
            raise IndexError
        return np.frombuffer(self.data, dtype, count, where)

    @property
    def following(self) -> int:
        """Place of the next directory, or 0; raises struct.error where the bytes end early."""
        return int(struct.unpack_from(self.order + self.place, self.data, self.end)[0])

    def number(self, tag: int, default: int | None = None) -> int:
        """The first value of a tag, or the default; raises as `numbers`."""
        return int(self.numbers(tag, default)[0])


def read_directory(data: bytes, at: int | None = None, most: int = _MAX_ENTRIES) -> Directory:
    """A directory of TIFF, BigTIFF or EXIF bytes: the one at a place, or the first.

    Args:
        most: entries that it may have.

    Raises:
        struct.error: the bytes end early.
        ImageError: damaged, too many entries.
    """
    order: Order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    place, counted, size = ("Q", "Q", 8) if big else ("I", "H", 4)
    if at is None:
        (at,) = struct.unpack_from(order + place, data, 8 if big else 4)
    if at > len(data):
        raise struct.error("the directory lies behind the end")
    (count,) = struct.unpack_from(order + counted, data, at)
    if count > most:
        raise ImageError("damaged", "the TIFF file has too many tags")
    start = at + struct.calcsize("<" + counted)
    entries: dict[int, tuple[int, int, bytes]] = {}
    end = start + count * (4 + 2 * size)
    for where in range(start, end, 4 + 2 * size):
        tag, kind, length, value = struct.unpack_from(f"{order}HH{place}{size}s", data, where)
        entries.setdefault(tag, (kind, length, value))
    return Directory(data, order, entries, end, place)


def pack_directory(
    tags: dict[int, NDArray[Any]], start: int, order: Order = "<", *, big: bool = False
) -> bytes:
    """A directory to be written at `start`, with the values of its tags behind it."""
    place, counted, size = ("Q", "Q", 8) if big else ("I", "H", 4)
    tags = {tag: numbers for tag, numbers in sorted(tags.items()) if numbers.size}
    behind = start + struct.calcsize("<" + counted) + len(tags) * (4 + 2 * size) + size
    entries, values = [struct.pack(order + counted, len(tags))], b""
    for tag, numbers in tags.items():
        kind = _TYPE_OF[numbers.itemsize]
        entries.append(struct.pack(order + "HH" + place, tag, kind, numbers.size))
        packed = numbers.astype(numbers.dtype.newbyteorder(order)).tobytes()
        if len(packed) > size:
            entries.append(struct.pack(order + place, behind + len(values)))
            values += packed + bytes(len(packed) % 2)
        else:
            entries.append(packed.ljust(size, b"\0"))
    return b"".join((*entries, bytes(size), values))


@dataclass(frozen=True)
class Tiff:
    """How the pixels of a TIFF file are stored.

    Attributes:
        dtype: of a sample, in the file's byte order; uint8 for less than 8 bits.
        samples: of a pixel.
        planar: the blocks of the first sample of all pixels come first, and so on.
        plain: what is unpacked are whole samples, one after the other.
        block: rows and columns of a strip or tile.
        starts, sizes: places of the blocks, and their bytes as they are packed.
    """

    directory: Directory
    height: int
    width: int
    dtype: np.dtype[Any]
    samples: int
    photometric: int
    compression: int
    planar: bool
    plain: bool
    tiled: bool
    block: tuple[int, int]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def complete(self) -> bool:
        """Whether the file holds all the blocks it lists."""
        return int((self.starts + self.sizes).max()) <= len(self.directory.data)

    @property
    def profile(self) -> bytes:
        """The ICC profile, empty where there is none or it makes no sense."""
        try:
            return self.directory.numbers(34675).astype(np.uint8).tobytes()
        except (ImageError, IndexError):
            return b""


def holds_several(first: Directory) -> bool:
    """Whether a file holds a second picture; thumbnails, overviews and masks are none.

    Raises:
        struct.error, IndexError: the file ends early.
        ImageError: damaged.
    """
    directory, seen = first, {0}
    while (at := directory.following) not in seen:
        seen.add(at)
        directory = read_directory(first.data, at, _MAX_ENTRIES_AFTER)
        if len(seen) > _MAX_DIRECTORIES or not directory.number(254, 0) & (_SMALLER | _MASK):
            return True
    return False


def _is_raw(first: Directory) -> bool:
    """Whether a camera's sensor is what the file holds: DNG, or a thumbnail before other pictures.

    DNG and NEF begin with a thumbnail; what it is a copy of lies in directories of its own (330).
    """
    if 50706 in first.entries:
        return True
    return 330 in first.entries and bool(first.number(254, 0) & _SMALLER)


def _check_kind(listed: Directory, plain: bool) -> None:
    """Raises ImageError, unsupported_format, for the first thing that is not read."""
    every_bits, every_format = listed.numbers(258, 1), listed.numbers(339, 1)
    bits, floats = int(every_bits[0]), every_format[0] == _FLOATS
    compression, photometric = listed.number(259, 1), listed.number(262, BLACK_IS_ZERO)
    samples, colours = listed.number(277, 1), _COLOURS.get(photometric, 0)
    numbers = f"{bits}-bit {_NUMBERS.get(int(every_format[0]), 'values')}"
    packings = "no, CCITT, LZW, JPEG, deflate or PackBits compression"
    widths = "16, 32 or 64 bits of a float value" if floats else "8 or 16 bits, or 1, 2 or 4"
    of_one_kind = (every_bits == bits).all() and (every_format == every_format[0]).all()
    for is_read, expected, got in (
        (compression in _COMPRESSIONS, packings, f"compression {compression}"),
        (of_one_kind, "all samples of one kind", "samples of several"),
        (every_format[0] != _SIGNED, "whole numbers from 0 on or float values", numbers),
        (bits in (_FLOAT_BITS if floats else _BITS), widths, numbers),
        (bits <= 8 or plain, "at most 8 bits with JPEG, CCITT or YCbCr", numbers),
        (
            colours,
            "gray, RGB, CMYK, YCbCr or a palette",
            f"photometric interpretation {photometric}",
        ),
        # Beside the colours: alpha.
        (
            colours <= samples <= colours + 1,
            f"{colours} or {colours + 1} samples a pixel",
            f"{samples}",
        ),
        (photometric != PALETTE or bits <= 8, "a palette for at most 8 bits", numbers),
        (bits >= 8 or samples == 1, "one sample a pixel of less than 8 bits", f"{samples}"),
        (
            photometric != YCBCR or compression != RAW or (listed.numbers(530, 1) == 1).all(),
            "JPEG compression of YCbCr with fewer samples of colour",
            "no compression",
        ),
        (
            plain or samples == 1 or listed.number(284, 1) != 2,
            "the samples of a pixel beside each other with JPEG, CCITT, YCbCr or less than 8 bits",
            "planes",
        ),
        (not plain or listed.number(266, 1) == 1, "bits from the highest on", "from the lowest"),
    ):
        if not is_read:
            raise ImageError("unsupported_format", "this kind of TIFF is not read", expected, got)


def take_tiff_apart(data: bytes) -> Tiff:
    """How the pixels are stored.

    Raises:
        ImageError: unsupported_format, damaged.
        struct.error, IndexError: the file ends early.
    """
    listed = read_directory(data)
    if _is_raw(listed):
        raise ImageError(
            "unsupported_format",
            "a raw file of a camera is not read; develop it, to TIFF or JPEG",
            "PNG, JPEG, WebP, TIFF or BMP",
            "a raw file of a camera",
        )
    height, width = listed.number(257), listed.number(256)
    bits, compression = listed.number(258, 1), listed.number(259, 1)
    photometric, samples = listed.number(262, BLACK_IS_ZERO), listed.number(277, 1)
    planar = listed.number(284, 1) == 2 and samples > 1
    kind = "f" if listed.number(339, 1) == _FLOATS else "u"
    plain = bits >= 8 and photometric != YCBCR and compression not in (*_FAX, JPEG)
    _check_kind(listed, plain)
    tiled = 273 not in listed.entries
    if tiled:
        down, across = listed.number(323), listed.number(322)
    else:
        down, across = min(height, listed.number(278, height)), width
    starts = listed.numbers(324 if tiled else 273).astype(np.int64)
    rest = len(data) - int(starts[0])  # a single strip may leave its size out
    sizes = listed.numbers(325 if tiled else 279, rest).astype(np.int64)
    if not width * height * down * across > 0:
        raise ImageError("damaged", "the TIFF file has pixels of no size")
    # Blocks are unpacked whole, as often as they are listed.
    beside, below = -(-width // across), -(-height // down)
    if beside * across * below * down > 2 * width * height + (1 << 25):
        raise ImageError("damaged", "the tiles of the TIFF file dwarf its picture")
    blocks = beside * below * (samples if planar else 1)
    if not len(starts) == len(sizes) == blocks:
        raise ImageError("damaged", "the TIFF file lists other blocks than its picture has")
    if (starts < 0).any() or (sizes < 0).any() or (starts > len(data)).any():
        raise IndexError
    sizes = np.minimum(sizes, len(data) + 1)
    if compression != RAW and np.minimum(sizes, len(data) - starts).sum() > len(data):
        raise ImageError("damaged", "the blocks of the TIFF file overlap")
    return Tiff(
        directory=listed,
        height=height,
        width=width,
        dtype=np.dtype(f"{listed.order}{kind}{max(bits, 8) // 8}"),
        samples=samples,
        photometric=photometric,
        compression=compression,
        planar=planar,
        plain=plain,
        tiled=tiled,
        block=(down, across),
        starts=starts,
        sizes=sizes,
    )
