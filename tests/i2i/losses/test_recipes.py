"""A checkpoint describes its loss and rebuilds it; a config names it by `i2i.losses.Name`."""

from __future__ import annotations

import pytest
from torch import nn

import i2i.losses
from training.recipe import build, describe

ARGUMENTS = {
    "Boundary": {"ignore": 7},
    "Charbonnier": {"epsilon": 0.1},
    "CrossEntropy": {"ignore": 7, "weights": [1.0, 0.5], "label_smoothing": 0.1},
    "BinaryCrossEntropy": {"ignore": 7},
    "Dice": {"ignore": 7, "smooth": 0.5, "probability": "sigmoid"},
    "Focal": {"gamma": 1.5, "ignore": 7, "weights": [1.0, 0.5]},
    "FrequencyL1": {},
    "GeneralizedDice": {"ignore": 7},
    "Lovasz": {"ignore": 7},
    "Luma": {
        "loss": {"class_path": "i2i.losses.pictures.Charbonnier", "init_args": {"epsilon": 0.1}}
    },
    "MaskedHuber": {"delta": 0.2},
    "MaskedL1": {},
    "Ohem": {"threshold": 0.6, "share": 0.2, "ignore": 7, "weights": [1.0, 0.5]},
    "ScaleInvariantLog": {"invariance": 0.8, "floor": 0.1},
    "Ssim": {},
    "Tversky": {"alpha": 0.4, "beta": 0.6, "ignore": 7, "smooth": 0.5},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_loss_is_described_as_it_was_built(name: str) -> None:
    loss = build({"class_path": f"i2i.losses.{name}", "init_args": ARGUMENTS[name]})

    described = describe(loss)
    assert described["init_args"] == ARGUMENTS[name]
    assert describe(build(described)) == described


def test_every_loss_is_among_them() -> None:
    modules = {
        name
        for name in i2i.losses.__all__
        if isinstance(kind := getattr(i2i.losses, name), type) and issubclass(kind, nn.Module)
    }
    # A perceptual loss needs a file, and a sum is made of others.
    assert modules == ARGUMENTS.keys() | {"Perceptual", "Sum"}
