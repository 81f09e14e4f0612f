"""The page of a run, anew after each validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from training.pages.run_page import write_run_page

if TYPE_CHECKING:
    from training.module import ImageToImage


class RunPage(Callback):
    """Writes index.html into the run's folder, where that holds curves."""

    def on_validation_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
    ) -> None:
        # Lightning sets it outside of the class, unseen by a type checker.
        trial = trainer.sanity_checking or trainer.fast_dev_run  # type: ignore[attr-defined]
        if trainer.state.fn == "fit" and trainer.is_global_zero and not trial:
            task = pl_module.task
            folder = Path(trainer.default_root_dir)
            write_run_page(folder, task.monitor, task.mode, task.classes())
