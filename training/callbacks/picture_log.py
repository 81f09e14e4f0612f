"""Before/after pictures in the log: the same samples at each validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from i2i.image import Picture, encode, write_bytes
from training.tasks.task import Pixels

if TYPE_CHECKING:
    from training.module import ImageToImage


class PictureLog(pl.Callback):
    """Shows the first `count` validation pictures: PNG files beside the log, and TensorBoard."""

    def __init__(self, count: int = 2, longest: int = 256) -> None:
        self.count, self.longest = count, longest

    def on_validation_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
    ) -> None:
        if trainer.sanity_checking or trainer.log_dir is None or not trainer.is_global_zero:
            return
        assert trainer.val_dataloaders is not None
        dataset = trainer.val_dataloaders.dataset
        rows = []
        for index in range(min(self.count, len(dataset))):
            image, target = dataset[index]
            shown = self._show(pl_module, image, target)
            name = f"validation-{index}"
            path = Path(trainer.log_dir) / "pictures" / f"{name}-step-{trainer.global_step:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, encode(Picture(shown, None)))
            rows.append((name, shown))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, shown in rows:
                    logger.experiment.add_image(name, shown, trainer.global_step, dataformats="HWC")

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
    """(C, H, W) or (H, W) uint8 as (H, W, C) or (H, W)."""
    return np.asarray(tensor.movedim(0, -1) if tensor.ndim == 3 else tensor)
