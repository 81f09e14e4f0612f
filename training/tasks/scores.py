"""The metrics of the tasks over a data set, whatever the order or size of its batches."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from i2i.metrics import (
    accuracy,
    confusion_matrix,
    delta_accuracy,
    dice,
    iou,
    map_errors,
    mean_absolute_error,
    mean_accuracy,
    precision,
    psnr,
    psnr_y,
    recall,
    root_mean_square_error,
    ssim_y,
)

# dB that a picture counts for at most: one that is met exactly, at infinity, would hide all others.
BEST_PSNR = 100.0
# Of these less is better.
ERRORS = ("mae", "rmse")


def gain(name: str, score: float, trivial: float) -> float:
    """By how much a score is better than the trivial answer's; below 0 where it is worse."""
    return trivial - score if name in ERRORS else score - trivial


class PictureScores(Metric):
    """Mean PSNR and SSIM over pictures, on Y with `border` pixels cut away, and PSNR of RGB."""

    full_state_update = False
    psnr_y: Tensor
    ssim_y: Tensor
    psnr: Tensor
    count: Tensor

    def __init__(self, border: int) -> None:
        super().__init__()
        self.border = border
        for name in ("psnr_y", "ssim_y", "psnr", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Both (N, C, H, W), multiples of 1/255 in [0, 1]."""
        cut = slice(self.border, -self.border or None)
        inside = prediction[..., cut, cut], target[..., cut, cut]
        self.psnr_y += psnr_y(prediction, target, self.border).clamp(max=BEST_PSNR).sum()
        self.ssim_y += ssim_y(prediction, target, self.border).sum()
        self.psnr += psnr(*inside).clamp(max=BEST_PSNR).sum()
        self.count += len(prediction)

    def compute(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) / self.count for name in ("psnr_y", "ssim_y", "psnr")}


def check_ids(seen: set[int], ignore: int, masks: str) -> None:
    """Raises ValueError where masks ignore all but the first class: mostly 0/255, not 0/1.

    Args:
        seen: ids in the masks.
        masks: which they are, for the message.
    """
    if ignore in seen and seen <= {0, ignore}:
        raise ValueError(
            f"{masks}: expected ids of at least two classes, got {sorted(seen)} only, of which "
            f"{ignore} means ignored; masks of 0 and 255 must be saved as 0 and 1, as "
            "docs/tutorial.md shows"
        )


class ClassScores(Metric):
    """IoU, Dice, accuracy, precision and recall of one confusion matrix over the counted pixels."""

    full_state_update = False
    confusion: Tensor
    ignored: Tensor

    def __init__(self, classes: list[str], ignore: int = 255) -> None:
        super().__init__()
        self.classes, self.ignore = classes, ignore
        empty = torch.zeros((len(classes), len(classes)), dtype=torch.int64)
        self.add_state("confusion", empty, dist_reduce_fx="sum")
        self.add_state("ignored", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Both (N, H, W), class ids."""
        self.ignored += (target == self.ignore).sum()
        self.confusion += confusion_matrix(prediction, target, len(self.classes), self.ignore)

    def compute(self) -> dict[str, Tensor]:
        return self._scores(self.confusion)

    def check_targets(self) -> None:
        """Raises ValueError as `check_ids`, for the targets met, unless all were ignored."""
        met = set(self.confusion.sum(dim=1).nonzero().flatten().tolist())
        if met and self.ignored > 0:
            check_ids(met | {self.ignore}, self.ignore, "masks")

    def majority(self) -> dict[str, Tensor]:
        """The scores of answering the most frequent class everywhere, for the same targets."""
        counts = self.confusion.sum(dim=1)
        constant = torch.zeros_like(self.confusion)
        constant[:, counts.argmax()] = counts
        return self._scores(constant)

    def _scores(self, confusion: Tensor) -> dict[str, Tensor]:
        by_class = {
            "iou": iou(confusion),
            "precision": precision(confusion),
            "recall": recall(confusion),
        }
        scores = {
            "mean_iou": by_class["iou"].nanmean(),
            "mean_dice": dice(confusion).nanmean(),
            "accuracy": accuracy(confusion),
            "mean_accuracy": mean_accuracy(confusion),
        }
        return scores | {
            f"{score}/{name}": values[i]
            for score, values in by_class.items()
            for i, name in enumerate(self.classes)
        }


class MapScores(Metric):
    """Mean absolute error, its root mean square and delta 1, over all values that are known."""

    full_state_update = False
    errors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("errors", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Two of one shape, in the unit of the map; NaN in the target where nothing is known."""
        self.errors += map_errors(prediction, target)

    def compute(self) -> dict[str, Tensor]:
        return {
            "mae": mean_absolute_error(self.errors),
            "rmse": root_mean_square_error(self.errors),
            "delta1": delta_accuracy(self.errors),
        }
