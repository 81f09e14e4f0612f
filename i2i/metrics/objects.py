"""How well objects are found: connected regions of labels, matched one by one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from i2i.metrics.labels import check_label_maps, is_counted


def object_f1(labels: Tensor, target: Tensor, threshold: float = 0.5, ignore: int = 255) -> Tensor:
    """F1 of the objects found in each image: connected regions of class 1 matched by their overlap.

    A region is connected over edges and corners (8 neighbours): a diagonal line is one object. A
    predicted and a true object match if the intersection over union of their pixels exceeds the
    threshold; from 0.5 on, no object can match two.

    Args:
        labels: (N, H, W), 1 on the objects and 0 elsewhere.
        target: same shape; pixels that are `ignore` count for neither side.
        threshold: in [0.5, 1).
        ignore: the target value of pixels without a true class.

    Returns:
        (N,) float64: 2 TP / (2 TP + FP + FN); NaN for an image without any object.

    Raises:
        ValueError: the shapes differ or are not (N, H, W), or the threshold is outside its range.
    """
    check_label_maps(labels, target)
    if not 0.5 <= threshold < 1:
        raise ValueError(f"expected a threshold in [0.5, 1), got {threshold}")
    counted = is_counted(target, ignore)
    found, num_found = _components((labels == 1) & counted)
    true, num_true = _components((target == 1) & counted)
    return 2 * _num_matches(found, true, threshold) / (num_found + num_true).double()


def _components(mask: Tensor) -> tuple[Tensor, Tensor]:
    """(N, H, W) a number for each connected region, 0 outside; and (N,) how many regions."""
    places = torch.arange(1, mask.numel() + 1, device=mask.device).view_as(mask) * mask
    numbers = places
    while True:
        padded = functional.pad(numbers, (1, 1, 1, 1))
        largest = padded.unfold(1, 3, 1).amax(-1).unfold(2, 3, 1).amax(-1) * mask
        if torch.equal(largest, numbers):
            return numbers, ((numbers == places) & mask).sum(dim=(1, 2))
        # All pixels of a number take the largest that one of them sees, and what that one took. A
        # number that none joins now has a neighbour that joined a larger one, and follows in the
        # next round: two rounds halve the numbers of a region, whatever its shape.
        taken = functional.pad(places.flatten(), (1, 0))
        taken.scatter_reduce_(0, numbers.flatten(), largest.flatten(), "amax")
        while not torch.equal(further := taken[taken], taken):
            taken = further
        numbers = taken[numbers]


def _num_matches(found: Tensor, true: Tensor, threshold: float) -> Tensor:
    """(N,) how many regions of the two numberings overlap by more than the threshold."""
    size = found.numel() + 1
    shared = (found > 0) & (true > 0)
    keys = found[shared] * size + true[shared]
    # torch leaves `unique` untyped, which only strict checking minds.
    pairs, overlap = keys.unique(return_counts=True)  # type: ignore[no-untyped-call,unused-ignore]
    first, second = pairs // size, pairs % size
    union = found.flatten().bincount()[first] + true.flatten().bincount()[second] - overlap
    matched: Tensor = first[overlap / union.double() > threshold]
    images = (matched - 1) // found[0].numel()
    return images.bincount(minlength=len(found))
