"""What would end a run in the middle, or spoil its score, is told before it begins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from training.augment import Augmentation, Crop
from training.data import Photos
from training.data.cache import Samples
from training.data.checks import (
    check_geometry,
    check_masks,
    check_sizes,
    warn_of_darkness,
    warn_of_filled_masks,
)
from training.data.crops import ValidationPictures
from training.module import ImageToImage
from training.tasks import DenseMap, Sample, Segmentation, SuperResolution

TASK = Segmentation(["ground", "thing"])


def samples_of(*samples: Sample) -> Samples:
    return Samples([partial(lambda sample: sample, sample) for sample in samples], cache_bytes=0)


def photo(name: str, height: int, width: int) -> Sample:
    return Sample(name, np.zeros((height, width, 3), np.uint8))


def mask(name: str, *ids: int) -> Sample:
    values = np.array([ids], np.uint8)
    return Sample(name, np.zeros((*values.shape, 3), np.uint8), values)


@pytest.mark.parametrize(
    ("small", "words"),
    [
        # Of 14 the net takes 2 · 6, of which 2 · 2 are border; SSIM's windows have 11.
        (photo("wide", 14, 90), r"wide: cannot validate: .*at least 11 x 11 pixels, got 8 x 84"),
        (photo("dot", 3, 3), "dot: cannot validate: expected an input of at least 2 pixels a side"),
        (photo("pixel", 1, 1), r"pixel: cannot validate: expected at least 2×2 pixels, got 1×1"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_picture_too_small_to_validate_is_named(small: Sample, words: str) -> None:
    samples = samples_of(photo("large", 64, 64), small, photo("small", 30, 30))
    pictures = ValidationPictures(samples, SuperResolution(2), multiple=2)

    with pytest.raises(ValueError, match=f"{words}.*; take it away, or let it train only"):
        check_sizes(pictures, samples)


@pytest.mark.parametrize(
    ("name", "crop"), [("low", A.RandomCrop(45, 10)), ("narrow", A.RandomCrop(10, 45))]
)
def test_a_picture_that_is_too_low_or_too_narrow_for_the_crop_is_found(
    name: str, crop: A.RandomCrop
) -> None:
    samples = samples_of(photo("small", 46, 46), photo("low", 44, 99), photo("narrow", 99, 44))

    words = (
        rf"geometry: expected pictures as large as the crop, got 1 of 3 .* smaller: {name} \(Crop"
    )
    with pytest.raises(ValueError, match=words):
        check_geometry(Augmentation([crop], []), samples, 0, ["small", "low", "narrow"].__getitem__)


def test_all_pictures_smaller_than_the_crop_are_told_with_what_to_write() -> None:
    sizes = [(90, 90), (20, 90), (90, 20), *[(20, 20)] * 5]
    samples = samples_of(*(photo(f"{i}", *size) for i, size in enumerate(sizes)))

    with pytest.raises(ValueError, match=r"got 7 of 8 that are smaller: .* and 2 more .*") as error:
        check_geometry(Augmentation([A.RandomCrop(24, 24)], []), samples, 0, str)

    assert "name training.augment.Crop in place of the crop" in str(error.value)
    continued = Augmentation([Crop(24, 24)], [])
    check_geometry(continued, samples, 0, str)


def test_a_mistake_of_another_kind_is_told_as_it_is() -> None:
    about = Augmentation([Crop(24, 24, class_probability=1.0)], [])

    with pytest.raises(ValueError, match=r"^Crop: class_probability: expected pictures with masks"):
        check_geometry(about, samples_of(photo("a", 64, 64)), 0, str)


def test_a_scale_that_makes_some_crops_too_large_is_found() -> None:
    shrinks = [A.RandomScale((-0.5, 0.0), p=1.0), A.RandomCrop(48, 48)]

    with pytest.raises(ValueError, match="got 1 of 1 that are smaller: 0 "):
        check_geometry(Augmentation(shrinks, []), samples_of(photo("a", 64, 64)), 0, str)


def test_pictures_too_small_to_validate_are_counted_and_others_not_tried() -> None:
    samples = samples_of(photo("a", 9, 64), photo("b", 64, 64), photo("c", 5, 64))
    pictures = ValidationPictures(samples, SuperResolution(2), multiple=2)

    with pytest.raises(ValueError, match=r"c: .*take it and 1 more such pictures away"):
        check_sizes(pictures, samples)

    large = samples_of(photo("a", 300, 300), photo("b", 64, 64))
    seen: list[int] = []

    class Spy(ValidationPictures):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(index)
            return super().__getitem__(index)

    check_sizes(Spy(large, SuperResolution(2), multiple=2), large)
    assert seen == [1]


@pytest.mark.parametrize(
    ("small", "words"), [("0", "cannot validate"), ("1", r"training\.augment\.Crop")]
)
def test_a_run_with_a_picture_too_small_does_not_begin(
    small: str, words: str, photos: Callable[..., Path]
) -> None:
    root = photos(Path("photos"), count=2, size=(64, 64))
    Image.new("RGB", (9, 9)).save(root / f"photo-{small}.png")
    head = PictureHead(4, stride=2, scale=2)
    net = Autoencoder(Encoder([4, 4], [0, 0]), Decoder([4, 4], [0]), head)
    data = Photos(str(root), geometry=[A.RandomCrop(24, 24)], batch_size=1, num_workers=0)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )

    with pytest.raises(ValueError, match=f"photo-{small}.*{words}"):
        trainer.fit(ImageToImage(SuperResolution(2, border=0), net), data)
    assert trainer.global_step == 0


def test_a_map_is_checked_as_a_whole_when_it_is_read() -> None:
    depths = np.zeros((64, 64), np.float32)
    depths[63, 63] = np.nan
    sample = Sample("hill", np.zeros((64, 64, 3), np.uint8), target=depths)

    with pytest.raises(ValueError, match=r"hill: expected a finite number .* got 1 that are NaN"):
        Samples([lambda: sample], cache_bytes=0, check=DenseMap("m", 0, 1).check_sample)
    ignoring = DenseMap("m", 0, 1, missing="ignore")
    Samples([lambda: sample], cache_bytes=0, check=ignoring.check_sample)


def test_masks_that_validate_may_show_the_ground_alone_but_not_0_and_255() -> None:
    ground, spoiled = mask("ground", 0, 0), mask("spoiled", 0, 255)

    check_masks(samples_of(ground), TASK, validating=True)
    check_masks(samples_of(spoiled, mask("right", 0, 1)), TASK, validating=True)
    with pytest.raises(ValueError, match=r"masks of spoiled and 1 more: .*\[0, 255\] only"):
        check_masks(samples_of(spoiled, ground), TASK, validating=True)
    with pytest.raises(ValueError, match=r"masks of ground and 0 more: .*\[0\] only"):
        check_masks(samples_of(ground), TASK)


def test_a_set_of_nearly_black_pictures_is_told(caplog: pytest.LogCaptureFixture) -> None:
    bright, dark = (Sample(str(n), np.full((4, 4, 1), n, np.uint16)) for n in (4097, 4096))
    with caplog.at_level(logging.WARNING):
        warn_of_darkness(samples_of(bright, bright))
        assert not caplog.records
        warn_of_darkness(samples_of(bright, dark))
    assert "1 of 2 pictures are nearly black, such as 4096: its" in caplog.text


TURNS = {"limit": (45, 45), "p": 1.0}


@pytest.mark.parametrize(
    ("transform", "warns"),
    [
        (A.Rotate(**TURNS), True),
        (A.Affine(translate_px=8, p=1.0), True),
        (A.Rotate(**TURNS, border_mode=4), False),
        (A.Rotate(**TURNS, fill_mask=255), False),
        (A.RandomCrop(24, 24), False),
        (Crop(80, 80), False),
        (A.D4(), False),
    ],
    ids=str,
)
def test_labels_that_a_transform_invents_are_told(
    transform: A.DualTransform, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    augmentation = Augmentation([transform], [])
    picture = photo("a", 40, 40)
    labelled = Sample("a", picture.image, np.ones((40, 40), np.uint8))
    warn_of_filled_masks(augmentation, labelled, TASK, 0)
    told = "masks get 0, which is ground; give it border_mode: 4, which continues both, or fill_m"
    assert (told in caplog.text) == warns

    caplog.clear()
    measured = Sample("a", picture.image, target=np.ones((40, 40), np.float32))
    warn_of_filled_masks(augmentation, measured, DenseMap("m", 0, 10), 0)
    assert ("0, which is a number like any other" in caplog.text) == warns

    caplog.clear()
    warn_of_filled_masks(augmentation, picture, SuperResolution(2), 0)
    assert not caplog.text
