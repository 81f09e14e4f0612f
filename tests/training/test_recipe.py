"""Objects of a run as plain data, and back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from training.recipe import build, describe, first_difference
from training.tasks import SuperResolution


def test_a_loss_of_torch_can_be_named_and_built_again() -> None:
    task = SuperResolution(2, loss=torch.nn.SmoothL1Loss(beta=0.1))

    again = build(describe(task))

    assert again.loss.beta == 0.1


def test_a_class_without_arguments_needs_none_said() -> None:
    losses = [{"class_path": "i2i.losses.Charbonnier"}, {"class_path": "torch.nn.L1Loss"}]
    both = {"losses": losses, "weights": [1.0, 0.1]}

    assert len(build({"class_path": "i2i.losses.Sum", "init_args": both}).losses) == 2


class Forgetful(torch.nn.Module):
    def __init__(self, strength: float) -> None:
        super().__init__()


def test_an_object_that_does_not_keep_its_arguments_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Forgetful: expected its argument 'strength'"):
        describe(Forgetful(1.0))


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("training.tasks.Nothing", {}),
        ("nowhere.Task", {}),
        ("training.tasks.SuperResolution", {"scael": 2}),
    ],
)
def test_a_description_of_no_class_says_so(path: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{path}: expected a class that takes these arguments"):
        build({"class_path": path, "init_args": arguments})


def test_the_first_difference_of_two_descriptions_is_named() -> None:
    two, three = describe(SuperResolution(2)), describe(SuperResolution(3))

    assert first_difference(two, two, "task") is None
    assert first_difference(two, three, "task") == "task.init_args.scale: expected 2, got 3"
