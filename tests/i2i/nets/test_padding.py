from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from i2i.nets.convolutions import conv2d, conv_transpose2d
from i2i.nets.style import Padding

PADDINGS: tuple[Padding, ...] = get_args(Padding)


def layers(padding: Padding) -> dict[str, nn.Module]:
    """A layer of each shape in use, 2 → 3 channels."""
    return {
        "1 x 1": conv2d(2, 3, 1, padding=padding),
        "3 x 3": conv2d(2, 3, padding=padding),
        "3 x 1": conv2d(2, 3, (3, 1), padding=padding),
        "dilated": conv2d(2, 3, dilation=3, padding=padding),
        "strided": conv2d(2, 3, 4, stride=2, padding=padding),
        "x 2": conv_transpose2d(2, 3, 4, 2, padding=padding),
        "x 3": conv_transpose2d(2, 3, 9, 3, padding=padding),
        "x 8": conv_transpose2d(2, 3, 16, 8, padding=padding),
    }


SHAPES = layers("zeros")


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_paddings_differ_at_the_border_only(shape: str, padding: Padding) -> None:
    layer = layers(padding)[shape]
    layer.load_state_dict(SHAPES[shape].state_dict())
    image = torch.randn(2, 2, 16, 20)

    with torch.no_grad():
        output, plain = layer(image), SHAPES[shape](image)
    inside = output.shape[-1] // 4
    assert output.shape == plain.shape
    same = (slice(None), slice(None), slice(inside, -inside), slice(inside, -inside))
    torch.testing.assert_close(output[same], plain[same])
    changed = padding not in ("zeros", "valid") and shape != "1 x 1"
    assert torch.allclose(output, plain) is not changed


@pytest.mark.parametrize("padding", ["partial", "reflect", "replicate"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_flat_picture_stays_flat_up_to_its_border(shape: str, padding: Padding) -> None:
    layer = layers(padding)[shape]
    flat = torch.tensor([0.7, -0.2])[None, :, None, None].expand(1, 2, 10, 12)

    with torch.no_grad():
        if padding == "partial":
            # It keeps the mean of the taps inside: exactly so where all taps are alike.
            weight = layer.weight
            assert isinstance(weight, Tensor)
            weight.copy_(weight.mean((2, 3), keepdim=True).expand_as(weight))
        output = layer(flat)
    # A transposed convolution repeats the pattern of its phases.
    step = layer.stride[0] if isinstance(layer, nn.ConvTranspose2d) else 1
    rows, columns = output.shape[-2] // step, output.shape[-1] // step
    row, column = rows // 2 * step, columns // 2 * step
    tile = output[..., row : row + step, column : column + step]
    torch.testing.assert_close(output, tile.tile(1, 1, rows, columns))


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_an_extended_convolution_sees_the_extended_picture(padding: Padding) -> None:
    image = torch.randn(1, 2, 8, 8)
    wider = F.pad(image, (4, 4, 4, 4), mode=padding)

    with torch.no_grad():
        for name, layer in layers(padding).items():
            expected = SHAPES[name]
            expected.load_state_dict(layer.state_dict())
            scale = layer(image).shape[-1] / image.shape[-1]
            border = int(4 * scale)
            cut = expected(wider)[..., border:-border, border:-border]
            torch.testing.assert_close(layer(image), cut)


def test_a_partial_convolution_weighs_the_taps_inside_and_not_the_bias() -> None:
    layer = conv2d(1, 1, padding="partial")
    assert layer.bias is not None
    nn.init.ones_(layer.weight)
    nn.init.constant_(layer.bias, 5)
    image = torch.arange(9.0).reshape(1, 1, 3, 3)

    corner = (0 + 1 + 3 + 4) * 9 / 4 + 5
    edge = (0 + 1 + 2 + 3 + 4 + 5) * 9 / 6 + 5
    got = layer(image)[0, 0].detach()
    torch.testing.assert_close(got[0, :2], torch.tensor([corner, edge]))
    assert got[1, 1] == image.sum() + 5


def photograph() -> Tensor:
    """(1, 1, 256, 256), values in [0, 1]."""
    return torch.from_numpy(skimage.data.camera()[::2, ::2].copy())[None, None] / 255


def border_error(layer: Callable[[Tensor], Tensor], picture: Tensor) -> float:
    """How far the results on crops of 32 x 32 are from those on the picture at the same places."""

    def crops(image: Tensor, side: int) -> Tensor:
        channels = image.shape[1]
        tiles = F.unfold(image[..., side:-side, side:-side], side, stride=side)
        return tiles.movedim(1, 2).reshape(-1, channels, side, side)

    with torch.no_grad():
        cropped = layer(crops(picture, 32))
        whole = crops(layer(picture), cropped.shape[-1])
        return float((cropped - whole).square().mean())


def deepest(encoder: Encoder, image: Tensor) -> Tensor:
    return encoder(image)[-1]


def test_a_smoothing_filter_is_less_wrong_at_a_border_than_with_zeros() -> None:
    # The best linear 3 x 3 filter against strong noise, by least squares on what lies inside.
    photo = photograph()
    noisy = photo + 0.2 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    seen = F.unfold(noisy, 3).movedim(1, 2).flatten(0, 1)
    weights = torch.linalg.lstsq(seen, photo[..., 1:-1, 1:-1].reshape(-1, 1)).solution

    errors = {}
    for padding in PADDINGS:
        layer = conv2d(1, 1, padding=padding)
        layer.load_state_dict({"weight": weights.reshape(1, 1, 3, 3), "bias": torch.zeros(1)})
        errors[padding] = border_error(layer, noisy)
    assert errors["valid"] == errors["zeros"]
    for padding in ("partial", "reflect", "replicate"):
        assert errors[padding] < 0.2 * errors["zeros"], errors


def test_an_encoder_is_less_wrong_at_a_border_beyond_which_the_picture_goes_on() -> None:
    errors = {}
    for padding in PADDINGS:
        torch.manual_seed(0)
        encoder = Encoder([8, 12, 16], [0, 1, 1], input_channels=1, padding=padding)
        errors[padding] = border_error(partial(deepest, encoder), photograph())
    # Not so with "partial" before training: it takes taps for alike that are chance.
    for padding in ("reflect", "replicate"):
        assert errors[padding] < 0.6 * errors["zeros"], errors


@pytest.mark.slow
def test_a_trained_net_is_less_wrong_at_a_border_than_with_zeros() -> None:
    # The law of arXiv 1811.11718, on noise removed from crops of a photograph: 1.19 against 1.29.
    assert trained_border_ratio("partial") < trained_border_ratio("zeros") - 0.05


def trained_border_ratio(padding: Padding) -> float:
    """Squared error in the two pixels at a border / error far inside, of a net trained shortly."""
    torch.manual_seed(0)
    net = Autoencoder(
        Encoder([12, 16], [0, 1], input_channels=1, padding=padding),
        Decoder([16, 12], [1], padding=padding),
        PictureHead(12, channels=1, skip="none", padding=padding),
    )
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    photo, random = photograph(), torch.Generator().manual_seed(0)

    def crops(count: int, side: int) -> Tensor:
        places = torch.randint(256 - side, (count, 2), generator=random).tolist()
        return torch.cat([photo[..., y : y + side, x : x + side] for y, x in places])

    for _ in range(400):
        clean = crops(8, 32)
        noisy = clean + 0.1 * torch.randn(clean.shape, generator=random)
        optimiser.zero_grad()
        F.mse_loss(net(noisy), clean).backward()
        optimiser.step()
    clean = crops(128, 64)
    with torch.no_grad():
        errors = net(clean + 0.1 * torch.randn(clean.shape, generator=random)) - clean
    border = torch.ones(64, 64, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    return float(errors[..., border].square().mean() / errors[..., 8:-8, 8:-8].square().mean())


@pytest.mark.parametrize("shape", ["3 x 3", "dilated", "x 3"])
def test_features_too_small_to_be_reflected_are_refused_with_words(shape: str) -> None:
    layer = layers("reflect")[shape]

    with pytest.raises(ValueError, match=r"expected features above \d x \d .*, got 1 x 9; take"):
        layer(torch.randn(1, 2, 1, 9))
