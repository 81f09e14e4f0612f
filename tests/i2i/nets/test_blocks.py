from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from i2i.nets.blocks import ResidualBlock, convolution
from i2i.nets.heads import enlargement


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99)
)
def test_the_transposed_convolution_is_the_adjoint_of_the_strided_one(
    inputs: int, outputs: int, rows: int, columns: int, seed: int
) -> None:
    torch.manual_seed(seed)
    down = convolution(inputs, outputs, Style(), kernel_size=4, stride=2)[0].double()
    up = transposed_convolution(outputs, inputs, Style())[0].double()
    # A convolution has its weights as (outputs, inputs, …); so has its adjoint, the other way.
    up.load_state_dict({"weight": down.weight, "bias": torch.zeros(inputs)})
    x = torch.randn(1, inputs, 2 * rows, 2 * columns, dtype=torch.float64)
    y = torch.randn(1, outputs, rows, columns, dtype=torch.float64)

    with torch.no_grad():
        torch.testing.assert_close((down(x) * y).sum(), (x * up(y)).sum())


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (4, 2)])
def test_the_grid_of_a_convolution_is_symmetric(
    kernel_size: int, stride: int, transposed: bool
) -> None:
    layer = convolution(1, 1, kernel_size=kernel_size, stride=stride, transposed=transposed)
    weight = layer[0].weight
    assert isinstance(weight, torch.Tensor)
    with torch.no_grad():
        weight.copy_((weight + weight.flip(2, 3)) / 2)
        image = torch.rand(1, 1, 8, 12)

        turned = layer(image.flip(2, 3)).flip(2, 3)
        torch.testing.assert_close(turned, layer(image))


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6, 8])
def test_the_last_enlargement_is_symmetric_and_treats_its_outputs_alike(stride: int) -> None:
    layer = enlargement(1, 1, stride)
    kernel = layer.kernel_size[0]
    nn.init.ones_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)

    assert layer(torch.rand(1, 1, 5, 7)).shape == (1, 1, 5 * stride, 7 * stride)
    if stride > 1:
        # As many taps at every output pixel, or the output shows a checkerboard.
        assert kernel % stride == 0
        inside = layer(torch.ones(1, 1, 9, 9))[0, 0, 3 * stride : -3 * stride, 3 * stride]
        torch.testing.assert_close(inside, torch.full_like(inside, (kernel // stride) ** 2))
    image = torch.rand(1, 1, 5, 5)
    torch.testing.assert_close(layer(image.flip(2, 3)).flip(2, 3), layer(image))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_keeps_the_power_of_what_it_gets(transposed: bool) -> None:
    torch.manual_seed(0)
    layer = convolution(64, 64, kernel_size=4, stride=2, transposed=transposed)

    with torch.no_grad():
        # Twice the power: half of it is lost in the activation.
        power = layer(torch.randn(4, 64, 16, 16))[..., 1:-1, 1:-1].square().mean()
    assert power == pytest.approx(2, rel=0.15)


def test_a_deep_stack_of_new_blocks_is_near_the_identity() -> None:
    torch.manual_seed(0)
    blocks = nn.Sequential(*(ResidualBlock(16) for _ in range(8)))
    x = torch.randn(1, 16, 12, 12)

    with torch.no_grad():
        assert (blocks(x) - x).square().mean() < 0.5
