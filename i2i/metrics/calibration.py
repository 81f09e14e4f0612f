"""How far confidences can be believed: the table of a reliability diagram, and its error."""

from __future__ import annotations

import torch
from torch import Tensor

from i2i.metrics.labels import is_counted


def reliability(
    confidence: Tensor, labels: Tensor, target: Tensor, num_bins: int = 15, ignore: int = 255
) -> Tensor:
    """Pixels, hits and confidence in bins of like confidence; tables of several batches add up.

    Args:
        confidence: probability of each pixel's label, in [0, 1], any shape.
        labels: predicted classes, same shape.
        target: true classes, same shape; pixels that are `ignore` do not count.
        num_bins: of equal width; a bin holds its upper end, not its lower one.
        ignore: the target value of pixels without a true class.

    Returns:
        (num_bins, 3) float64: number of pixels, of those labelled rightly, sum of confidences.

    Raises:
        ValueError: the shapes differ, or a confidence is outside [0, 1].
    """
    if not confidence.shape == labels.shape == target.shape:
        shapes = ", ".join(str(tuple(part.shape)) for part in (confidence, labels, target))
        raise ValueError(f"expected three tensors of one shape, got {shapes}")
    if num_bins < 1:
        raise ValueError(f"num_bins: expected at least 1, got {num_bins}")
    counted = is_counted(target, ignore)
    sure, right = confidence[counted].double(), (labels == target)[counted].double()
    if not ((sure >= 0) & (sure <= 1)).all():
        got = f"{sure.min():.3g} to {sure.max():.3g}"
        raise ValueError(f"expected confidences in [0, 1], got {got}; take the softmax first")
    places = (torch.ceil(sure * num_bins).long() - 1).clamp(min=0)
    columns = torch.stack([torch.ones_like(sure), right, sure], dim=1)
    return columns.new_zeros(num_bins, 3).index_add_(0, places, columns)


def calibration_error(table: Tensor) -> Tensor:
    """Expected calibration error of a table of `reliability`: Guo et al., arXiv 1706.04599.

    Mean over pixels of how far the accuracy of their bin is from its confidence, in [0, 1]; NaN
    without any pixel.
    """
    pixels, hits, confidence = table.unbind(dim=1)
    return (hits - confidence).abs().sum() / pixels.sum()
