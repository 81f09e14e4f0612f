"""ICC profiles of curves and a matrix, applied at 16 bits: ICC.1:2022, annexes E and F.

Pillow's Little CMS takes 8 bits a channel. Cameras' and screens' profiles (Adobe RGB, Display P3,
ProPhoto) are three curves and a matrix, which is little work here; tables are not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from i2i.image.stored import Space

# Linear sRGB to XYZ under D50, the white of profiles (IEC 61966-2-1, adapted by Bradford).
_SRGB_TO_XYZ = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
_LEVELS = np.linspace(0, 1, 1 << 16)


def deep_to_srgb(
    profile: bytes, space: Space
) -> Callable[[NDArray[np.uint16]], NDArray[np.uint16]] | None:
    """What takes 16-bit gray or RGB (..., C) to sRGB; None for a profile of another kind."""
    try:
        tags = _tags(profile)
        if profile[20:24] != b"XYZ " or any(name.startswith(b"A2B") for name in tags):
            return None
        names = [b"k"] if space == "GRAY" else [b"r", b"g", b"b"]
        curves = [_curve(tags[name + b"TRC"]).astype(np.float32) for name in names]
        matrix = np.eye(1)
        if space == "RGB":
            columns = [_fixed(tags[name + b"XYZ"], 8, 3) for name in names]
            matrix = np.linalg.inv(_SRGB_TO_XYZ) @ np.stack(columns, axis=1)
    except (struct.error, KeyError, ValueError, IndexError):
        return None
    to_linear_srgb = matrix.T.astype(np.float32)
    if not all(np.isfinite(values).all() for values in (to_linear_srgb, *curves)):
        return None
    if any(curve[0] > 1 / 65535 for curve in curves):
        return None  # a black that gives light asks for black point compensation

    def convert(colours: NDArray[np.uint16]) -> NDArray[np.uint16]:
        light = np.stack([curve[colours[..., i]] for i, curve in enumerate(curves)], axis=-1)
        light = np.clip(light @ to_linear_srgb, 0, 1)
        encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        levels: NDArray[np.uint16] = np.floor(encoded * 65535 + 0.5).astype(np.uint16)
        return levels

    return convert


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    tags: dict[bytes, bytes] = {}
    for at in range(132, 132 + 12 * min(count, 100), 12):
        name, start, size = struct.unpack_from(">4sII", profile, at)
        tags[name] = profile[start : start + size]
    return tags


def _fixed(tag: bytes, at: int, count: int) -> NDArray[np.float64]:
    """Numbers of 16 whole and 16 fractional bits."""
    return np.array(struct.unpack_from(f">{count}i", tag, at)) / 65536


def _curve(tag: bytes) -> NDArray[np.float64]:
    """Linear light in 0..1 of every 16-bit level."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return _LEVELS
        table = np.frombuffer(tag, ">u2", count, 12)
        if count == 1:
            return np.asarray(_LEVELS ** float(table[0] / 256))
        return np.interp(_LEVELS, np.linspace(0, 1, count), table / 65535)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    kind = struct.unpack_from(">H", tag, 8)[0]
    g, *rest = _fixed(tag, 12, (1, 3, 4, 5, 7)[kind])
    # (a x + b)^g + e from x = d on, c x + f below.
    a, b, c, d, e, f = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind in (1, 2):
        a, b = rest[:2]
        d = -b / a if a else 0.0
        e = f = rest[2] if kind == 2 else 0.0
    elif kind >= 3:
        a, b, c, d, e, f = [*rest, 0.0, 0.0][:6]
    with np.errstate(all="ignore"):  # of a broken profile
        power = np.maximum(a * _LEVELS + b, 0) ** g + e
    return np.clip(np.where(d <= _LEVELS, power, c * _LEVELS + f), 0, 1)
