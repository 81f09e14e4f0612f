"""Runs of two short epochs, what interrupts them, and whether two ended alike."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import albumentations as A
import pytorch_lightning as pl
import torch

from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from training.callbacks import AtomicCheckpoints
from training.data import Photos
from training.module import ImageToImage
from training.tasks import SuperResolution

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class StopAfter(pl.Callback):
    """Ends a run after an epoch, as an interrupt does: the schedule knows nothing of it."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch >= self.epoch


class InterruptAt(pl.Callback):
    """Presses Ctrl-C, or sends another signal, in a step, or in the first validation."""

    def __init__(self, place: str, number: signal.Signals = signal.SIGINT) -> None:
        self.place, self.number = place, number

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        if self.place == "step" and trainer.global_step == 1:
            signal.raise_signal(self.number)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        if self.place == "validation" and not trainer.sanity_checking:
            signal.raise_signal(self.number)


def tiny_net() -> Autoencoder:
    torch.manual_seed(0)
    net = Autoencoder(
        Encoder([4, 8], [0, 1], norm="batch"),
        Decoder([8, 4], [0], norm="batch"),
        PictureHead(4, stride=2, scale=2),
    )
    # Its random state, too, goes on where it was.
    stages: Any = net.encoder.stages
    stages[0].append(torch.nn.Dropout(0.2))
    return net


def module(**options: Any) -> ImageToImage:
    return ImageToImage(SuperResolution(2, border=2), tiny_net(), **options)


def data(root: Path, num_workers: int = 0) -> Photos:
    crop = A.Compose([A.RandomCrop(24, 24), A.D4()])
    return Photos(
        str(root),
        geometry=[crop],
        appearance=[A.GaussNoise(p=0.5)],
        batch_size=2,
        epoch_samples=6,
        num_workers=num_workers,
    )


def fit(
    root: Path,
    place: str,
    *callbacks: pl.Callback,
    resume: Path | None = None,
    num_workers: int = 0,
    max_steps: int = -1,
    val_check_interval: int | None = None,
    **options: Any,
) -> tuple[ImageToImage, Path]:
    """Two epochs of three steps; the module and its last checkpoint."""
    trainer = pl.Trainer(
        max_epochs=2,
        max_steps=max_steps,
        val_check_interval=val_check_interval,
        default_root_dir=place,
        callbacks=list(callbacks),
        plugins=[AtomicCheckpoints()],
        **QUIET,
    )
    trained = module(**options)
    trainer.fit(trained, data(root, num_workers), ckpt_path=resume, weights_only=True)
    return trained, Path(place) / "checkpoints" / "last.ckpt"


def check_equal(straight: Path, resumed: Path, middle: dict[str, Any]) -> None:
    """Asserts that two runs have ended alike, otherwise than the second was in the middle."""
    expected, got = (torch.load(p, weights_only=True) for p in (straight, resumed))
    assert got["global_step"] == expected["global_step"] == 6
    for part in ("state_dict", "current_model_state"):
        assert any(not expected[part][name].equal(middle[part][name]) for name in expected[part])
        assert all(expected[part][name].equal(got[part][name]) for name in expected[part])
    assert got["lr_schedulers"] == expected["lr_schedulers"]
    assert got["recipe"]["core_minutes"] > middle["recipe"]["core_minutes"]
