"""What a task makes of a picture, of a net, and of wrong arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from i2i.resize import bicubic, pixelate
from training.data.crops import ValidationPictures, check_inputs, cut_border
from training.recipe import build, describe, first_difference
from training.tasks import Depixelate, Sample, Segmentation, SuperResolution, Task

TASKS: list[Task] = [SuperResolution(3), Depixelate(4), Segmentation(["sky", "sea"])]
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
    pictures = ValidationPictures(samples, Depixelate(4), seed=0, multiple=4, longest=40)

    image, target = pictures[0]

    assert image.shape == target.shape == (3, 40, 40)
    pixels = np.ascontiguousarray(target.numpy().transpose(1, 2, 0))
    assert (image.numpy().transpose(1, 2, 0) == pixelate(pixels, 4)).all()


def test_a_segmentation_takes_picture_and_mask_as_they_are(
    picture: Callable[..., np.ndarray],
) -> None:
    mask = np.ones((64, 80), np.uint8)
    image, target = TASKS[2].pair(Sample("s", picture(), mask), RANDOM)

    assert (image == picture()).all()
    assert target is mask
    with pytest.raises(ValueError, match=r"s: expected a picture with a mask"):
        TASKS[2].pair(Sample("s", picture()), RANDOM)


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
                "init_args": {"widths": [4, 4, 4], "depths": [0, 0]},
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
    image, target = task.pair(Sample("s", picture(48, 48), np.ones((48, 48), np.uint8)), RANDOM)

    task.check_net(net)
    output = net(torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255)
    moved = torch.from_numpy(
        target.copy() if target.ndim == 2 else target.transpose(2, 0, 1).copy()
    )
    loss = task.loss(output, task.target_tensor(moved[None]))

    assert loss.isfinite()
    assert loss.ndim == 0


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_can_be_described_and_built_again(task: Task) -> None:
    again = build(describe(task))

    assert type(again) is type(task)
    assert describe(again) == describe(task)
    assert again.protocol() == task.protocol()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_monitored_score_is_among_the_metrics(task: Task) -> None:
    metrics = task.metrics()
    if task.kind == "labels":
        metrics.update(torch.zeros(1, 16, 16).byte(), torch.zeros(1, 16, 16).byte())
    else:
        metrics.update(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32))

    assert task.monitor in metrics.compute()


def test_the_trivial_answers_are_bicubic_and_the_input_itself(
    picture: Callable[..., np.ndarray],
) -> None:
    image = picture(20, 24)

    assert (SuperResolution(3).baseline(image) == bicubic(image, 60, 72)).all()
    assert (Depixelate(4).baseline(image) == image).all()


def test_a_loss_of_torch_can_be_named_and_built_again() -> None:
    task = SuperResolution(2, loss=torch.nn.SmoothL1Loss(beta=0.1))

    again = build(describe(task))

    assert again.loss.beta == 0.1


class Forgetful(torch.nn.Module):
    def __init__(self, strength: float) -> None:
        super().__init__()


def test_an_object_that_does_not_keep_its_arguments_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Forgetful: expected its argument 'strength'"):
        describe(Forgetful(1.0))


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("training.tasks.Nothing", {}),
        ("nowhere.Task", {}),
        ("training.tasks.SuperResolution", {"scael": 2}),
    ],
)
def test_a_description_of_no_class_says_so(path: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{path}: expected a class that takes these arguments"):
        build({"class_path": path, "init_args": arguments})


def test_the_first_difference_of_two_descriptions_is_named() -> None:
    two, three = describe(SuperResolution(2)), describe(SuperResolution(3))

    assert first_difference(two, two, "task") is None
    assert first_difference(two, three, "task") == "task.init_args.scale: expected 2, got 3"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SuperResolution(5), "scale: expected 2, 3 or 4, got 5"),
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
    with pytest.raises(ValueError, match=r"multiples of 32, got 16×16; change the crop's size"):
        check_inputs([small], 32)
