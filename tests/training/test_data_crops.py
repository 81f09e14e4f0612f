"""Crops that train, and the parts of pictures that validate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import albumentations as A
import numpy as np
import pytest

from training.augment import Augmentation, OneChannel
from training.data.crops import (
    TrainingCrops,
    ValidationPictures,
)
from training.degradations import Blur, GaussianNoise
from training.tasks import (
    Depixelate,
    Restoration,
    Sample,
)


class Counting(Depixelate):
    """Keeps the size of each sample that it made a pair of."""

    def __init__(self) -> None:
        super().__init__(4)
        self.sizes: list[tuple[int, ...]] = []

    def pair(self, sample: Sample, random: np.random.Generator) -> Any:
        self.sizes.append(sample.image.shape)
        return super().pair(sample, random)


def test_of_a_large_picture_only_the_middle_is_made_a_validation_pair(
    picture: Callable[..., np.ndarray],
) -> None:
    task, large = Counting(), picture(400, 300)

    _, target = ValidationPictures([Sample("s", large)], task, multiple=8, longest=64)[0]

    assert task.sizes == [(64, 64, 3)]
    assert (target.numpy().transpose(1, 2, 0) == large[168:232, 112:176]).all()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_gray_crop_becomes_coloured_as_a_coloured_picture_is_cropped(
    depth: type, picture: Callable[..., np.ndarray]
) -> None:
    gray: np.ndarray = picture(90, 70)[..., :1].astype(depth)
    augmentation = Augmentation([A.RandomCrop(48, 48), A.D4()], [])
    crops = [
        TrainingCrops([Sample("s", image)], Restoration(Blur(1.0)), augmentation, seed=0)[0, 3]
        for image in (gray, np.repeat(gray, 3, axis=2))
    ]

    assert crops[0][0].equal(crops[1][0])
    assert crops[0][1].equal(crops[1][1])


# albumentations' own drops the axis of the one channel.
@pytest.mark.parametrize("gray", [OneChannel(p=1.0), A.ToGray(1, p=1.0)])
def test_the_noise_of_a_gray_picture_is_gray(
    gray: A.ImageOnlyTransform, picture: Callable[..., np.ndarray]
) -> None:
    augmentation = Augmentation([A.RandomCrop(48, 48), gray], [])
    samples, task = [Sample("s", picture(64, 80))], Restoration(GaussianNoise(25))

    image, target = TrainingCrops(samples, task, augmentation, seed=0)[0, 0]

    assert image.shape == target.shape == (3, 48, 48)
    assert image[0].equal(image[1])
    assert image[1].equal(image[2])
    assert not image.equal(target)
