from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy import ndimage
from skimage import measure
from torch import Tensor
from torch.overrides import TorchFunctionMode

from i2i import metrics
from i2i.metrics.objects import _components
from tests.i2i.metrics.makers import blobs, seeds


def object_f1_by_loops(labels: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> float:
    counted = target != 255
    found, num_found = measure.label((labels == 1) & counted, connectivity=2, return_num=True)
    true, num_true = measure.label(target == 1, connectivity=2, return_num=True)
    matches = 0
    for a in range(1, num_found + 1):
        for b in range(1, num_true + 1):
            shared = ((found == a) & (true == b)).sum()
            matches += int(shared / ((found == a) | (true == b)).sum() > 0.5)
    return 2 * matches / (num_found + num_true) if num_found + num_true else float("nan")


@settings(max_examples=25)
@given(seeds)
def test_objects_are_matched_as_by_hand(seed: int) -> None:
    labels, target = blobs(seed)

    expected = [
        object_f1_by_loops(*pair) for pair in zip(labels.numpy(), target.numpy(), strict=True)
    ]
    assert metrics.object_f1(labels, target).tolist() == pytest.approx(expected, nan_ok=True)


def picture_of(*rows: str) -> Tensor:
    return torch.tensor([[[int(x == "#") for x in row] for row in rows]])


def test_a_diagonal_line_is_one_object() -> None:
    line = picture_of("#..", ".#.", "..#")
    half = picture_of("#..", ".#.", "...")

    assert metrics.object_f1(half, line).tolist() == [1]
    assert metrics.object_f1(half, line, threshold=0.7).tolist() == [0]


def test_half_an_overlap_is_no_match() -> None:
    assert metrics.object_f1(picture_of("##.."), picture_of("####")).tolist() == [0]
    assert metrics.object_f1(picture_of("###."), picture_of("####")).tolist() == [1]


def snake(side: int) -> Tensor:
    turns = "." * (side - 1) + "#", "#" + "." * (side - 1)
    return picture_of(*("#" * side if y % 2 == 0 else turns[y // 2 % 2] for y in range(side)))


def test_a_winding_object_is_one() -> None:
    winding = snake(13)

    assert metrics.object_f1(winding, winding).tolist() == [1]
    assert metrics.object_f1(torch.zeros_like(winding), winding).tolist() == [0]
    assert metrics.object_f1(winding * 0, winding * 0).isnan().all()


class Counted(TorchFunctionMode):
    """Counts the operations of torch."""

    operations = 0

    def __torch_function__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return function(*args, **kwargs or {})


def test_the_work_hardly_grows_with_the_length_of_an_object() -> None:
    with Counted() as short:
        metrics.object_f1(snake(9), snake(9))
    with Counted() as long:
        metrics.object_f1(snake(129), snake(129))
    assert long.operations < 2 * short.operations


@pytest.mark.parametrize("share", [0.2, 0.41, 0.6])
def test_objects_are_numbered_as_scipy_numbers_them(share: float) -> None:
    mask = torch.rand(3, 90, 110, generator=torch.Generator().manual_seed(0)) < share

    numbers, counts = _components(mask)
    for picture, number, count in zip(mask.numpy(), numbers.numpy(), counts, strict=True):
        expected, num_expected = ndimage.label(picture, np.ones((3, 3)))
        assert count == num_expected
        pairs = {*zip(number[picture], expected[picture], strict=True)}
        assert len(pairs) == num_expected


@settings(max_examples=20)
@given(seeds)
def test_a_picture_scores_the_same_in_any_batch(seed: int) -> None:
    labels, target = blobs(seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))

    together = metrics.object_f1(labels, target)
    alone = [metrics.object_f1(labels[n : n + 1], target[n : n + 1]).item() for n in range(4)]
    assert together.tolist() == pytest.approx(alone, nan_ok=True)
    shuffled = metrics.object_f1(labels[order], target[order])
    torch.testing.assert_close(shuffled, together[order], equal_nan=True)


def test_what_cannot_be_measured_is_refused() -> None:
    pair = torch.zeros(1, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"\(N, H, W\) .* got \(4, 4\)"):
        metrics.object_f1(pair[0], pair[0])
    with pytest.raises(ValueError, match=r"\[0.5, 1\), got 0.4"):
        metrics.object_f1(pair, pair, threshold=0.4)
