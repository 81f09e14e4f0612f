"""Augmentation by albumentations, in two places: geometry before the task's pair, appearance after.

Geometry (crop, flips, turns, scale) changes the original picture, its mask and its target alike;
the input is then made from it. Noise and colour change the input only: the target stays what it
should have been.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np

from i2i.windows import reflect
from training.pixels import Pixels, Values, brightness, from_float, to_8_bit, to_float
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
                "name training.augment.Crop, which continues a small one, or make the crop smaller"
            ) from error
        # Some transforms drop the one channel of a gray picture.
        pictures = {
            name: np.atleast_3d(changed[name]) for name in ("image", "target") if name in changed
        }
        target = pictures.get("target", changed.get("map"))
        return Sample(sample.name, pictures["image"], changed.get("mask"), target)

    def appearance(self, image: Values, random: np.random.Generator) -> Values:
        """The input (H, W, C) with noise and colour changed."""
        if self._appearance is None:
            return image
        self._appearance.set_random_seed(int(random.integers(2**31)))
        # albumentations knows bytes and floats: some of its transforms refuse 16 bits.
        if image.dtype == np.uint16:
            image = to_float(image)
        changed: Values = np.atleast_3d(self._appearance(image=image)["image"])
        # Where one channel is left, of colours, all are it.
        return np.ascontiguousarray(np.broadcast_to(changed, image.shape))


class Crop(A.DualTransform):
    """A part of the picture, chosen at random or about a pixel of a class, at a random scale.

    Only the crop's own pixels are resized, however large the picture.
    Where the part reaches beyond the picture, the picture is continued by reflection, as it is for
    a prediction.

    Args:
        height, width: of the crop, in pixels.
        scale: least and most of the factor by which the picture grows; drawn log-uniformly, so that
            halves are as likely as doubles.
        class_probability: share of the crops whose middle is a pixel of a class: first one of the
            classes that the mask shows is drawn, each alike, then one of its pixels. So rare
            classes are seen often; nnU-Net (arXiv 1809.10486) does it for a third of the crops.
        classes: ids that are drawn; None: all but the first, which is mostly background, and 255
            (where another id is ignored, name them).
        beyond: pixels by which the crop may reach beyond each side of the picture, however large
            the picture is. A prediction sees such surroundings along the borders; a net that looks
            far, and does not know them, errs there.
    """

    class InitSchema(A.DualTransform.InitSchema):
        """albumentations refuses arguments that are not named here."""

        height: int
        width: int
        scale: tuple[float, float]
        class_probability: float
        classes: list[int] | None
        beyond: int

    def __init__(
        self,
        height: int,
        width: int,
        scale: tuple[float, float] = (1.0, 1.0),
        class_probability: float = 0.0,
        classes: list[int] | None = None,
        beyond: int = 0,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        low, high = scale
        if height < 1 or width < 1:
            raise ValueError(f"Crop: expected at least 1×1 pixels, got {height}×{width}")
        if not 0 < low <= high:
            raise ValueError(f"Crop: scale: expected 0 < least <= most, got {scale}")
        if not 0 <= class_probability <= 1:
            raise ValueError(f"Crop: class_probability: expected 0 to 1, got {class_probability}")
        if beyond < 0:
            raise ValueError(f"Crop: beyond: expected at least 0 pixels, got {beyond}")
        self.height, self.width, self.beyond = height, width, beyond
        self.scale, self.class_probability, self.classes = scale, class_probability, classes

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """albumentations' hook: where the crop is cut, for all parts of a sample alike."""
        random = self.random_generator
        scale = float(np.exp(random.uniform(*np.log(self.scale))))
        sides = [max(1, round(side / scale)) for side in (self.height, self.width)]
        spaces = [length - side for length, side in zip(data["image"].shape, sides, strict=False)]
        more = round(self.beyond / scale)
        corner = [
            int(random.integers(min(0, space) - more, max(0, space) + more + 1)) for space in spaces
        ]
        if random.random() < self.class_probability:
            if "mask" not in data:
                raise ValueError("Crop: class_probability: expected pictures with masks, got none")
            corner = self._about_a_class(data["mask"], sides) or corner
        # The hook's answers are handed on by name.
        return {"corner": corner, "sides": sides}

    def _about_a_class(self, mask: Pixels, sides: list[int]) -> list[int] | None:
        """The corner of a crop about a pixel of a class; None where the mask shows none of them."""
        shown = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        wanted = range(1, 255) if self.classes is None else self.classes
        classes = np.intersect1d(shown, wanted)
        if not classes.size:
            return None
        random = self.random_generator
        places = np.flatnonzero(mask == random.choice(classes))
        place = np.unravel_index(random.choice(places), mask.shape)
        # Within the picture: what lies beyond it teaches little.
        return [
            min(max(0, int(middle) - side // 2), max(0, length - side))
            for middle, side, length in zip(place, sides, mask.shape, strict=True)
        ]

    def apply(self, img: Values, corner: list[int], sides: list[int], **params: Any) -> Values:
        """The crop of a picture, resized without aliasing."""
        shrinks = sides[0] > self.height or sides[1] > self.width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return self._resized(_part(img, corner, sides), interpolation)

    def apply_to_mask(
        self, mask: Values, corner: list[int], sides: list[int], **params: Any
    ) -> Values:
        """The crop of a mask or map, whose values are never mixed."""
        return self._resized(_part(mask, corner, sides), cv2.INTER_NEAREST_EXACT)

    def _resized(self, part: Values, interpolation: int) -> Values:
        if part.shape[:2] == (self.height, self.width):
            return part
        # OpenCV drops an axis of one channel.
        resized = cv2.resize(part, (self.width, self.height), interpolation=interpolation)
        return resized.reshape(self.height, self.width, *part.shape[2:])


class OneChannel(A.ImageOnlyTransform):
    """A gray picture, of one channel: what spoils it is the same in all colours.

    The noise of a gray scan is; a net that has seen coloured noise alone leaves it in.
    """

    def apply(self, img: Values, **params: Any) -> Values:
        return from_float(brightness(img)[..., None], img.dtype)


class Stored(A.ImageOnlyTransform):
    """An input as an 8-bit file would hold it, clipped and rounded, but still as float32.

    What is noisier than black or white a file cuts off, which makes white darker on average; a net
    that has not seen it turns a white sky gray.
    """

    def apply(self, img: Values, **params: Any) -> Values:
        return to_float(to_8_bit(img))


def _part(values: Values, corner: list[int], sides: list[int]) -> Values:
    """The part of (H, W, ...) that begins at `corner`, reflected beyond the border."""
    (top, left), (height, width) = corner, sides
    if min(corner) >= 0 and top + height <= values.shape[0] and left + width <= values.shape[1]:
        return values[top : top + height, left : left + width]
    rows = reflect(np.arange(top, top + height), values.shape[0])
    columns = reflect(np.arange(left, left + width), values.shape[1])
    return values[rows[:, None], columns]
