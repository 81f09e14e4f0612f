"""Geometry changes a picture and its mask alike; appearance changes the input only."""

from __future__ import annotations

from collections.abc import Callable

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.augment import Augmentation
from training.data.crops import TrainingCrops
from training.tasks import Sample, Segmentation, SuperResolution

GEOMETRY = [
    A.RandomScale(scale_limit=(-0.4, 0.6), p=0.8),
    A.RandomCrop(32, 32, pad_if_needed=True, border_mode=2),
    A.D4(),
    A.Rotate(p=0.5),
]
seeds = st.integers(0, 2**31 - 1)


def blocks(seed: int) -> np.ndarray:
    """A mask of few ids that are far apart: a mixture of two is no id of it."""
    random = np.random.default_rng(seed)
    return np.kron(random.choice([0, 7, 100, 255], (8, 8)), np.ones((8, 8))).astype(np.uint8)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_a_mask_is_never_interpolated(seed: int) -> None:
    sample = Sample("s", np.zeros((64, 64, 3), np.uint8), blocks(seed))

    changed = Augmentation(GEOMETRY, []).geometry(sample, np.random.default_rng(seed))

    assert changed.mask is not None
    assert changed.mask.dtype == np.uint8
    assert changed.image.shape == (32, 32, 3)
    assert set(np.unique(changed.mask)) <= {0, 7, 100, 255}


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_crops_flips_and_turns_move_picture_and_mask_alike(seed: int) -> None:
    mask = blocks(seed)
    sample = Sample("s", np.repeat(mask[..., None], 3, axis=2), mask)

    moved = Augmentation(GEOMETRY[1:3], []).geometry(sample, np.random.default_rng(seed))

    assert moved.mask is not None
    assert (moved.image == moved.mask[..., None]).all()


def test_one_random_state_gives_one_picture(picture: Callable[..., np.ndarray]) -> None:
    sample, augmentation = Sample("s", picture()), Augmentation(GEOMETRY, [])

    first, again, other = (
        augmentation.geometry(sample, np.random.default_rng(seed)).image for seed in (1, 1, 2)
    )

    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("appearance", [A.InvertImg(p=1), A.GaussNoise(p=1)])
def test_appearance_changes_the_input_and_nothing_else(
    appearance: A.BasicTransform, picture: Callable[..., np.ndarray]
) -> None:
    mask = np.zeros((64, 80), np.uint8)
    mask[:, 40:] = 1
    samples = [Sample("s", picture(), mask)]
    crop = [A.RandomCrop(32, 32)]
    for task in (SuperResolution(2), Segmentation(["a", "b"])):
        plain = TrainingCrops(samples, task, Augmentation(crop, []), seed=3)
        changed = TrainingCrops(samples, task, Augmentation(crop, [appearance]), seed=3)

        for key in ((0, 0), (1, 4)):
            (image, target), (noisy, same) = plain[key], changed[key]
            assert same.equal(target)
            assert noisy.shape == image.shape
            assert not noisy.equal(image)


def test_a_picture_smaller_than_the_crop_is_named() -> None:
    sample = Sample("small-one", np.zeros((16, 16, 3), np.uint8))

    with pytest.raises(ValueError, match=r"small-one: .*\(32, 32\) vs \(16, 16\).*pad_if_needed"):
        Augmentation([A.RandomCrop(32, 32)], []).geometry(sample, np.random.default_rng(0))


@settings(deadline=None, max_examples=20)
@given(seeds, st.sampled_from([np.uint8, np.uint16]))
def test_crops_flips_and_turns_move_a_target_picture_alike(seed: int, depth: type) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(depth)

    moved = Augmentation(GEOMETRY[1:3], []).geometry(
        Sample("s", image, target=image.copy()), np.random.default_rng(seed)
    )

    assert moved.target is not None
    assert moved.target.dtype == moved.image.dtype == depth
    assert (moved.target == moved.image).all()


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_a_map_is_never_interpolated(seed: int) -> None:
    distances = np.random.default_rng(seed).random((64, 64)).astype(np.float32)
    distances[:8] = np.nan
    sample = Sample("s", np.zeros((64, 64, 3), np.uint8), target=distances)

    changed = Augmentation(GEOMETRY, []).geometry(sample, np.random.default_rng(seed))

    assert changed.target is not None
    known = changed.target[~np.isnan(changed.target)]
    assert changed.target.dtype == np.float32
    # 0 is what a turn leaves beyond the picture.
    assert np.isin(known, [0, *distances.flat]).all()
