"""Which parameters an optimiser moves, and at what rate."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from training.optimisers import SGD, AdamW, Lion, Muon, Optimiser


def net() -> Autoencoder:
    return Autoencoder(
        Encoder([4, 4], [0, 0], norm="batch"), Decoder([4, 4], [0]), PictureHead(4, stride=1)
    )


def rates(net: Autoencoder, optimiser: Optimiser, decay: float = 0.0) -> dict[str, tuple[Any, Any]]:
    """Rate and weight decay of each parameter that is trained."""
    found = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimiser.build(optimiser.groups(net, 1.0, decay)).param_groups
        for parameter in group["params"]
    }
    named = net.named_parameters()
    return {name: found[id(value)] for name, value in named if id(value) in found}


@pytest.mark.parametrize("kind", [AdamW, Muon, SGD, Lion])
def test_an_optimiser_moves_every_parameter_downhill(kind: type[Optimiser]) -> None:
    if kind is Lion:
        pytest.importorskip("lion_pytorch")
    torch.manual_seed(0)
    trained, image = net(), torch.rand(2, 3, 16, 16)
    before = [parameter.detach().clone() for parameter in trained.parameters()]
    optimiser = kind()
    stepper = optimiser.build(optimiser.groups(trained, 1e-3, 0.01))

    losses = []
    for _ in range(5):
        loss = (trained(image) - image.flip(-1)).square().mean()
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(loss.item())

    assert losses[-1] < losses[0]
    assert all(not a.equal(b) for a, b in zip(before, trained.parameters(), strict=True))


def test_by_default_all_go_at_one_rate() -> None:
    assert set(rates(net(), AdamW(), decay=0.1).values()) == {(1.0, 0.1)}


def test_the_encoder_goes_at_a_share_of_the_rate_and_its_first_part_slowest() -> None:
    found = rates(net(), AdamW(encoder_rate=0.1, depth_decay=0.5))

    assert {rate for name, (rate, _) in found.items() if name.startswith("encoder.stages.0")} == {
        0.05
    }
    assert {rate for name, (rate, _) in found.items() if name.startswith("encoder.stages.1")} == {
        0.1
    }
    assert {rate for name, (rate, _) in found.items() if not name.startswith("encoder")} == {1.0}


def test_norms_and_biases_can_be_spared_the_weight_decay() -> None:
    trained = net()
    found = rates(trained, AdamW(decay_vectors=False), decay=0.1)

    for name, value in trained.named_parameters():
        assert found[name] == (1.0, 0.1 if value.ndim > 1 else 0.0)


def test_a_frozen_encoder_is_left_out_and_a_frozen_net_refused() -> None:
    frozen = net()
    frozen.encoder.requires_grad_(False)
    assert not any(name.startswith("encoder") for name in rates(frozen, AdamW()))

    frozen.requires_grad_(False)
    with pytest.raises(ValueError, match=r"parameters to train, got a net that is frozen"):
        AdamW().groups(frozen, 1.0, 0.0)


def test_a_missing_library_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lion_pytorch", None)

    with pytest.raises(ValueError, match=r"got none; pip install lion-pytorch"):
        Lion().build(Lion().groups(net(), 1.0, 0.0))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Muon, {"momentum": 2.0}),
        (SGD, {"momentum": -0.1}),
        (AdamW, {"betas": (0.9, 1.0)}),
        (Lion, {"betas": (float("nan"), 0.9)}),
    ],
)
def test_a_momentum_out_of_range_is_refused(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected at least 0 and less than 1"):
        kind(**options)


@pytest.mark.parametrize("options", [{"encoder_rate": 0.0}, {"depth_decay": 1.5}])
def test_a_share_out_of_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected a share above 0, at most 1"):
        AdamW(**options)
