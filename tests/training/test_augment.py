"""Geometry changes a picture and its mask alike; appearance changes the input only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.windows import reflect
from training.augment import Augmentation, Crop, OneChannel, Stored
from training.data.crops import TrainingCrops
from training.pixels import as_stored
from training.recipe import build
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


def middle(values: np.ndarray) -> np.ndarray:
    """The centre of what is bright, (row, column)."""
    rows, columns = np.indices(values.shape)
    return np.array([(places * values).sum() / values.sum() for places in (rows, columns)])


@pytest.mark.parametrize("name", ["segmentation", "segmentation_scenes", "transfer"])
def test_masks_of_the_recipes_lie_on_their_pictures(configs: Path, name: str) -> None:
    config = yaml.safe_load((configs / f"{name}.yaml").read_text())
    geometry = [build(each) for each in config["data"]["init_args"]["geometry"]]
    rows, columns = np.indices((300, 300))
    mask = (np.hypot(rows - 150, columns - 150) < 25).astype(np.uint8)
    sample = Sample("disc", np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask)

    differences = []
    for seed in range(24):
        moved = Augmentation(geometry, []).geometry(sample, np.random.default_rng(seed))
        assert moved.mask is not None
        # Wholly inside the crop.
        if (
            moved.mask.any()
            and not np.concatenate(
                [moved.mask[[0, -1]].ravel(), moved.mask[:, [0, -1]].ravel()]
            ).any()
        ):
            differences.append(middle(moved.mask) - middle(moved.image[..., 0].astype(float)))

    assert len(differences) > 3
    # Where a pixel's middle falls between two, one of them is taken.
    assert np.abs(differences).max() < 0.3


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


def test_an_appearance_of_one_channel_keeps_the_shape_of_colours(
    picture: Callable[..., np.ndarray],
) -> None:
    for transform in (OneChannel(p=1.0), A.ToGray(num_output_channels=1, p=1.0)):
        image = picture(32, 32)
        changed = Augmentation([], [transform]).appearance(image, np.random.default_rng(0))
        assert changed.shape == image.shape
        assert (changed == changed[..., :1]).all()


def test_an_input_is_cut_off_as_a_file_would_and_stays_float32() -> None:
    noisy = np.random.default_rng(0).normal(0.5, 0.5, (16, 16, 3)).astype(np.float32)

    stored = Augmentation([], [Stored(p=1.0)]).appearance(noisy, np.random.default_rng(0))

    assert stored.dtype == np.float32
    np.testing.assert_array_equal(as_stored(noisy), np.rint(255 * stored))
    assert stored.min() == 0
    assert stored.max() == 1


@pytest.mark.parametrize(
    "appearance",
    [
        A.HueSaturationValue(p=1),
        A.GaussNoise(p=1),
        A.ColorJitter(p=1),
        A.RandomBrightnessContrast(),
    ],
    ids=lambda appearance: type(appearance).__name__,
)
def test_a_picture_of_16_bits_takes_any_appearance(appearance: A.BasicTransform) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (16, 16, 3)).astype(np.uint16)

    changed = Augmentation([], [appearance]).appearance(image, np.random.default_rng(0))

    assert changed.dtype == np.float32
    assert 0 <= changed.min() < changed.max() <= 1


def test_a_picture_smaller_than_the_crop_is_named() -> None:
    sample = Sample("small-one", np.zeros((16, 16, 3), np.uint8))

    with pytest.raises(ValueError, match=r"small-one: .*\(32, 32\) vs \(16, 16\).*augment\.Crop"):
        Augmentation([A.RandomCrop(32, 32)], []).geometry(sample, np.random.default_rng(0))


@settings(deadline=None, max_examples=20)
@given(seeds, st.sampled_from([np.uint8, np.uint16]))
def test_crops_flips_and_turns_move_a_target_picture_alike(seed: int, depth: type) -> None:
    image: np.ndarray = np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(depth)

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


def cropped(crop: Crop, sample: Sample, count: int) -> list[Sample]:
    augmentation = Augmentation([crop], [])
    return [augmentation.geometry(sample, np.random.default_rng(seed)) for seed in range(count)]


def test_crops_about_a_class_show_rare_classes_often() -> None:
    mask = np.zeros((200, 300), np.uint8)
    mask[20:60, 30:90] = 1
    mask[150:153, 250:253] = 2
    sample = Sample("s", np.repeat(mask[..., None], 3, axis=2), mask)

    def share(label: int, **options: Any) -> float:
        crops = cropped(Crop(32, 32, **options), sample, 300)
        return float(
            np.mean([label in np.unique(crop.mask) for crop in crops if crop.mask is not None])
        )

    # By chance 34 x 34 of 169 x 269 places show the rare class; a third of the crops are about a
    # class, half of those about each.
    assert share(2) == pytest.approx(0.025, abs=0.03)
    assert share(2, class_probability=1 / 3) == pytest.approx(0.18, abs=0.06)
    assert share(2, class_probability=1.0) == pytest.approx(0.5, abs=0.09)
    assert share(2, class_probability=1.0, classes=[2]) == 1
    assert share(1, class_probability=1.0, classes=[2]) == 0


def test_a_crop_about_a_class_has_its_pixel_in_the_middle() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[40, 70] = 3

    for crop in cropped(Crop(21, 11, class_probability=1.0), Sample("s", grain(mask), mask), 5):
        assert crop.mask is not None
        assert crop.mask[10, 5] == 3
        assert (crop.image[..., 0] == grain(crop.mask)[..., 0]).all()


def grain(mask: np.ndarray) -> np.ndarray:
    return np.repeat(mask[..., None] * 50, 3, axis=2).astype(np.uint8)


def test_a_picture_without_the_class_is_cropped_anywhere() -> None:
    mask = np.full((64, 64), 255, np.uint8)
    ramp = np.repeat(np.arange(64 * 64).reshape(64, 64, 1) // 16, 3, axis=2).astype(np.uint8)

    crops = cropped(Crop(8, 8, class_probability=1.0), Sample("s", ramp, mask), 20)

    assert len({crop.image.tobytes() for crop in crops}) > 10


def test_the_scale_of_crops_is_as_often_below_one_as_above() -> None:
    columns = (np.arange(256) // 8 % 2 * np.ones((256, 1))).astype(np.uint8)
    sample = Sample("s", np.repeat(columns[..., None] * 255, 3, axis=2), columns)

    crops = cropped(Crop(64, 64, scale=(0.5, 2.0)), sample, 200)

    # Columns of 8 pixels at scale 1: a crop of 64 shows 7 or 8 edges.
    rows = [crop.mask[0].astype(int) for crop in crops if crop.mask is not None]
    edges = [np.count_nonzero(np.diff(row)) for row in rows]
    assert min(edges) <= 4
    assert max(edges) >= 14
    assert np.mean([count < 8 for count in edges]) == pytest.approx(0.5, abs=0.12)
    assert {crop.image.shape for crop in crops} == {(64, 64, 3)}


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_scaled_crops_keep_masks_and_maps_exact_and_picture_and_mask_together(seed: int) -> None:
    mask = blocks(seed)
    depth = np.where(mask == 255, np.nan, mask).astype(np.float32)
    sample = Sample("s", np.repeat(mask[..., None], 3, axis=2), mask, depth)
    crop = Crop(48, 40, scale=(0.5, 2.0), class_probability=0.5)

    moved = Augmentation([crop], []).geometry(sample, np.random.default_rng(seed))

    assert moved.mask is not None
    assert moved.target is not None
    assert moved.image.shape == (48, 40, 3)
    assert moved.mask.shape == moved.target.shape == (48, 40)
    assert set(np.unique(moved.mask)) <= {0, 7, 100, 255}
    np.testing.assert_array_equal(np.isnan(moved.target), moved.mask == 255)
    # Away from the edges of the blocks, where interpolation mixes values, they are equal.
    assert np.mean(moved.image[..., 0] == moved.mask) > 0.5


def test_pictures_of_16_bits_are_cropped_and_scaled() -> None:
    image = np.full((40, 40, 3), 40_000, np.uint16)

    for crop in cropped(Crop(24, 24, scale=(0.5, 2.0)), Sample("s", image, None, image), 8):
        for part in (crop.image, crop.target):
            assert part is not None
            assert part.dtype == np.uint16
            assert (part == 40_000).all()


def test_a_small_picture_is_continued_by_reflection() -> None:
    row = np.arange(10, dtype=np.uint8)
    sample = Sample("s", np.broadcast_to(row[:, None, None], (10, 10, 3)).copy())

    for crop in cropped(Crop(24, 4), sample, 10):
        steps = np.diff(crop.image[:, 0, 0].astype(int))
        assert set(steps) <= {-1, 0, 1}
        assert set(crop.image[:, 0, 0]) == set(range(10))


def test_a_crop_reaches_beyond_the_picture_as_far_as_it_may() -> None:
    ramp = np.arange(40, dtype=np.uint8)
    values = np.broadcast_to(ramp[:, None], (40, 40)).copy()
    sample = Sample("s", np.repeat(values[..., None], 3, 2), values)
    plane = values[reflect(np.arange(-20, 60), 40)[:, None], reflect(np.arange(-20, 60), 40)]

    tops = set()
    for crop in cropped(Crop(16, 16, beyond=5), sample, 300):
        assert crop.mask is not None
        np.testing.assert_array_equal(crop.image[..., 0], crop.mask)
        (top,) = [t for t in range(65) if np.array_equal(plane[t : t + 16, :16], crop.mask)]
        tops.add(top - 20)
    assert (min(tops), max(tops)) == (-5, 40 - 16 + 5)


WRONG_CROPS: dict[str, dict[str, Any]] = {
    "expected at least 1×1 pixels, got 0×4": {"height": 0, "width": 4},
    "scale: expected 0 < least <= most": {"height": 4, "width": 4, "scale": (2.0, 1.0)},
    "class_probability: expected 0 to 1, got 2": {"height": 4, "width": 4, "class_probability": 2},
    "beyond: expected at least 0": {"height": 4, "width": 4, "beyond": -1},
}


@pytest.mark.parametrize("words", WRONG_CROPS)
def test_a_crop_that_cannot_be_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=f"Crop: {words}"):
        Crop(**WRONG_CROPS[words])


def test_a_crop_about_a_class_needs_masks(picture: Callable[..., np.ndarray]) -> None:
    with pytest.raises(ValueError, match="class_probability: expected pictures with masks"):
        cropped(Crop(8, 8, class_probability=1.0), Sample("s", picture()), 1)
