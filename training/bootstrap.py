"""How far scores can be believed: intervals over sets drawn from the pictures, with replacement.

Efron, Annals of Statistics 7(1), 1979: the percentile bootstrap. Pictures are drawn, not pixels, as
those of one picture are alike. A score of the whole set is computed from each drawn set's sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics import Metric

from i2i.metrics import calibration_error
from training.tasks import Task

Scores = dict[str, float]
Weights = NDArray[np.int64]

DRAWS = 1000
LEVEL = 0.95
SEED = 0
# The sums of `i2i.metrics.reliability`, beside those of the task's metric.
RELIABILITY = "reliability"


class Tally:
    """The scores of a set as a function of how often each of its pictures counts.

    Args:
        pictures: plain data: each has `scores` by name, and `sums`, the states of its metric.
    """

    def __init__(self, task: Task, pictures: Sequence[dict[str, Any]]) -> None:
        self.task, self.count = task, len(pictures)
        names = pictures[0]["sums"]
        self.sums = {name: np.array([p["sums"][name] for p in pictures]) for name in names}
        self.values = {
            name: np.array([p["scores"].get(name, math.nan) for p in pictures])
            for name in task.mean_scores
        }

    def scores(self, weights: Weights | None = None) -> Scores:
        """Those of the set, those that are means over pictures, and how wrong confidences are.

        What is no number is left out, such as the score of a class that is nowhere.
        """
        if weights is None:
            weights = np.ones(self.count, np.int64)
        # torchmetrics wraps an instance's `compute`, and warns there that it saw no `update`.
        metric = self.metric(weights)
        scores = {name: float(value) for name, value in type(metric).compute(metric).items()}
        if RELIABILITY in self.sums:
            table = torch.from_numpy(np.tensordot(weights, self.sums[RELIABILITY], 1))
            scores["calibration_error"] = float(calibration_error(table))
        for name, values in self.values.items():
            known = np.isfinite(values)
            counted = weights[known].sum()
            if counted:
                scores[f"picture_mean/{name}"] = float(weights[known] @ values[known] / counted)
        return finite(scores)

    def metric(self, weights: Weights) -> Metric:
        """The task's metric as if it had seen the pictures so often."""
        metric = self.task.metrics()
        sums = {n: np.tensordot(weights, s, 1) for n, s in self.sums.items() if n != RELIABILITY}
        metric.merge_state({name: torch.as_tensor(value) for name, value in sums.items()})
        return metric


def intervals(tally: Tally) -> dict[str, list[float]]:
    """Lower and upper end of each score's 95 % interval; empty of a single picture."""
    if tally.count < 2:
        return {}
    return _percentiles(tally.scores(weights) for weights in _draws(tally.count))


def paired_differences(one: Tally, other: Tally) -> dict[str, tuple[float, list[float]]]:
    """`one` - `other`: each score's difference, and its interval where both draw alike.

    Args:
        one, other: of the same pictures in the same order.
    """
    between = _difference(one.scores(), other.scores())
    if one.count < 2:
        return {name: (value, [math.nan, math.nan]) for name, value in between.items()}
    ends = _percentiles(
        _difference(one.scores(weights), other.scores(weights)) for weights in _draws(one.count)
    )
    return {name: (value, ends[name]) for name, value in between.items()}


def finite(scores: Scores) -> Scores:
    """Those that are numbers: JSON has no word for the others."""
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _difference(one: Scores, other: Scores) -> Scores:
    return {name: one[name] - other[name] for name in one if name in other}


def _draws(count: int) -> Iterator[Weights]:
    random = np.random.default_rng(SEED)
    yield from random.multinomial(count, np.full(count, 1 / count), size=DRAWS)


def _percentiles(drawn: Iterator[Scores]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for scores in drawn:
        for name, value in scores.items():
            values.setdefault(name, []).append(value)
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    return {name: np.quantile(each, ends).tolist() for name, each in values.items()}
