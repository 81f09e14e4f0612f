"""What a task makes of a picture, of a net, and of wrong arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.losses import Focal
from i2i.resize import bicubic, pixelate
from training.augment import Augmentation
from training.data.crops import (
    TrainingCrops,
    ValidationPictures,
    check_inputs,
    collate,
    cut_border,
    to_tensor,
)
from training.degradations import Blur, Chain, GaussianNoise, Gray, Holes, Jpeg
from training.recipe import build, describe
from training.tasks import (
    Colourisation,
    DenseMap,
    Depixelate,
    Paired,
    Reconstruction,
    Restoration,
    Sample,
    Segmentation,
    SuperResolution,
    Task,
)

WILD = Chain([Blur((0.5, 2)), GaussianNoise((1, 9)), Jpeg((40, 90))], [0.9, 1, 0.5], shuffle=True)
SEGMENTATION = Segmentation(["sky", "sea"])
TASKS: list[Task] = [
    SuperResolution(3),
    SuperResolution(2, degradation=WILD),
    Depixelate(4),
    SEGMENTATION,
    Restoration(GaussianNoise(25), border=2),
    Colourisation(),
    Paired(),
    Paired(input_channels=1),
    Reconstruction(),
    DenseMap("m", 0.5, 10.0, missing="ignore"),
]
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_input_of_super_resolution_is_matlabs_bicubic_of_the_target(
    scale: int, picture: Callable[..., np.ndarray]
) -> None:
    image, target = SuperResolution(scale).pair(Sample("s", picture(61, 50)), RANDOM)

    height, width = 61 // scale, 50 // scale
    assert (target == picture(61, 50)[: scale * height, : scale * width]).all()
    assert (image == bicubic(target, height, width)).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("border", [0, 3])
def test_input_and_target_stay_aligned_when_the_border_is_cut(
    scale: int, border: int, picture: Callable[..., np.ndarray]
) -> None:
    task = SuperResolution(scale, border=border)
    image, target = cut_border(*task.pair(Sample("s", picture(96, 96)), RANDOM), border)

    assert target.shape[:2] == tuple(scale * side for side in image.shape[:2])
    enlarged = task.baseline(image).astype(float)
    inner = slice(2 * scale, -2 * scale)
    difference = {
        (dy, dx): np.abs(np.roll(target, (dy, dx), (0, 1)) - enlarged)[inner, inner].mean()
        for dy in range(-2, 3)
        for dx in range(-2, 3)
    }
    assert min(difference, key=lambda shift: difference[shift]) == (0, 0)


def test_what_the_border_cuts_away_is_what_bicubic_guessed(
    picture: Callable[..., np.ndarray],
) -> None:
    whole = picture(96, 96)
    task = SuperResolution(2)
    image, _ = task.pair(Sample("s", whole), RANDOM)
    inside, _ = cut_border(*task.pair(Sample("s", whole[16:80, 16:80]), RANDOM), task.border)

    assert (
        inside == image[8:40, 8:40][task.border : -task.border, task.border : -task.border]
    ).all()


def test_a_crop_with_nothing_inside_its_border_is_refused() -> None:
    image, target = np.zeros((8, 8, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)

    with pytest.raises(ValueError, match=r"above 8 pixels a side, got 8×8; make the crop larger"):
        cut_border(image, target, 4)


def test_the_input_of_depixelate_is_the_blocks_of_the_target(
    picture: Callable[..., np.ndarray],
) -> None:
    image, target = Depixelate(4).pair(Sample("s", picture(34, 39)), RANDOM)

    assert image.shape == target.shape == (32, 36, 3)
    assert (image == pixelate(target, 4)).all()
    assert (image[::4, ::4] == image[3::4, 3::4]).all()


def test_a_validation_window_of_depixelate_meets_the_grid(
    picture: Callable[..., np.ndarray],
) -> None:
    samples = [Sample("s", picture(64, 80))]
    pictures = ValidationPictures(samples, Depixelate(4), multiple=4, longest=40)

    image, target = pictures[0]

    assert image.shape == target.shape == (3, 40, 40)
    pixels = np.ascontiguousarray(target.numpy().transpose(1, 2, 0))
    assert (image.numpy().transpose(1, 2, 0) == pixelate(pixels, 4)).all()


def test_a_segmentation_takes_picture_and_mask_as_they_are(
    picture: Callable[..., np.ndarray],
) -> None:
    mask = np.ones((64, 80), np.uint8)
    image, target = SEGMENTATION.pair(Sample("s", picture(), mask), RANDOM)

    assert (image == picture()).all()
    assert target is mask
    with pytest.raises(ValueError, match=r"s: expected a picture with a mask"):
        SEGMENTATION.pair(Sample("s", picture()), RANDOM)


def sample_for(task: Task, image: np.ndarray, seed: int = 0) -> Sample:
    """A picture with what the task needs beside it."""
    random, size = np.random.default_rng(seed), image.shape[:2]
    if task.needs == "masks":
        return Sample("s", image, mask=random.integers(0, 2, size).astype(np.uint8))
    if task.needs == "targets" and task.kind == "map":
        return Sample("s", image, target=random.uniform(1, 9, size).astype(np.float32))
    return Sample("s", image, target=255 - image if task.needs == "targets" else None)


def filled(task: Task) -> Any:
    """A net whose arguments of the task are the task's."""
    owned = task.net_arguments()
    head = "ClassHead" if task.kind == "labels" else "PictureHead"
    description = {
        "class_path": "i2i.nets.Autoencoder",
        "init_args": {
            "encoder": {
                "class_path": "i2i.nets.Encoder",
                "init_args": {"widths": [4, 4, 4], "depths": [0, 0, 0], **owned["encoder"]},
            },
            "decoder": {
                "class_path": "i2i.nets.Decoder",
                "init_args": {
                    "widths": [4, 4, 4],
                    "depths": [0, 0],
                    **owned.get("decoder", {}),
                },
            },
            "head": {
                "class_path": f"i2i.nets.{head}",
                "init_args": {"features": 4, "stride": task.scale, **owned["head"]},
            },
        },
    }
    return build(description)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_net_with_the_tasks_arguments_gives_what_its_loss_takes(
    task: Task, picture: Callable[..., np.ndarray]
) -> None:
    net = filled(task)
    image, target = task.pair(sample_for(task, picture(48, 48)), RANDOM)

    task.check_net(net)
    output = net(task.input_tensor(to_tensor(image)[None]))
    loss = task.loss_of(output, to_tensor(target)[None])

    assert output.shape[-2:] == target.shape[:2]
    assert loss.isfinite()
    assert loss.ndim == 0


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_crops_and_validation_pictures_come_from_any_task(
    task: Task, picture: Callable[..., np.ndarray]
) -> None:
    samples = [sample_for(task, picture(64, 64))]
    crops = TrainingCrops(samples, task, Augmentation([A.RandomCrop(48, 48), A.D4()], []), seed=0)

    for image, target in (crops[0, 0], crops[1, 3], ValidationPictures(samples, task, 4)[0]):
        assert image.shape[1] * task.scale == target.shape[-2]
        assert image.shape[2] * task.scale == target.shape[-1]
        assert task.input_tensor(image).dtype == torch.float32


@pytest.mark.parametrize("task", [SuperResolution(2), Depixelate(4)], ids=lambda task: task.name)
def test_a_gray_picture_is_scored_as_gray_while_a_net_trains(
    task: Task, picture: Callable[..., np.ndarray]
) -> None:
    gray = picture(64, 64)[..., :1]
    image, target = ValidationPictures([Sample("s", gray)], task, 4)[0]
    answer = np.flip(gray, axis=1).copy()
    metric, expected = task.metrics(), task.metrics()

    metric.update(
        *task.as_scored(
            task.input_tensor(to_tensor(answer)[None]).expand(1, 3, 64, 64), target[None]
        )
    )

    expected.update(*(to_tensor(each)[None] / 255 for each in (answer, gray)))
    assert image.shape[0] == 3
    assert {k: float(v) for k, v in metric.compute().items()} == pytest.approx(
        {k: float(v) for k, v in expected.compute().items()}, abs=1e-4
    )


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_is_shown_is_an_8_bit_picture_in_colour(
    task: Task, picture: Callable[..., np.ndarray]
) -> None:
    image, target = task.pair(sample_for(task, picture(48, 48)), RANDOM)

    shown = task.show(image, target, target)

    assert shown.dtype == np.uint8
    assert shown.ndim == 3
    assert shown.shape[2] == 3


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([np.uint8, np.uint16]), st.integers(0, 2**31 - 1))
def test_white_is_1_at_any_depth_and_floats_stay(depth: type, seed: int) -> None:
    task = Reconstruction()
    levels = np.random.default_rng(seed).integers(0, np.iinfo(depth).max + 1, (2, 3, 3))
    pixels: np.ndarray = levels.astype(depth)

    values = task.input_tensor(to_tensor(pixels))

    assert np.allclose(values.permute(1, 2, 0), pixels / np.iinfo(depth).max, atol=1e-7)
    assert task.input_tensor(values - 2).equal(values - 2)
    assert task.target_tensor(to_tensor(pixels)).equal(values)


def test_pictures_of_several_depths_make_a_batch_of_floats(
    picture: Callable[..., np.ndarray],
) -> None:
    eight = to_tensor(picture())
    sixteen = to_tensor(picture().astype(np.uint16) * 257)
    task, mask = Reconstruction(), torch.zeros(64, 80, dtype=torch.uint8)

    images, masks = collate([(eight, mask), (sixteen, mask), (task.input_tensor(eight), mask)])
    same, _ = collate([(eight, mask), (eight, mask)])

    assert images.dtype == torch.float32
    assert images.allclose(task.input_tensor(eight), atol=1e-7)
    assert same.dtype == masks.dtype == torch.uint8


def test_a_restoration_gets_what_its_degradation_made_of_the_target(
    picture: Callable[..., np.ndarray],
) -> None:
    noise = GaussianNoise(25)
    image, target = Restoration(noise).pair(Sample("s", picture()), np.random.default_rng(3))

    assert (target == picture()).all()
    assert (image == noise(picture(), np.random.default_rng(3))).all()
    assert image.dtype == np.float32
    assert image.min() < 0 < 1 < image.max()
    assert "GaussianNoise(sigma=25.0" in Restoration(noise).protocol()["degradation"]
    assert Restoration(noise).protocol() == Restoration(GaussianNoise(25.0)).protocol()


def test_a_segmentation_ignores_the_same_pixels_in_its_loss() -> None:
    with pytest.raises(ValueError, match="ignore: expected the task's 0 in its loss too, got 255"):
        Segmentation(["a", "b"], ignore=0, loss=Focal())
    Segmentation(["a", "b"], ignore=0, loss=Focal(ignore=0))


def test_holes_in_a_gray_picture_have_a_target_in_colour(
    picture: Callable[..., np.ndarray],
) -> None:
    gray = picture()[..., :1]
    image, target = Restoration(Holes(0.1)).pair(Sample("s", gray), RANDOM)

    assert image.shape == target.shape == (64, 80, 3)
    assert (target == gray).all()
    assert Restoration(Jpeg(50)).pair(Sample("s", gray), RANDOM)[0].shape == (64, 80, 1)


def test_the_degradation_of_super_resolution_spoils_the_small_picture(
    picture: Callable[..., np.ndarray],
) -> None:
    task = SuperResolution(2, degradation=Gray())
    image, target = task.pair(Sample("s", picture()), RANDOM)

    assert (target == picture()).all()
    assert (image == Gray()(bicubic(target, 32, 40), RANDOM)).all()
    assert "then Gray()" in task.protocol()["degradation"]


def test_a_colourisation_sees_the_brightness_in_one_channel(
    picture: Callable[..., np.ndarray],
) -> None:
    image, target = Colourisation().pair(Sample("s", picture()), RANDOM)
    gray_image, gray_target = Colourisation().pair(Sample("s", image), RANDOM)

    assert image.shape == (64, 80, 1)
    assert (target == picture()).all()
    assert (gray_image == image).all()
    assert (gray_target == image).all()
    assert gray_target.shape == (64, 80, 3)


def test_a_reconstruction_goes_through_its_code_alone(picture: Callable[..., np.ndarray]) -> None:
    task = Reconstruction()
    net = filled(task)
    image, target = task.pair(Sample("s", picture()), RANDOM)
    batch = task.input_tensor(to_tensor(image)[None])

    assert target is image
    assert net.decode(net.encode(batch)).equal(net(batch))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_can_be_described_and_built_again(task: Task) -> None:
    again = build(describe(task))

    assert type(again) is type(task)
    assert describe(again) == describe(task)
    assert again.protocol() == task.protocol()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_monitored_score_is_among_the_metrics(task: Task) -> None:
    metrics = task.metrics()
    if task.kind == "image":
        metrics.update(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32))
    else:
        metrics.update(torch.zeros(1, 16, 16).byte(), torch.zeros(1, 16, 16).byte())

    assert task.monitor in metrics.compute()


def test_the_trivial_answers_are_bicubic_the_input_itself_and_the_mean_colour(
    picture: Callable[..., np.ndarray],
) -> None:
    image = picture(20, 24)

    assert (SuperResolution(3).baseline(image) == bicubic(image, 60, 72)).all()
    for task in (Depixelate(4), Restoration(Gray())):
        trivial = task.baseline(image)
        assert trivial is not None
        assert (trivial == image).all()
    gray = image[..., :1]
    assert np.array_equal(Colourisation().baseline(gray), gray.repeat(3, axis=2))
    mean = Reconstruction().baseline(image)
    assert mean.shape == image.shape
    assert np.abs(mean - image.mean((0, 1))).max() <= 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SuperResolution(5), "scale: expected 2, 3 or 4, got 5"),
        (lambda: Restoration(Gray(), border=-1), "border: expected at least 0, got -1"),
        (lambda: DenseMap("m", 2, 2), "low, high: expected low below high, both finite, got 2, 2"),
        (lambda: DenseMap("m", 0, float("inf")), "low, high: expected .*, got 0, inf"),
        (
            lambda: DenseMap("m", 0, 1, missing="skip"),  # type: ignore[arg-type]
            "missing: expected one of error, ignore, got 'skip'",
        ),
        (lambda: Depixelate(1), "block: expected at least 2, got 1"),
        (lambda: Segmentation(), "class_names: expected at least 2, got None; .*classes.txt"),
        (lambda: Segmentation(["a"]), "class_names: expected at least 2"),
        (lambda: Segmentation(["a", "a"]), "class_names: expected different names"),
        (lambda: Segmentation(["a", ""]), "class_names: expected different names, none empty"),
    ],
)
def test_wrong_arguments_raise_with_words(make: Callable[[], Task], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_inputs_that_make_no_batch_or_do_not_fit_the_net_are_refused() -> None:
    small, large = torch.zeros(3, 16, 16), torch.zeros(3, 24, 16)

    check_inputs([small, small], 8)
    with pytest.raises(
        ValueError, match=r"inputs of one size, got 16×16, 24×16; begin with a crop"
    ):
        check_inputs([small, large], 8)
    with pytest.raises(ValueError, match="16×24, 24×16; quarter turns want a square crop"):
        check_inputs([large, large.mT], 8)
    with pytest.raises(ValueError, match=r"multiples of 32, got 16×16; change the crop's size"):
        check_inputs([small], 32)
