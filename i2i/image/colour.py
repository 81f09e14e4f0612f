"""Embedded colour profiles: what takes their colours to sRGB."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def to_srgb_of(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What takes colours of the profile to sRGB; None where it changes nothing or is broken."""
    mode = "CMYK" if mode == "CMYK" else "L" if mode[0] in "1LI" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    # A profile that is sRGB in all but rounding leaves the pixels alone, whatever its name.
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    if mode != "CMYK":
        grid = np.stack(np.meshgrid(*[levels] * len(mode), indexing="ij"), axis=-1)
        probe = grid.reshape(1, -1, len(mode))
        if np.abs(converted(probe, transform).astype(np.int64) - probe).max() <= 2:
            return None
    return transform


def apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only where it works in place
    return converted


def converted(
    samples: NDArray[np.uint8], transform: ImageCms.ImageCmsTransform
) -> NDArray[np.uint8]:
    """Gray or RGB samples, with or without alpha, after the transform of their colours."""
    colours = 3 if samples.shape[2] > 2 else 1
    before = Image.fromarray(samples[..., :3] if colours == 3 else samples[..., 0])
    after = np.asarray(apply(transform, before))[..., :colours]
    return np.concatenate((after, samples[..., colours:]), axis=2)
