"""Dense maps: a number for every pixel, such as a depth, a height or a dose."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric

from i2i.losses import MaskedL1
from i2i.metrics import (
    delta_accuracy,
    map_errors,
    mean_absolute_error,
    root_mean_square_error,
)
from i2i.nets.style import check_choice
from i2i.spec import MapInfo
from training.pixels import Pixels, Values
from training.tasks.scores import MapScores
from training.tasks.task import Sample, Task, side_by_side

Missing = Literal["error", "ignore"]


class DenseMap(Task):
    """Predicts a number in a unit for every pixel.

    The net and the loss work in [0, 1], from `low` to `high`; scores are in the unit. What of a
    target lies beyond, half of it at most, is learned as it is: the net's output is not clamped.

    Args:
        unit: of the targets, such as "m".
        low: the number that is 0 to the net.
        high: the number that is 1 to the net.
        missing: a number that is NaN or infinite is an `error`, or counts neither in the loss nor
            in the scores: `ignore`, with a loss that knows NaN.
        missing_value: a number that stands for NaN in the files, such as the 0 of a depth camera.
        loss: on (output, target), both (N, H, W) in [0, 1], NaN in the target where it is missing;
            default the mean absolute error.
    """

    name = "dense-map"
    kind = "map"
    needs = "targets"
    monitor = "mae"
    mode = "min"

    def __init__(
        self,
        unit: str,
        low: float,
        high: float,
        missing: Missing = "error",
        missing_value: float | None = None,
        loss: nn.Module | None = None,
    ) -> None:
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"low, high: expected low below high, both finite, got {low}, {high}")
        check_choice("missing", missing, Missing)
        self.unit, self.low, self.high = unit, low, high
        self.missing, self.missing_value = missing, missing_value
        self.loss = loss or MaskedL1()

    def check_sample(self, sample: Sample) -> None:
        if sample.target is None or sample.target.ndim != 2:
            raise ValueError(f"{sample.name}: expected a picture with a map; use data of pairs")
        there = self._known(sample.target)
        missing = np.count_nonzero(~there)
        if self.missing == "error" and missing:
            kinds = "NaN or infinite"
            if self.missing_value is not None:
                kinds += f" or {self.missing_value:g}"
            raise ValueError(
                f"{sample.name}: expected a finite number for every pixel, got {missing} "
                f"that are {kinds}; mend the map, or set missing: ignore"
            )
        known = sample.target[there]
        if 2 * np.count_nonzero((known < self.low) | (known > self.high)) > known.size:
            raise ValueError(
                f"{sample.name}: expected most numbers between {self.low:g} and {self.high:g} "
                f"{self.unit}, got {known.min():g} to {known.max():g}; set --model.task.low, high "
                "and unit, and --model.task.missing_value 0 where 0 means unknown, or bring the "
                "map to this unit"
            )

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        self.check_sample(sample)
        assert sample.target is not None
        known = self._known(sample.target)
        return sample.image, np.where(known, sample.target, np.float32(np.nan))

    def _known(self, target: Values) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = np.isfinite(target)
        return known if self.missing_value is None else known & (target != self.missing_value)

    def net_arguments(self) -> dict[str, Any]:
        return {
            "encoder": {"input_channels": 3},
            "head": {"channels": 1, "scale": 1, "skip": "none"},
        }

    def map_info(self) -> MapInfo:
        return MapInfo(self.unit, self.low, self.high)

    def loss_of(self, output: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = self.loss(output[:, 0], (target - self.low) / (self.high - self.low))
        return loss

    def metrics(self) -> MedianScores:
        return MedianScores(self.low, self.high)

    def baseline(self, image: Pixels) -> None:
        """None: it is the median of the set's targets."""

    def baseline_scores(self, scores: Metric, baseline: Metric) -> dict[str, Tensor]:
        assert isinstance(scores, MedianScores)
        return scores.of_median()

    def show(self, image: Values, output: Values, target: Values) -> Pixels:
        """Output and target in gray from low to high; what is missing is black."""
        grays = [np.nan_to_num((m - self.low) / (self.high - self.low)) for m in (output, target)]
        return side_by_side(image, *(gray[..., None].astype(np.float32) for gray in grays))

    def protocol(self) -> dict[str, Any]:
        return {
            "resolution": "of the pictures",
            "unit": self.unit,
            "missing": self.missing,
            **({} if self.missing_value is None else {"missing_value": self.missing_value}),
            "aggregate": "all known pixels of the set",
        }


class MedianScores(MapScores):
    """The scores of a map, and beside them those of answering the targets' median everywhere.

    The median is that of a histogram of `BINS` bins from low to high, whose ends hold all beyond; a
    bin stands for the mean of its targets, and for their squares.
    """

    BINS = 1000
    counts: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        for state in ("counts", "sums", "squares"):
            empty = torch.zeros(self.BINS, dtype=torch.float64)
            self.add_state(state, empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        super().update(prediction, target)
        known = target[~target.isnan()].double()
        bins = ((known - self.low) / (self.high - self.low) * self.BINS).long()
        bins = bins.clamp(0, self.BINS - 1)
        self.counts += bins.bincount(minlength=self.BINS)
        self.sums += bins.bincount(known, minlength=self.BINS)
        self.squares += bins.bincount(known.square(), minlength=self.BINS)

    def of_median(self) -> dict[str, Tensor]:
        """The scores of the median as the answer for every pixel; NaN without any target."""
        counts = self.counts.cpu()
        values = self.sums.cpu() / counts
        median = values[(counts.cumsum(0) >= counts.sum() / 2).int().argmax()]
        errors = torch.zeros(4, dtype=torch.float64)
        for bin in counts.nonzero()[:, 0]:
            errors += counts[bin] * map_errors(median, values[bin])
        # Of squares, what a bin's targets differ by from their mean is an error too.
        errors[2] += (self.squares.cpu() - counts * values.square()).nansum()
        return {
            "mae": mean_absolute_error(errors),
            "rmse": root_mean_square_error(errors),
            "delta1": delta_accuracy(errors),
        }
