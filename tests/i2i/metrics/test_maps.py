from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor
from torchmetrics.functional import mean_absolute_error as reference_mae
from torchmetrics.functional import mean_squared_error as reference_mse

from i2i.metrics import delta_accuracy, map_errors, mean_absolute_error, root_mean_square_error
from tests.i2i.metrics.makers import seeds


def maps(seed: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    output, target = 0.1 + torch.rand(2, 3, 1, 9, 7, generator=random)
    target[torch.rand(target.shape, generator=random) < 0.2] = torch.nan
    return output, target


@settings(max_examples=20)
@given(seeds)
def test_errors_are_those_of_the_known_values(seed: int) -> None:
    output, target = maps(seed)
    x, y = (values[~target.isnan()] for values in (output, target))

    errors = map_errors(output, target)
    assert errors[0] == len(x)
    assert mean_absolute_error(errors).item() == pytest.approx(reference_mae(x, y).item())
    expected = reference_mse(x, y, squared=False).item()
    assert root_mean_square_error(errors).item() == pytest.approx(expected)
    expected = torch.maximum(x / y, y / x).lt(1.25).double().mean().item()
    assert delta_accuracy(errors).item() == pytest.approx(expected)


@given(seeds)
def test_tables_add_up_over_any_batches(seed: int) -> None:
    output, target = maps(seed)

    parts = [map_errors(output[n], target[n]) for n in (2, 0, 1)]
    torch.testing.assert_close(sum(parts, torch.zeros(4)), map_errors(output, target))


def test_numbers_of_0_and_below_are_within_no_factor() -> None:
    output = torch.tensor([0.0, -1.0, 1.0, 2.0])

    assert delta_accuracy(map_errors(output, output)).item() == 0.5


def test_nothing_known_scores_nan() -> None:
    errors = map_errors(torch.ones(2), torch.full((2,), torch.nan))

    for score in (mean_absolute_error, root_mean_square_error, delta_accuracy):
        assert score(errors).isnan()


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\), got \(3,\)"):
        map_errors(torch.ones(3), torch.ones(2))
