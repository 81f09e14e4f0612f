"""How far scores can be believed: intervals over sets drawn from the pictures, with replacement.

Efron, Annals of Statistics 7(1), 1979: the percentile bootstrap. Pictures are drawn, not pixels, as
those of one picture are alike. A score of the whole set is computed from each drawn set's sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from i2i.metrics import calibration_error
from training.tasks import Task

Scores = dict[str, float]
Weights = NDArray[np.int64]
# The scores of many sets: one number of each.
Drawn = dict[str, NDArray[np.float64]]
_Value = TypeVar("_Value", float, NDArray[np.float64])

DRAWS = 10_000
# Draws that are scored at once; of 150 classes their sums take 18 MB.
_AT_ONCE = 100
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
        self.sums = {name: _doubles([p["sums"][name] for p in pictures]) for name in names}
        self.values = {
            name: _doubles([p["scores"].get(name, math.nan) for p in pictures])
            for name in task.mean_scores
        }

    def scores(self, weights: Weights | None = None) -> Scores:
        """Those of the set, those that are means over pictures, and how wrong confidences are.

        What is no number is left out, such as the score of a class that is nowhere.
        """
        scores = self._scores(self._every_one() if weights is None else _doubles(weights))
        return finite({name: float(value) for name, value in scores.items()})

    def scores_of_draws(self, draws: Weights) -> Drawn:
        """`scores` of many sets, weights (D, pictures); (D,) each, not finite where it is none."""
        try:
            scores = torch.vmap(self._scores)(_doubles(draws))
        except (RuntimeError, ValueError):
            # The metric of a task may branch on its values, which only one set at a time can.
            each = [self.scores(weights) for weights in draws]
            return {n: np.array([one.get(n, math.nan) for one in each]) for n in self.scores()}
        return {name: values.numpy() for name, values in scores.items()}

    def metric(self, weights: Tensor | None = None) -> Metric:
        """The task's metric as if it had seen the pictures so often; each once by default."""
        weights = self._every_one() if weights is None else weights
        metric = self.task.metrics()
        sums = {n: torch.tensordot(weights, s, 1) for n, s in self.sums.items() if n != RELIABILITY}
        metric.merge_state(sums)
        return metric

    def _every_one(self) -> Tensor:
        return torch.ones(self.count, dtype=torch.float64)

    def _scores(self, weights: Tensor) -> dict[str, Tensor]:
        # torchmetrics wraps an instance's `compute`, and warns there that it saw no `update`.
        metric = self.metric(weights)
        computed = type(metric).compute(metric)
        scores = {n: torch.as_tensor(value, dtype=torch.float64) for n, value in computed.items()}
        if RELIABILITY in self.sums:
            table = torch.tensordot(weights, self.sums[RELIABILITY], 1)
            scores["calibration_error"] = calibration_error(table)
        for name, values in self.values.items():
            known = values.isfinite()
            total, counted = weights @ values.where(known, 0.0), weights @ known.double()
            scores[f"picture_mean/{name}"] = total / counted
        return scores


def intervals(tally: Tally) -> dict[str, list[float]]:
    """Lower and upper end of each score's 95 % interval; empty of a single picture."""
    if tally.count < 2:
        return {}
    return _percentiles(tally.scores_of_draws(draws) for draws in _draws(tally.count))


def paired_differences(one: Tally, other: Tally) -> dict[str, tuple[float, list[float]]]:
    """`one` - `other`: each score's difference, and its interval where both draw alike.

    Args:
        one, other: of the same pictures in the same order.
    """
    between = _difference(one.scores(), other.scores())
    unknown = [math.nan, math.nan]
    if one.count < 2:
        return {name: (value, unknown) for name, value in between.items()}
    ends = _percentiles(
        _difference(one.scores_of_draws(draws), other.scores_of_draws(draws))
        for draws in _draws(one.count)
    )
    return {name: (value, ends.get(name, unknown)) for name, value in between.items()}


def finite(scores: Scores) -> Scores:
    """Those that are numbers: JSON has no word for the others."""
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _doubles(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values, np.float64))


def _difference(one: dict[str, _Value], other: dict[str, _Value]) -> dict[str, _Value]:
    return {name: one[name] - other[name] for name in one if name in other}


def _draws(count: int) -> Iterator[Weights]:
    random = np.random.default_rng(SEED)
    for _ in range(DRAWS // _AT_ONCE):
        yield random.multinomial(count, np.full(count, 1 / count), size=_AT_ONCE)


def _percentiles(blocks: Iterator[Drawn]) -> dict[str, list[float]]:
    values: dict[str, list[NDArray[np.float64]]] = {}
    for drawn in blocks:
        for name, scores in drawn.items():
            values.setdefault(name, []).append(scores[np.isfinite(scores)])
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    joined = {name: np.concatenate(each) for name, each in values.items()}
    return {name: np.quantile(each, ends).tolist() for name, each in joined.items() if each.size}
