"""An average of the weights that follows them from the first step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Exponential moving average of weights and buffers, with a warm-up of its decay."""

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=True, avg_fn=averaging(decay))


def averaging(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """The average after a step, of the average before it, the weights, and the steps before.

    At step t the decay is min(`decay`, (1 + t) / (10 + t)), as in TensorFlow's
    `ExponentialMovingAverage` with `num_updates`: the average spans about the last ninth of the
    steps, until `decay` spans less. At a constant 0.999, a run of 1,000 steps would end with a
    third of the weights it began with.

    Raises:
        ValueError: `decay` is outside [0, 1).
    """
    if not 0 <= decay < 1:
        raise ValueError(f"average_decay: expected 0 or more, below 1, got {decay}")

    def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        share = torch.as_tensor((1 + steps) / (10 + steps)).clamp(max=decay)
        return share * averaged + (1 - share) * current

    return average
