from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i.nets import Autoencoder, ClassHead, Decoder, LeNet
from i2i.nets.description import build, describe
from i2i.nets.lenet import ScaledTanh, Subsampling
from i2i.nets.margin import extents
from tests.i2i.nets.probing import probe


@pytest.fixture(params=["average", "stride"])
def net(request: pytest.FixtureRequest) -> Autoencoder:
    torch.manual_seed(0)
    return joined(request.param)


def joined(subsampling: Subsampling) -> Autoencoder:
    return Autoencoder(
        LeNet([4, 6, 8], input_channels=1, subsampling=subsampling),
        Decoder([8, 6, 4], [0, 0]),
        ClassHead(4),
    )


def test_the_features_have_the_sizes_promised() -> None:
    features = LeNet()(torch.rand(2, 3, 12, 20))

    assert [tuple(f.shape) for f in features] == [(2, 6, 12, 20), (2, 16, 6, 10), (2, 120, 3, 5)]


def test_the_margin_is_what_a_nan_shows(net: Autoencoder) -> None:
    reach = max(extents(net))

    assert probe(net, 4 * (reach // 2 + 3)) == reach


def test_a_gradient_reaches_every_parameter(net: Autoencoder) -> None:
    net(torch.rand(1, 1, 16, 16)).square().mean().backward()

    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_it_is_rebuilt_from_its_description(net: Autoencoder) -> None:
    built = build(describe(net))
    built.load_state_dict(net.state_dict())
    image = torch.rand(1, 1, 8, 8)

    with torch.no_grad():
        assert torch.equal(built(image), net(image))


def test_the_new_average_is_the_mean_of_four_pixels() -> None:
    stage = LeNet([2, 3]).stages[1]
    assert isinstance(stage, nn.Sequential)
    image = torch.rand(1, 2, 4, 4)
    mean = image.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(-1, -2))

    torch.testing.assert_close(stage[0](image), ScaledTanh()(mean))


def test_the_scaled_tanh_keeps_one() -> None:
    ones = torch.tensor([-1.0, 0.0, 1.0])

    torch.testing.assert_close(ScaledTanh()(ones), ones, atol=1e-4, rtol=0)


def test_strides_hold_no_pool() -> None:
    assert any(isinstance(layer, nn.AvgPool2d) for layer in LeNet().modules())
    strided = LeNet(subsampling="stride")
    assert not any(isinstance(layer, nn.AvgPool2d) for layer in strided.modules())


def test_no_stages_and_other_subsamplings_are_refused() -> None:
    with pytest.raises(ValueError, match="widths: expected one for each stage, got none"):
        LeNet([])
    with pytest.raises(ValueError, match="subsampling: expected one of average, stride, got 'max'"):
        LeNet(subsampling="max")  # type: ignore[arg-type]  # a YAML may hold it
