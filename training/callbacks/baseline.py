"""The answer without a net, scored beside the run's own: what a score is to be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torchmetrics import Metric

from training.data.crops import to_tensor
from training.pixels import to_8_bit

if TYPE_CHECKING:
    from training.module import ImageToImage


class Baseline(Callback):
    """Scores the task's baseline at the first validation: `module.baseline`, `baseline/SCORE`."""

    def __init__(self) -> None:
        self._metric: Metric | None = None

    def on_validation_epoch_start(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
    ) -> None:
        due = not trainer.sanity_checking and not pl_module.baseline
        self._metric = pl_module.task.metrics().to(pl_module.device) if due else None

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
        outputs: Any,
        batch: tuple[Tensor, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self._metric is None or pl_module.is_repeated(batch_idx):
            return
        task = pl_module.task
        for image, target in zip(*batch, strict=True):
            answer = task.baseline(to_8_bit(image.movedim(0, -1).cpu().numpy()))
            if answer is not None:
                answered = task.input_tensor(to_tensor(answer)[None]).to(target.device)
                self._metric.update(*task.as_scored(answered, target[None]))

    def on_validation_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
    ) -> None:
        # Before the module's own, which begins its scores anew.
        if self._metric is None:
            return
        scores = pl_module.task.baseline_scores(pl_module.scores, self._metric)
        pl_module.baseline = {name: float(value) for name, value in scores.items()}
        logged = {f"baseline/{name}": value.float() for name, value in scores.items()}
        pl_module.log_dict(logged, sync_dist=True)
