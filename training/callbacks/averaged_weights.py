"""An average of the weights that follows them from the first step."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Exponential moving average of weights and buffers, with a warm-up of its decay."""

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=averaging(decay))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Makes the average where the weights will be, which Lightning moves there only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


Tensors = tuple[Tensor, ...] | list[Tensor]


def averaging(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Brings averages of one type up to date with the weights, given the steps before this one.

    At step t the decay is min(`decay`, (1 + t) / (10 + t)), as in TensorFlow's
    `ExponentialMovingAverage` with `num_updates`: the average spans about the last ninth of the
    steps, until `decay` spans less. At a constant 0.999, a run of 1,000 steps would end with a
    third of the weights it began with. What is counted in whole numbers is copied.

    Raises:
        ValueError: `decay` is outside [0, 1).
    """
    if not 0 <= decay < 1:
        raise ValueError(f"average_decay: expected 0 or more, below 1, got {decay}")

    def average(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        if not averaged[0].is_floating_point():
            torch._foreach_copy_(averaged, current)
            return
        share = torch.as_tensor((1 + steps) / (10 + steps)).clamp(max=decay)
        # All at once: a call for each of hundreds of small tensors takes several times as long.
        torch._foreach_mul_(averaged, share)
        torch._foreach_add_(averaged, torch._foreach_mul(current, 1 - share))

    return average
