"""Before/after pictures in the log: the same samples at each validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from i2i.image import Picture, encode, write_bytes
from training.tasks.task import Pixels

if TYPE_CHECKING:
    from training.module import ImageToImage


class PictureLog(pl.Callback):
    """Shows the first `count` validation pictures: PNG files in the run's folder, and each log."""

    def __init__(self, count: int = 2, longest: int = 256) -> None:
        self.count, self.longest = count, longest

    def on_validation_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
    ) -> None:
        # Lightning sets it outside of the class, unseen by a type checker.
        trial = trainer.sanity_checking or trainer.fast_dev_run  # type: ignore[attr-defined]
        if trial or not trainer.is_global_zero:
            return
        assert trainer.val_dataloaders is not None
        dataset, step = trainer.val_dataloaders.dataset, trainer.global_step
        folder = Path(trainer.default_root_dir) / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(min(self.count, len(dataset))):
            shown = self._show(pl_module, *dataset[index])
            name = f"validation-{index}"
            write_bytes(folder / f"{name}-step-{step:06d}.png", encode(Picture(shown, None)))
            for logger in trainer.loggers:
                log_picture(logger, name, shown, step)

    def _show(self, module: ImageToImage, image: torch.Tensor, target: torch.Tensor) -> Pixels:
        scale = module.task.scale
        side = self.longest // module.net.size_multiple * module.net.size_multiple
        image, target = image[:, :side, :side], target[..., : side * scale, : side * scale]
        with torch.no_grad():
            batch = module.task.input_tensor(image[None].to(module.device))
            prediction = module.outputs(module(batch).float())[0][0].cpu()
        if module.task.kind == "image":
            prediction = (module.task.rounded(prediction) * 255).round().byte()
        return module.task.show(_pixels(image), _pixels(prediction), _pixels(target))


def _pixels(tensor: torch.Tensor) -> Pixels:
    """(C, H, W) or (H, W) as (H, W, C) or (H, W)."""
    return np.asarray(tensor.movedim(0, -1) if tensor.ndim == 3 else tensor)


def log_picture(logger: Logger, name: str, picture: Pixels, step: int) -> None:
    """Gives a picture (H, W, 3) to a logger that shows pictures."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, picture, step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        # Without `step`: W&B drops what comes with another step than its own count of calls.
        logger.log_image(name, [picture])
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_image(logger.run_id, picture, key=name, step=step)
