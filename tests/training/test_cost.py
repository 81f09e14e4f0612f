"""What a model costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import i2i
from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from training.evaluation.cost import STATED, cost, multiply_adds_per_pixel

NETS = {
    "picture": lambda: Autoencoder(
        Encoder([8, 12], [0, 1]), Decoder([12, 8], [0]), PictureHead(8, stride=2, scale=2)
    ),
    "classes": lambda: Autoencoder(
        Encoder([8, 12, 16], [0, 0, 1]), Decoder([16, 12, 8], [0, 0]), ClassHead(8, classes=3)
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_multiply_adds_are_those_of_torchs_own_count(name: str) -> None:
    net = NETS[name]()
    side = 16 * net.size_multiple

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(torch.zeros(1, 3, side, side))

    flops = counter.get_total_flops()
    if name == "picture":
        # The fixed bicubic skip, on two replicated pixels at each side, has no weights.
        flops -= 2 * 3 * 8**2 * (side + 4) ** 2
    assert multiply_adds_per_pixel(net) == pytest.approx(flops / 2 / side**2)


@pytest.mark.whole
def test_a_deployed_model_is_measured_in_its_own_process(tiny_x2: Path) -> None:
    predictor = i2i.load(tiny_x2, engine="openvino", threads=1)

    measured = cost(predictor)

    per_pixel = multiply_adds_per_pixel(NETS["picture"]())
    assert measured["multiply_adds_640x360"] == round(per_pixel * STATED[0] * STATED[1])
    assert measured["parameters"] == sum(p.numel() for p in NETS["picture"]().parameters())
    assert measured["window_side"] == predictor.spec.window
    assert measured["window_ms"] > 0
    # Less than torch alone, which this process holds and the deployed one does not.
    assert 20 < measured["peak_mib"] < 400
