"""Segmentation: a class for every pixel of a picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from i2i.losses import CrossEntropy, Dice, Focal, Ohem, Sum
from i2i.metrics import boundary_f1, image_iou, object_f1
from i2i.spec import ClassInfo
from i2i.views import overlay, palette
from training.pixels import Pixels, Values, in_colour, to_8_bit
from training.tasks.scores import ClassScores
from training.tasks.task import Sample, Task, side_by_side


class Segmentation(Task):
    """Predicts one of `class_names` for every pixel.

    Args:
        class_names: in the order of their ids in the masks; data with a classes.txt gives them.
        ignore: id of pixels that count neither in the loss nor in the scores.
        loss: on (scores (N, K, H, W), ids (N, H, W)); default cross-entropy plus Dice.
        class_weights: of each class, for the cross-entropy in the loss, also that of Focal and
            Ohem; data with masks can give them.
    """

    name = "segmentation"
    kind = "labels"
    needs = "masks"
    monitor = "mean_iou"
    mode = "max"

    def __init__(
        self,
        class_names: list[str] | None = None,
        ignore: int = 255,
        loss: nn.Module | None = None,
        class_weights: list[float] | None = None,
    ) -> None:
        if class_names is None or len(class_names) < 2:
            raise ValueError(
                f"class_names: expected at least 2, got {class_names}; data with masks give those "
                "of their classes.txt: a name a line, the first of id 0, the background included"
            )
        if not all(isinstance(name, str) for name in class_names):
            raise ValueError(f"class_names: expected words, got {class_names}")
        if "" in class_names or len(set(class_names)) < len(class_names):
            raise ValueError(
                f"class_names: expected different names, none empty, got {class_names}"
            )
        self.class_names, self.ignore = list(class_names), ignore
        self.loss = loss or Sum([CrossEntropy(ignore), Dice(ignore)], [1.0, 1.0])
        for part in self.loss.modules():
            if getattr(part, "ignore", ignore) != ignore:
                raise ValueError(
                    f"ignore: expected the task's {ignore} in its loss too, got {part.ignore} in "
                    f"{type(part).__name__}; give both the same"
                )
        self.class_weights = class_weights
        if class_weights is not None:
            _give_weights(self.loss, class_weights, len(class_names))

    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        if sample.mask is None:
            raise ValueError(f"{sample.name}: expected a picture with a mask; use data with masks")
        return sample.image, sample.mask

    def net_arguments(self) -> dict[str, Any]:
        return {
            "encoder": {"input_channels": 3},
            "head": {"classes": len(self.class_names)},
        }

    def metrics(self) -> ClassScores:
        return ClassScores(self.class_names, self.ignore)

    def baseline(self, image: Pixels) -> None:
        """None: it is the most frequent class of the set."""

    def baseline_scores(self, scores: Metric, baseline: Metric) -> dict[str, Tensor]:
        """Those of the most frequent class; ValueError where the masks hold one class only."""
        assert isinstance(scores, ClassScores)
        scores.check_targets()
        return scores.majority()

    @property
    def mean_scores(self) -> tuple[str, ...]:  # type: ignore[override]
        by_class = (f"iou/{name}" for name in self.class_names)
        return (*by_class, "image_iou", "boundary_f1", "object_f1")

    def read_options(self) -> dict[str, Any]:
        ids = {"num_classes": len(self.class_names), "ignore": self.ignore}
        return super().read_options() | ids

    def picture_scores(self, prediction: Values, target: Values) -> dict[str, float]:
        """The picture's own mean IoU, and the boundary F1 of its classes; of two classes also F1 of
        the objects, connected parts of the second class, at IoU 0.5."""
        pair = torch.from_numpy(prediction)[None], torch.from_numpy(target)[None]
        count = len(self.class_names)
        scores = {
            "image_iou": image_iou(*pair, count, ignore=self.ignore),
            "boundary_f1": boundary_f1(*pair, count, ignore=self.ignore).nanmean(),
        }
        if count == 2:
            scores["object_f1"] = object_f1(*pair, ignore=self.ignore)
        return {name: float(value) for name, value in scores.items()}

    def classes(self) -> tuple[ClassInfo, ...]:
        colours = palette(len(self.class_names))
        return tuple(
            ClassInfo(name, colour) for name, colour in zip(self.class_names, colours, strict=True)
        )

    def show(self, image: Values, output: Values, target: Values) -> Pixels:
        image, colours = to_8_bit(in_colour(image)), palette(len(self.class_names))
        shown = np.where(target == self.ignore, output, target)
        return side_by_side(image, overlay(image, output, colours), overlay(image, shown, colours))

    def protocol(self) -> dict[str, Any]:
        return {
            "resolution": "of the pictures",
            "ignore": self.ignore,
            "aggregate": "one confusion matrix over the set",
        }


def _give_weights(loss: nn.Module, weights: list[float], num_classes: int) -> None:
    """Sets the weights of the cross-entropies of every kind in a loss."""
    if len(weights) != num_classes or not all(0 <= weight < math.inf for weight in weights):
        raise ValueError(
            f"class_weights: expected {num_classes} numbers of at least 0, got {weights}"
        )
    parts = [part for part in loss.modules() if isinstance(part, CrossEntropy | Focal | Ohem)]
    if not parts:
        raise ValueError(
            "class_weights: expected a loss with a CrossEntropy, Focal or Ohem, got "
            f"{type(loss).__name__}; add one, or leave the weights out"
        )
    given = torch.tensor(weights)
    for part in parts:
        # A loss that a checkpoint describes has them already.
        if part.weights is not None and not torch.equal(part.weights, given):
            raise ValueError(
                f"class_weights: expected a {type(part).__name__} without weights of its own, got "
                f"{part.weights.tolist()}; give them once"
            )
        part.weights = given
