"""Augmentation by albumentations, in two places: geometry before the task's pair, appearance after.

Geometry (crop, flips, turns, scale) changes the original picture, its mask and its target alike;
the input is then made from it. Noise and colour change the input only: the target stays what it
should have been.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from training.pixels import Values
from training.tasks.task import Sample

# albumentations asks the network for a newer version when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A
from albumentations.augmentations.crops.transforms import CropSizeError

Transform: TypeAlias = A.BasicTransform | A.BaseCompose


class Augmentation:
    """Two lists of albumentations transforms; each sample's random state decides what they do."""

    def __init__(
        self,
        geometry: Sequence[Transform],
        appearance: Sequence[Transform],
    ) -> None:
        self._geometry = A.Compose(
            list(geometry), additional_targets={"target": "image", "map": "mask"}
        )
        self._appearance = A.Compose(list(appearance)) if appearance else None

    def geometry(self, sample: Sample, random: np.random.Generator) -> Sample:
        """The sample cropped, flipped, turned and scaled, its mask and target alike.

        Masks and maps are never interpolated.

        Raises:
            ValueError: the picture is smaller than the crop.
        """
        self._geometry.set_random_seed(int(random.integers(2**31)))
        also: dict[str, Values] = {} if sample.mask is None else {"mask": sample.mask}
        if sample.target is not None:
            also["target" if sample.target.ndim == 3 else "map"] = sample.target
        try:
            changed = self._geometry(image=sample.image, **also)
        except CropSizeError as error:
            raise ValueError(
                f"{sample.name}: expected a picture larger than the crop, got: {error}; "
                "make the crop smaller, or give it pad_if_needed"
            ) from error
        target = changed.get("target", changed.get("map"))
        return Sample(sample.name, changed["image"], changed.get("mask"), target)

    def appearance(self, image: Values, random: np.random.Generator) -> Values:
        """The input (H, W, 3) with noise and colour changed."""
        if self._appearance is None:
            return image
        self._appearance.set_random_seed(int(random.integers(2**31)))
        changed: Values = self._appearance(image=image)["image"]
        return changed
