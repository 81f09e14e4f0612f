"""The checkpoint that a run is resumed from: at the end of each epoch, and within one."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint


class LastCheckpoint(Checkpoint):
    """Keeps `path` no older than an epoch, and no older than `minutes` or a validation and a step.

    Written only where a resumed run goes on exactly: at the end of an epoch, after its validation,
    or between two steps of the optimiser, where no gradient is half accumulated.
    """

    def __init__(self, path: Path, minutes: float) -> None:
        if minutes < 0:
            raise ValueError(f"checkpoint_minutes: expected 0 (every step) or more, got {minutes}")
        self.path, self.minutes = path, minutes
        self._written = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        due = time.monotonic() - self._written >= 60 * self.minutes
        # A validation follows the last batch: a run resumed between the two would leave it out.
        between = not trainer.is_last_batch and not trainer.fit_loop._should_accumulate()
        # All processes write or none does.
        if trainer.strategy.broadcast(due and between):
            self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._written = -math.inf

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        # Lightning sets it outside of the class, unseen by a type checker.
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(self.path)
        # The curves up to here: a kill costs none of them either.
        for logger in trainer.loggers:
            logger.save()
        self._written = time.monotonic()
