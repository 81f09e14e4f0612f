"""Weights of classes, from the masks to the loss."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from i2i.losses import CrossEntropy, Dice, Sum
from training import cli
from training.data import Masks, Photos
from training.data.class_weights import ClassWeights, class_weights
from training.recipe import build, describe
from training.tasks import Segmentation

NAMES = ["ground", "common", "rare"]


def masks() -> list[np.ndarray]:
    """Ten masks: 90 % ground, 9 % common; one in ten shows rare pixels, a tenth of its own."""
    made = []
    for index in range(10):
        mask = np.zeros((10, 10), np.uint8)
        mask[0, :9] = 1
        if index == 0:
            mask[9] = 2
        mask[5, 5] = 255
        made.append(mask)
    return made


def test_inverse_weights_make_all_classes_count_alike() -> None:
    weights = class_weights(masks(), NAMES, "inverse")

    counts = np.bincount(np.concatenate([m.ravel() for m in masks()]))[:3]
    np.testing.assert_allclose(weights * counts, (weights * counts)[0], rtol=1e-3)
    assert np.mean(weights) == pytest.approx(1, abs=1e-4)


def test_median_frequency_forgives_a_class_that_few_pictures_show() -> None:
    weights = class_weights(masks(), NAMES, "median_frequency")

    # In the pictures that show them, 9 and 10 of 99 pixels.
    assert weights[1] / weights[2] == pytest.approx(10 / 9, rel=1e-3)
    assert weights[1] / weights[0] > 5


def test_logarithmic_weights_grow_less_than_classes_are_rare() -> None:
    weights = class_weights(masks(), NAMES, "logarithmic")

    # Of 990 pixels that count 90 are common and 10 rare.
    assert weights[2] / weights[1] == pytest.approx(
        math.log(1.02 + 90 / 990) / math.log(1.02 + 10 / 990), rel=1e-3
    )
    assert 1 < weights[2] / weights[1] < 90 / 10


def test_effective_numbers_count_pictures() -> None:
    weights = class_weights(masks(), NAMES, "effective_number")

    assert weights[0] == weights[1]
    assert weights[2] / weights[0] == pytest.approx((1 - 0.999**10) / (1 - 0.999), rel=1e-3)


@pytest.mark.parametrize("method", [m for m in get_args(ClassWeights) if m != "none"])
def test_a_class_that_no_mask_shows_is_told(
    method: ClassWeights, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        weights = class_weights([*masks(), None], [*NAMES, "absent"], method)

    assert weights[3] == 1
    assert np.isfinite(weights).all()
    assert "no training mask shows absent" in caplog.text


def test_masks_without_classes_have_no_weights() -> None:
    with pytest.raises(ValueError, match="expected masks that show a class, got none"):
        class_weights([np.full((4, 4), 255, np.uint8)], NAMES, "inverse")


def test_the_weights_of_the_data_reach_the_loss_and_the_checkpoint(
    masked: Callable[[Path], Path],
) -> None:
    data = Masks(str(masked(Path("set"))), geometry=[], class_weights="inverse")
    arguments = data.task_arguments()

    task = Segmentation(**arguments)

    # 1,200 and 960 of 5,120 pixels each are things.
    assert arguments["class_names"] == ["ground", "thing"]
    assert arguments["class_weights"][1] == pytest.approx(2 * (1 - 2160 / 10240), abs=1e-4)
    cross_entropy = next(part for part in task.loss.modules() if isinstance(part, CrossEntropy))
    assert cross_entropy.weights is not None
    assert cross_entropy.weights.tolist() == pytest.approx(arguments["class_weights"])
    assert describe(build(describe(task))) == describe(task)


def test_counting_reads_masks_alone_and_leaves_the_telling_to_the_run(
    masked: Callable[[Path], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = masked(Path("set"))
    (root / "train" / "masks" / "more.png").write_bytes(b"a mask for no picture")
    for image in root.rglob("images/*.png"):
        image.write_bytes(b"no picture")
    counted, run = (Masks(str(root), geometry=[], class_weights="inverse") for _ in range(2))

    with caplog.at_level(logging.WARNING):
        arguments = counted.task_arguments()
        assert not caplog.messages
        run.training_loads(Segmentation(**arguments))

    assert len([said for said in caplog.messages if "a mask for no picture" in said]) == 1


def test_an_id_that_is_ignored_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    mask = np.array([[0, 0, 1, 2, 2, 2]], np.uint8)

    weights = class_weights([mask], ["ground", "thing", "ignored"], "inverse", ignore=2)

    assert weights == pytest.approx([2 / 3, 4 / 3, 1], abs=1e-4)
    assert not caplog.records


def test_the_data_ignore_what_the_task_ignores(
    masked: Callable[[Path], Path],
    configs: Path,
    fast: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = masked(Path("set"))
    for path in root.rglob("masks/*.png"):
        mask = np.asarray(Image.open(path)).copy()
        mask[40:] = 2
        Image.fromarray(mask).save(path)
    data = ["--data=Masks", f"--data.root={root}", "--data.class_weights=inverse"]
    crop = "{class_path: albumentations.RandomCrop, init_args: {height: 32, width: 32}}"
    more = [f"--data.geometry=[{crop}]", "--model.task.init_args.ignore=2", *fast]

    cli.main(["fit", f"--config={configs / 'demo_segmentation.yaml'}", *data, *more])

    (run,) = Path("runs").iterdir()
    weights = weights_of(run)
    # 1,200 and 960 of 3,200 pixels each are things.
    assert weights == pytest.approx([2 * 2160 / 6400, 2 * (1 - 2160 / 6400)], abs=1e-4)

    # A run that begins with the config of this one is weighted as its own data say.
    cli.main(["fit", f"--config={run / 'config.yaml'}", "--data.class_weights=none", "--run=plain"])
    assert weights_of(Path("plain")) is None

    # Other data weigh otherwise, which a validation does not ask for; nor is a resumed run told
    # that its weights are not those of its config, which has none.
    checkpoints = run / "checkpoints"
    other = f"--data.root={masked(Path('other'))}"
    cli.main(["validate", f"--ckpt_path={checkpoints / 'best.ckpt'}", other])
    cli.main(["fit", f"--ckpt_path={checkpoints / 'last.ckpt'}"])
    assert "is not used" not in caplog.text


def weights_of(run: Path) -> list[float] | None:
    recipe = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["recipe"]
    weights: list[float] | None = recipe["task"]["init_args"]["class_weights"]
    return weights


def test_a_loss_of_ones_own_gets_the_weights() -> None:
    loss = Sum([Dice(), CrossEntropy()], [1.0, 2.0])
    scores, target = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    scores[:, 0] = 2.0
    plain = loss(scores, target)

    weighted = Segmentation(["a", "b"], loss=loss, class_weights=[0.5, 1.5]).loss(scores, target)

    assert weighted > plain


WRONG_WEIGHTS: dict[str, tuple[list[float], nn.Module | None]] = {
    "expected 2 numbers of at least 0, got .1.0.": ([1.0], None),
    "expected 2 numbers of at least 0, got .1.0, -1.0.": ([1.0, -1.0], None),
    "expected 2 numbers of at least 0, got .1.0, nan.": ([1.0, float("nan")], None),
    "expected a loss with a CrossEntropy, Focal or Ohem, got Dice": ([1.0, 2.0], Dice()),
    "expected a CrossEntropy without weights of its own": (
        [1.0, 2.0],
        CrossEntropy(weights=[2.0, 1.0]),
    ),
}


@pytest.mark.parametrize("words", WRONG_WEIGHTS)
def test_weights_that_do_not_fit_the_task_are_refused(words: str) -> None:
    weights, loss = WRONG_WEIGHTS[words]
    with pytest.raises(ValueError, match=f"class_weights: {words}"):
        Segmentation(["a", "b"], loss=loss, class_weights=weights)


def test_pictures_without_masks_have_no_class_weights() -> None:
    with pytest.raises(ValueError, match="class_weights: expected none for Photos"):
        Photos("root", geometry=[], class_weights="inverse").task_arguments()
    with pytest.raises(ValueError, match=r"class_weights: expected .*inverse.*, got .often"):
        Photos("root", geometry=[], class_weights="often")
