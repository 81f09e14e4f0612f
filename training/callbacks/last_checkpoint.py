"""The checkpoint that a run is resumed from: at each epoch's end, within one, and at a signal."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

# Steps between two moments at which several processes agree whether to write.
ASKED_EVERY = 16


class Stopped(KeyboardInterrupt):
    """A run has ended by a signal, as it was told to, and can go on from its checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class LastCheckpoint(Checkpoint):
    """Keeps `path` no older than an epoch, and no older than `minutes` or a validation and a step.

    Written only where a resumed run goes on exactly: at the end of an epoch, after its validation,
    or between two steps of the optimiser, where no gradient is half accumulated. The first Ctrl-C
    lets the run come there, and ends it then; a second one ends it at once. SIGTERM, by which
    schedulers and containers stop a run, is as the first, but where several processes share it.
    """

    def __init__(self, path: Path, minutes: float) -> None:
        if minutes < 0:
            raise ValueError(f"checkpoint_minutes: expected 0 (every step) or more, got {minutes}")
        self.path, self.minutes = path, minutes
        self._written = time.monotonic()
        self._stopping: int | None = None  # the signal's number

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Python takes signals in its main thread alone.
        if threading.current_thread() is not threading.main_thread() or _writes_nothing(trainer):
            return
        # Not where another handler has its reasons: a shell has those it runs behind it ignore
        # Ctrl-C. Lightning puts Python's back when the run ends.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._stop)
        if trainer.world_size == 1:
            signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, frame: Any) -> None:
        self._stopping = number
        if signal.getsignal(signal.SIGINT) == self._stop:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not print, which the signal may have interrupted, and which cannot be called again then.
        os.write(2, b"\nstops after this step, or the validation; Ctrl-C again: at once\n")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        due = self._stopping is not None or time.monotonic() - self._written >= 60 * self.minutes
        between = not trainer.fit_loop._should_accumulate() and not _validates_next(trainer)
        # All processes write or none does. To ask makes a GPU wait: not after every step.
        asked = trainer.world_size == 1 or trainer.global_step % ASKED_EVERY == 0
        if between and asked and trainer.strategy.broadcast(due):
            self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._written = -math.inf

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with nullcontext() if trainer.is_last_batch else _unfinished_epoch(trainer):
            self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if _writes_nothing(trainer):
            return
        trainer.save_checkpoint(self.path)
        # The curves up to here: a kill costs none of them either.
        for logger in trainer.loggers:
            logger.save()
        self._written = time.monotonic()
        number = trainer.strategy.broadcast(self._stopping)
        if number is not None:
            if trainer.is_global_zero:
                print(f"stopped; go on with python -m training fit --ckpt_path {self.path}")
            # Lightning ends the run as at any Ctrl-C.
            raise Stopped(number)


def _validates_next(trainer: pl.Trainer) -> bool:
    """Whether a validation follows this batch: a run resumed between the two would leave it out."""
    if trainer.is_last_batch or trainer.global_step == trainer.max_steps:
        return True
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


@contextmanager
def _unfinished_epoch(trainer: pl.Trainer) -> Iterator[None]:
    """Takes back that Lightning counts an epoch as processed in whose midst a run ends."""
    progress: Any = trainer.fit_loop.epoch_progress
    for tracker in (progress.current, progress.total):
        tracker.processed -= 1
    try:
        yield
    finally:
        progress.increment_processed()


def _writes_nothing(trainer: pl.Trainer) -> bool:
    # Lightning sets it outside of the class, unseen by a type checker.
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]
