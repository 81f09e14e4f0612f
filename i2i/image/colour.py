"""From a file's colours to sRGB: embedded profiles, and CMYK without one."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from i2i.image.matrix_profile import deep_to_srgb
from i2i.image.picture import Samples, to_8_bit
from i2i.image.stored import Space

_MODES: dict[Space, str] = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}


def to_srgb(profile: bytes, space: Space) -> Callable[[Samples], Samples] | None:
    """What takes colours (rows, W, channels of the space) to sRGB; None where it changes nothing.

    A profile that is broken, or of another space, is ignored. 16-bit samples keep their depth under
    a profile of curves and a matrix; tables, and CMYK, are applied by Little CMS, in 8 bits.
    """
    transform = _transform(profile, space)
    if transform is None and space != "CMYK":
        return None
    deep = deep_to_srgb(profile, space) if space != "CMYK" else None
    grays = None
    if transform is not None and space == "GRAY":
        levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
        grays = np.asarray(_apply(transform, _image(levels, space)))[0, :, :1]

    def convert(colours: Samples) -> Samples:
        if deep is not None and colours.dtype == np.uint16:
            return deep(colours.view(np.uint16))
        if grays is not None:
            converted = grays[to_8_bit(colours)[..., 0]]
        elif transform is not None:
            converted = np.asarray(_apply(transform, _image(to_8_bit(colours), space)))
        else:
            return np.asarray(_image(to_8_bit(colours), space).convert("RGB"))
        return converted if colours.dtype == np.uint8 else converted.astype(np.uint16) * 257

    return convert


def is_of(profile: bytes, space: Space) -> bool:
    """Whether this is a profile, and one of such colours."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip() == space
    except (OSError, TypeError):
        return False


def _image(colours: NDArray[np.uint8], space: Space) -> Image.Image:
    size = colours.shape[1], colours.shape[0]  # Pillow's order
    return Image.frombuffer(_MODES[space], size, np.ascontiguousarray(colours))


def _transform(profile: bytes, space: Space) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != space:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            _MODES[space],
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # Optimised, the curve of one channel is off by up to 10 levels in the dark.
            ImageCms.Flags.BLACKPOINTCOMPENSATION
            | (ImageCms.Flags.NOOPTIMIZE if space == "GRAY" else ImageCms.Flags.NONE),
        )
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    if space == "CMYK":
        return transform
    # A profile that is sRGB in all but rounding leaves the pixels alone, whatever its name.
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    channels = len(_MODES[space])
    probe = np.stack(np.meshgrid(*[levels] * channels, indexing="ij"), axis=-1)
    probe = probe.reshape(1, -1, channels)
    answer = np.asarray(_apply(transform, _image(probe, space)))[..., :channels]
    same = np.abs(answer.astype(np.int64) - probe).max() <= 2
    return None if same else transform


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only where it works in place
    return converted
