"""The one LightningModule: pair → net → loss → log. What differs between tasks is in the task."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from torch import Tensor

from i2i.nets import Autoencoder
from i2i.nets.outputs import Outputs
from training.budget import core_minutes
from training.callbacks import PictureLog
from training.recipe import describe, first_difference
from training.tasks import Task


class ImageToImage(pl.LightningModule):
    """Trains a net for a task by AdamW: warm-up, then a cosine down to `final_share` of the rate.

    The weights that are validated, kept and exported are an exponential moving average.

    Args:
        net: its channels, scale and classes are the task's (`Task.net_arguments`).
        learning_rate: at the end of the warm-up.
        warmup_steps: over which the rate rises from 0; at most a tenth of all steps.
        average_decay: of the moving average of the weights, per step.
        patience: validations without a better score after which training stops.
    """

    def __init__(
        self,
        task: Task,
        net: Autoencoder,
        learning_rate: float = 1e-3,
        warmup_steps: int = 200,
        final_share: float = 0.01,
        weight_decay: float = 0.0,
        average_decay: float = 0.999,
        patience: int = 20,
    ) -> None:
        super().__init__()
        task.check_net(net)
        self.task = task
        # torch's stubs lack `memory_format` beside no device.
        self.net: Autoencoder = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self.final_share, self.weight_decay = final_share, weight_decay
        self.average_decay, self.patience = average_decay, patience
        self.outputs = Outputs(task.kind, map=task.map_info())
        self.scores = task.metrics()
        self.earlier_core_minutes = 0.0

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → the net's output."""
        output: Tensor = self.net(image.contiguous(memory_format=torch.channels_last))
        return output

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        image, target = batch
        output = self(self.task.input_tensor(image))
        # The loss in float32: bfloat16's steps near 1 are 4e-3.
        loss = self.task.loss_of(output.float(), target)
        self.log("loss", loss, prog_bar=True)
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        _, target = batch
        prediction = self.predict_step(batch, batch_index)
        self.scores.update(self.task.rounded(prediction), self.task.target_tensor(target))

    def on_validation_epoch_end(self) -> None:
        scores = self.scores.compute()
        self.scores.reset()
        self.log_dict({f"val/{name}": value.float() for name, value in scores.items()})
        self.log(self.task.monitor, scores[self.task.monitor].float(), prog_bar=True, logger=False)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        self.validation_step(batch, batch_index)

    def on_test_epoch_end(self) -> None:
        self.on_validation_epoch_end()

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        image, _ = batch
        prediction: Tensor = self.outputs(self(self.task.input_tensor(image)).float())[0]
        return prediction

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ValueError("max_epochs: expected a number of epochs, over which the rate falls")
        warmup = max(1, min(self.warmup_steps, steps // 10))

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            done = min(1.0, (step - warmup) / max(1, steps - warmup))
            return self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * done)) / 2

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_callbacks(self) -> list[Callback]:
        monitor, mode = self.task.monitor, self.task.mode
        return [
            # Before the averaging, which takes its weights back at the end of the validation.
            PictureLog(),
            EMAWeightAveraging(decay=self.average_decay),
            ModelCheckpoint(monitor=monitor, mode=mode, filename="best"),
            # Its own: `save_last` writes only when there is a new best one.
            ModelCheckpoint(filename="last", enable_version_counter=False),
            EarlyStopping(monitor, mode=mode, patience=self.patience, strict=False),
        ]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The recipe beside the weights: what `training.export` builds net and task from."""
        data = getattr(self.trainer, "datamodule", None)
        checkpoint["recipe"] = {
            "task": describe(self.task),
            "net": describe(self.net),
            "data": data.provenance if data is not None else {},
            "source": data.source() if data is not None else None,
            "steps": self.trainer.global_step,
            "core_minutes": self.earlier_core_minutes + core_minutes(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        recipe = checkpoint.get("recipe")
        if recipe is None:
            raise ValueError("checkpoint: expected one of `python -m training fit`, got no recipe")
        for name, mine in (("task", describe(self.task)), ("net", describe(self.net))):
            difference = first_difference(mine, recipe[name], name)
            if difference is not None:
                raise ValueError(
                    f"checkpoint of another {name} than the config's: {difference}; "
                    "use the config.yaml beside the checkpoint"
                )
        self.earlier_core_minutes = recipe["core_minutes"]
