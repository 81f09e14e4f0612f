"""How well outlines are met: the boundary F-score of segmentations."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from i2i.metrics.distances import distance_to
from i2i.metrics.labels import check_label_maps, is_counted


def boundary_f1(
    labels: Tensor, target: Tensor, num_classes: int, tolerance: float = 0.0075, ignore: int = 255
) -> Tensor:
    """Boundary F-score of each class in each picture: Csurka et al., BMVC 2013.

    The boundary of a class are its pixels beside another class (above, below, left or right; the
    picture's edge is no boundary). Precision is the share of the predicted boundary that lies no
    farther from the true one than the tolerance, recall the share of the true one so met.

    A picture's score is the mean over its classes, a set's the mean over its pictures. Perazzi et
    al. (DAVIS, CVPR 2016) measure alike with a tolerance of 0.008, rounded up to whole pixels.

    Args:
        labels: (N, H, W), predicted classes in 0..num_classes - 1.
        target: same shape; pixels that are `ignore` are no part of either side.
        num_classes: K.
        tolerance: as a share of the picture's diagonal, not rounded.
        ignore: the target value of pixels without a true class.

    Returns:
        (N, K) float64: 2 PR / (P + R); 0 where one side alone has a boundary, NaN where neither.

    Raises:
        ValueError: the shapes differ or are not (N, H, W), or the tolerance is below 0.
    """
    check_label_maps(labels, target)
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance: expected a share of the diagonal, got {tolerance}")
    limit = tolerance * math.hypot(*labels.shape[1:])
    counted = is_counted(target, ignore)
    scores = [
        _f1(_outline(labels == k, counted), _outline(target == k, counted), limit)
        for k in range(num_classes)
    ]
    return torch.stack(scores, dim=1)


def _outline(mask: Tensor, counted: Tensor) -> Tensor:
    """Counted pixels of (N, H, W) masks beside a counted one that is not of the mask."""
    other = functional.pad(~mask & counted, (1, 1, 1, 1))
    beside = other[:, 2:, 1:-1] | other[:, :-2, 1:-1] | other[:, 1:-1, 2:] | other[:, 1:-1, :-2]
    return mask & counted & beside


def _f1(found: Tensor, true: Tensor, limit: float) -> Tensor:
    """(N,) harmonic mean of the shares of each outline within `limit` of the other."""
    precision = _share(found & (distance_to(true, limit) <= limit), found)
    recall = _share(true & (distance_to(found, limit) <= limit), true)
    # 0 where a share is 0 / 0, as it is of one side without an outline; NaN where both are.
    f1 = torch.where(precision + recall > 0, 2 * precision * recall / (precision + recall), 0)
    return f1.where(found.flatten(1).any(dim=1) | true.flatten(1).any(dim=1), math.nan)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return part.sum(dim=(1, 2)).double() / whole.sum(dim=(1, 2))
