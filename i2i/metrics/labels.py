"""How good labels are: scores of one confusion matrix, whichever pictures it counts.

Add up the matrices of all pictures, then score the sum; `image_iou` alone scores each picture.
"""

from __future__ import annotations

import torch
from torch import Tensor


def confusion_matrix(labels: Tensor, target: Tensor, num_classes: int, ignore: int = 255) -> Tensor:
    """How many pixels of each class were given each label; matrices of several batches add up.

    Args:
        labels: predicted classes, integers in 0..num_classes - 1, any shape.
        target: true classes, same shape; pixels that are `ignore` do not count.
        num_classes: K.
        ignore: the target value of pixels without a true class.

    Returns:
        (K, K) int64, rows the true classes, columns the labels.

    Raises:
        ValueError: the shapes differ, or a value is no class.
    """
    if labels.shape != target.shape:
        raise ValueError(
            f"expected labels of shape {tuple(target.shape)}, got {tuple(labels.shape)}"
        )
    counted = is_counted(target, ignore)
    truth, label = target[counted].long(), labels[counted].long()
    for name, values in (("labels", label), ("target", truth)):
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < num_classes:
            raise ValueError(
                f"expected {name} in 0..{num_classes - 1} (or {ignore} in the target, to ignore), "
                f"got {int(values.min())}..{int(values.max())}"
            )
    pairs = torch.bincount(truth * num_classes + label, minlength=num_classes**2)
    return pairs.view(num_classes, num_classes)


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, (K,) float64; NaN where labels and target lack it."""
    hits, union = _hits_and_union(confusion)
    return hits / union


def mean_iou(confusion: Tensor) -> Tensor:
    """Mean of `iou` over the classes in the labels or the target; NaN without any pixel."""
    return iou(confusion).nanmean()


def dice(confusion: Tensor) -> Tensor:
    """Dice coefficient of each class, (K,) float64; NaN where labels and target lack it."""
    hits, union = _hits_and_union(confusion)
    return 2 * hits / (union + hits)


def precision(confusion: Tensor) -> Tensor:
    """Share of the pixels labelled a class that are of it, (K,) float64; NaN without any."""
    counts = confusion.double()
    return counts.diagonal() / counts.sum(dim=0)


def recall(confusion: Tensor) -> Tensor:
    """Share of a class's pixels that are labelled so, (K,) float64; NaN without any."""
    counts = confusion.double()
    return counts.diagonal() / counts.sum(dim=1)


def accuracy(confusion: Tensor) -> Tensor:
    """Share of the counted pixels that have their true class; NaN without any pixel."""
    counts = confusion.double()
    return counts.diagonal().sum() / counts.sum()


def mean_accuracy(confusion: Tensor) -> Tensor:
    """Mean of `recall` over the classes in the target; NaN without any pixel."""
    return recall(confusion).nanmean()


def image_iou(labels: Tensor, target: Tensor, num_classes: int, ignore: int = 255) -> Tensor:
    """Mean IoU of each picture over the classes in its labels or target.

    Small pictures and small objects count as much as large ones: of a set, take the mean.

    Args:
        labels: (N, H, W), predicted classes in 0..num_classes - 1.
        target: same shape; pixels that are `ignore` do not count.
        num_classes: K.
        ignore: the target value of pixels without a true class.

    Returns:
        (N,) float64; NaN for a picture without a counted pixel.

    Raises:
        ValueError: the shapes differ or are not (N, H, W), or a value is no class.
    """
    check_label_maps(labels, target)
    pairs = zip(labels, target, strict=True)
    return torch.stack([mean_iou(confusion_matrix(*pair, num_classes, ignore)) for pair in pairs])


def check_label_maps(labels: Tensor, target: Tensor) -> None:
    """Raises ValueError where these are not two (N, H, W) of one shape."""
    if labels.ndim != 3 or labels.shape != target.shape:
        raise ValueError(
            f"expected two (N, H, W) tensors of one shape, "
            f"got {tuple(labels.shape)} and {tuple(target.shape)}"
        )


def is_counted(target: Tensor, ignore: int) -> Tensor:
    """Where the target is a true class: not `ignore`, which an integer type may be unable to hold.

    Compared in int64, for uint8 takes -100 for 156.
    """
    return target.long() != ignore


def _hits_and_union(confusion: Tensor) -> tuple[Tensor, Tensor]:
    counts = confusion.double()
    hits = counts.diagonal()
    return hits, counts.sum(dim=0) + counts.sum(dim=1) - hits
