from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from i2i.nets.convolutions import (
    conv2d,
    conv_transpose2d,
    styled_convolution,
    styled_transposed_convolution,
)
from i2i.nets.style import Initialisation, Padding, Style

Array = NDArray[np.float64]
PADDINGS: tuple[Padding, ...] = get_args(Padding)


@settings(max_examples=40)
@given(
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99)
)
def test_the_transposed_convolution_is_the_adjoint_of_the_strided_one(
    inputs: int, outputs: int, rows: int, columns: int, seed: int
) -> None:
    torch.manual_seed(seed)
    down = styled_convolution(inputs, outputs, Style(), kernel_size=4, stride=2)[0].double()
    up = styled_transposed_convolution(outputs, inputs, Style())[0].double()
    # A convolution has its weights as (outputs, inputs, …); so has its adjoint, the other way.
    up.load_state_dict({"weight": down.weight, "bias": torch.zeros(inputs)})
    x = torch.randn(1, inputs, 2 * rows, 2 * columns, dtype=torch.float64)
    y = torch.randn(1, outputs, rows, columns, dtype=torch.float64)

    with torch.no_grad():
        torch.testing.assert_close((down(x) * y).sum(), (x * up(y)).sum())


def columns_of(picture: Array, kernel: int, stride: int, padding: int, dilation: int) -> Array:
    """im2col: (C, H, W) → (C · kernel², windows), a column for each place of the kernel."""
    height, width = picture.shape[1:]
    padded = np.pad(picture, ((0, 0), (padding, padding), (padding, padding)))
    reach = dilation * (kernel - 1)
    places = [
        padded[:, y : y + reach + 1 : dilation, x : x + reach + 1 : dilation].ravel()
        for y in range(0, height + 2 * padding - reach, stride)
        for x in range(0, width + 2 * padding - reach, stride)
    ]
    return np.stack(places, axis=1)


def picture_of(
    columns: Array,
    shape: tuple[int, int, int],
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
) -> Array:
    """col2im: the sum of the columns, each put back in its place: the adjoint of im2col."""
    channels, height, width = shape
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding))
    reach = dilation * (kernel - 1)
    places = [
        (y, x)
        for y in range(0, height + 2 * padding - reach, stride)
        for x in range(0, width + 2 * padding - reach, stride)
    ]
    for (y, x), column in zip(places, columns.T, strict=True):
        window = padded[:, y : y + reach + 1 : dilation, x : x + reach + 1 : dilation]
        window += column.reshape(window.shape)
    return padded[:, padding : padding + height, padding : padding + width]


@settings(max_examples=25)
@given(
    st.sampled_from([(1, 1, 1), (3, 1, 1), (3, 1, 2), (5, 1, 1), (4, 2, 1)]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_a_convolution_and_its_gradients_are_those_of_im2col(
    shape: tuple[int, int, int], inputs: int, outputs: int, rows: int, columns: int, seed: int
) -> None:
    kernel, stride, dilation = shape
    torch.manual_seed(seed)
    layer = conv2d(inputs, outputs, kernel, stride=stride, dilation=dilation).double()
    x = torch.randn(1, inputs, stride * rows, stride * columns, dtype=torch.float64)
    x.requires_grad_()
    y = layer(x)
    slope = torch.randn_like(y)
    y.backward(slope)

    padding = (dilation * (kernel - 1) + 1 - stride + 1) // 2
    seen = columns_of(x[0].detach().numpy(), kernel, stride, padding, dilation)
    weight, bias = layer.weight.detach().numpy().reshape(outputs, -1), layer.bias
    assert bias is not None
    flat = slope[0].numpy().reshape(outputs, -1)
    close(y, weight @ seen + bias.detach().numpy()[:, None])
    close(layer.weight.grad, flat @ seen.T)
    close(bias.grad, flat.sum(axis=1))
    place = kernel, stride, padding, dilation
    close(x.grad, picture_of(weight.T @ flat, (inputs, stride * rows, stride * columns), *place))


@settings(max_examples=25)
@given(
    st.sampled_from([(4, 2), (8, 4), (9, 3)]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_a_transposed_convolution_and_its_gradients_are_those_of_im2col(
    shape: tuple[int, int], inputs: int, outputs: int, rows: int, columns: int, seed: int
) -> None:
    kernel, stride = shape
    torch.manual_seed(seed)
    layer = conv_transpose2d(inputs, outputs, kernel, stride).double()
    x = torch.randn(1, inputs, rows, columns, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    slope = torch.randn_like(y)
    y.backward(slope)

    place = kernel, stride, (kernel - stride) // 2, 1
    weight, bias = layer.weight.detach().numpy().reshape(inputs, -1), layer.bias
    assert bias is not None
    flat = x[0].detach().numpy().reshape(inputs, -1)
    seen = columns_of(slope[0].numpy(), *place)
    expected = picture_of(weight.T @ flat, (outputs, stride * rows, stride * columns), *place)
    close(y, expected + bias.detach().numpy()[:, None, None])
    close(layer.weight.grad, flat @ seen.T)
    close(bias.grad, slope.numpy().sum(axis=(0, 2, 3)))
    close(x.grad, weight @ seen)


def close(got: Tensor | None, expected: Array) -> None:
    assert got is not None
    np.testing.assert_allclose(got.detach().numpy().ravel(), expected.ravel(), atol=1e-10)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (4, 2)])
def test_the_grid_of_a_convolution_is_symmetric(
    kernel_size: int, stride: int, transposed: bool, padding: Padding
) -> None:
    layer: nn.Conv2d | nn.ConvTranspose2d = conv2d(
        1, 1, kernel_size, stride=stride, padding=padding
    )
    if transposed:
        layer = conv_transpose2d(1, 1, kernel_size, stride, padding=padding)
    with torch.no_grad():
        layer.weight.copy_((layer.weight + layer.weight.flip(2, 3)) / 2)
        image = torch.rand(1, 1, 8, 12)

        turned = layer(image.flip(2, 3)).flip(2, 3)
        torch.testing.assert_close(turned, layer(image))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("initialisation", "power"), [("he", 2), ("orthogonal", 2), ("lecun", 1), ("xavier", 1)]
)
def test_a_convolution_starts_with_the_power_its_name_says(
    initialisation: Initialisation, power: float, transposed: bool
) -> None:
    torch.manual_seed(0)
    style = Style(initialisation=initialisation)
    layer = styled_convolution(64, 64, style, kernel_size=4, stride=2)
    # Twice the power: half of it is lost in the activation. xavier's is the mean of both ways.
    expected = power
    if transposed:
        layer = styled_transposed_convolution(64, 64, style)
    if initialisation == "xavier":
        expected = 2 / (1 + 4) if transposed else 2 / (1 + 1 / 4)

    with torch.no_grad():
        got = layer(torch.randn(4, 64, 16, 16))[..., 1:-1, 1:-1].square().mean()
    assert got == pytest.approx(expected, rel=0.15)


def test_orthogonal_weights_keep_directions_apart() -> None:
    layer = styled_convolution(8, 6, Style(initialisation="orthogonal"), kernel_size=1)[0]
    assert isinstance(layer, nn.Conv2d)
    rows = layer.weight.detach().flatten(1)

    product = rows @ rows.T
    torch.testing.assert_close(product, product[0, 0] * torch.eye(6))
