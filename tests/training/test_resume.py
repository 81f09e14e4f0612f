"""A run that was interrupted and resumed ends in the weights of one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor

import training
from tests.training.small_runs import (
    QUIET,
    StopAfter,
    check_equal,
    data,
    fit,
)
from training.checkpoint import read_checkpoint
from training.data.crops import TrainingCrops
from training.module import ImageToImage
from training.schedules import Constant, Plateau
from training.tasks import Sample, SuperResolution


class KillAt(pl.Callback):
    """Kills the process in the second epoch: at its second batch, or in its validation."""

    def __init__(self, place: str) -> None:
        self.place = place

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        if self.place == "epoch" and trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        if self.place == "validation" and trainer.global_step == 6:
            os.kill(os.getpid(), signal.SIGKILL)


class Keeper(pl.Callback):
    """Notes the weights that were validated last."""

    def __init__(self) -> None:
        self.weights: list[Tensor] = []

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        if not trainer.sanity_checking:
            self.weights = [weight.detach().clone() for weight in pl_module.parameters()]


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    photos: Callable[..., Path],
) -> None:
    check_resume(photos(Path("photos")), num_workers=0)


@pytest.mark.whole
def test_a_run_with_a_loaders_process_resumes_alike(photos: Callable[..., Path]) -> None:
    # In a process of its own: the loader's is a fork, which the threads of the engines that other
    # tests have opened do not survive.
    command = [sys.executable, __file__, str(photos(Path("photos")))]
    environment = os.environ | {"PYTHONPATH": str(Path(training.__file__).parents[1])}

    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )

    assert run.returncode == 0, run.stderr


def check_resume(root: Path, num_workers: int) -> None:
    """Asserts that one epoch and one more, resumed, end in the very weights of two."""
    _, straight = fit(root, "straight", num_workers=num_workers)
    _, half = fit(root, "half", StopAfter(0), num_workers=num_workers)
    middle = torch.load(half, weights_only=True)

    _, resumed = fit(root, "resumed", resume=half, num_workers=num_workers)

    assert middle["global_step"] == 3
    check_equal(straight, resumed, middle)


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable", "ignore:.*is not empty")
@pytest.mark.parametrize(
    ("place", "step"), [("validation", 5), pytest.param("epoch", 4, marks=pytest.mark.slow)]
)
def test_a_killed_run_loses_a_step_and_ends_as_if_it_had_not_been_killed(
    place: str, step: int, photos: Callable[..., Path]
) -> None:
    root = photos(Path("photos"))
    schedule = Plateau(patience=1, warmup_steps=0)
    _, straight = fit(root, "straight", schedule=schedule)
    command = [sys.executable, __file__, str(root), place]
    environment = os.environ | {"PYTHONPATH": str(Path(training.__file__).parents[1])}
    killed = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    last = Path("killed/checkpoints/last.ckpt")
    middle = torch.load(last, weights_only=True)

    _, resumed = fit(root, "killed", resume=last, schedule=schedule)

    assert middle["global_step"] == step
    check_equal(straight, resumed, middle)
    best = [
        torch.load(path.with_name("best.ckpt"), weights_only=True) for path in (straight, resumed)
    ]
    assert best[0]["global_step"] == best[1]["global_step"]


class Found(pl.Callback):
    """Notes the steps of the last checkpoint when a validation begins."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        last = Path(trainer.default_root_dir, "checkpoints", "last.ckpt")
        if last.exists():
            self.steps.append(torch.load(last, weights_only=True)["global_step"])


def test_no_checkpoint_is_written_between_the_last_step_and_its_validation(
    photos: Callable[..., Path],
) -> None:
    found = Found()
    _, last = fit(photos(Path("photos")), "run", found, max_steps=2, checkpoint_minutes=0)

    assert found.steps == [1]
    assert torch.load(last, weights_only=True)["global_step"] == 2


@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable", "ignore:The dirpath has")
def test_a_run_that_ended_within_an_epoch_goes_on_in_it(photos: Callable[..., Path]) -> None:
    root, schedule = photos(Path("photos")), Constant(warmup_steps=0)
    _, straight = fit(root, "straight", schedule=schedule)
    _, ended = fit(root, "ended", schedule=schedule, max_steps=4)
    middle = torch.load(ended, weights_only=True)

    _, resumed = fit(root, "resumed", schedule=schedule, resume=ended)

    assert middle["global_step"] == 4
    check_equal(straight, resumed, middle)


@pytest.mark.parametrize(("name", "side"), [("0", "train and validate"), ("z", "train")])
def test_a_run_does_not_go_on_with_other_pictures(
    name: str, side: str, photos: Callable[..., Path], picture: Callable[..., np.ndarray]
) -> None:
    root = photos(Path("photos"))
    _, last = fit(root, "run", StopAfter(0))
    # Every tenth picture validates: one before them all moves each by one place.
    Image.fromarray(picture(seed=7)).save(root / f"{name}.png")

    with pytest.raises(ValueError, match=f"got others to {side}, .*; bring the earlier"):
        fit(root, "again", resume=last)
    assert not Path("again/checkpoints").exists()


def test_the_averaged_weights_are_validated_kept_and_exported(
    photos: Callable[..., Path],
) -> None:
    keeper = Keeper()
    trained, last = fit(
        photos(Path("photos")), "run", keeper, average_decay=0.5, learning_rate=0.05
    )

    kept = torch.load(last, weights_only=True)
    averaged = [kept["state_dict"][f"net.{name}"] for name, _ in trained.net.named_parameters()]
    raw = [kept["current_model_state"][f"net.{name}"] for name, _ in trained.net.named_parameters()]
    _, exported, _ = read_checkpoint(last)

    assert not all(a.equal(r) for a, r in zip(averaged, raw, strict=True))
    assert all(a.equal(v) for a, v in zip(averaged, keeper.weights, strict=True))
    assert all(a.equal(e) for a, e in zip(averaged, exported.parameters(), strict=True))


def test_the_pictures_in_the_log_are_those_of_the_averaged_weights(
    photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[list[Tensor]] = []
    forward = ImageToImage.forward

    def spy(self: ImageToImage, image: Tensor) -> Tensor:
        if not self.training and not torch.is_inference_mode_enabled():
            weights.append([weight.detach().clone() for weight in self.net.parameters()])
        return forward(self, image)

    monkeypatch.setattr(ImageToImage, "forward", spy)
    monkeypatch.setitem(QUIET, "logger", True)
    monkeypatch.setitem(QUIET, "log_every_n_steps", 1)
    trained, _ = fit(photos(Path("photos")), "run", average_decay=0.5, learning_rate=0.05)
    last = next(Path("run").rglob("last.ckpt"))

    kept = torch.load(last, weights_only=True)["state_dict"]
    averaged = [kept[f"net.{name}"] for name, _ in trained.net.named_parameters()]
    assert all(a.equal(w) for a, w in zip(averaged, weights[-1], strict=True))


def test_the_last_checkpoint_is_the_last_even_if_an_earlier_one_is_better(
    photos: Callable[..., Path],
) -> None:
    _, last = fit(photos(Path("photos")), "run", average_decay=0.0, learning_rate=1.0)

    best = last.with_name("best.ckpt")
    steps = [torch.load(path, weights_only=True)["global_step"] for path in (best, last)]
    assert steps == [3, 6]


@pytest.mark.parametrize("key", [(0, 0), (0, 1), (1, 0), (7, 3)])
def test_seed_epoch_and_index_decide_a_sample(
    key: tuple[int, int], picture: Callable[..., np.ndarray]
) -> None:
    def crops(seed: int) -> TrainingCrops:
        samples = [Sample(str(i), picture(seed=i)) for i in range(3)]
        return TrainingCrops(samples, SuperResolution(2), data(Path()).augmentation, seed)

    first, again, elsewhere = crops(5), crops(5), crops(6)
    image, target = first[key]
    # What was drawn before does not matter.
    again[3, 9]
    assert all(a.equal(b) for a, b in zip((image, target), again[key], strict=True))
    epoch, index = key
    for other in (elsewhere[key], first[epoch + 1, index], first[epoch, index + 1]):
        assert not target.equal(other[1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) == 2:
        check_resume(Path(sys.argv[1]), num_workers=1)
    else:
        fit(
            Path(sys.argv[1]),
            "killed",
            KillAt(sys.argv[2]),
            schedule=Plateau(patience=1, warmup_steps=0),
            checkpoint_minutes=0.0,
        )
