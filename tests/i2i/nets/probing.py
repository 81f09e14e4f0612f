"""How far a net looks, seen from outside."""

import math

import torch

from i2i.nets import Autoencoder


def probe(net: Autoencoder, side: int) -> int:
    """How far one NaN pixel of the input spreads in the output, in input pixels.

    Not gradients: a dead ReLU hides dependence from them, a NaN passes it. (side, side) is the
    probed picture, larger than twice the extent.
    """
    net = net.eval()
    reach = 0
    centre = side // 2 // net.size_multiple * net.size_multiple
    for phase in range(net.size_multiple):
        image = torch.rand(1, net.encoder.input_channels, side, side)
        image[..., centre + phase, centre + phase] = math.nan
        with torch.no_grad():
            spoilt = net(image).isnan().any(dim=1)[0].nonzero() // net.scale
        reach = max(reach, int((spoilt - (centre + phase)).abs().max()))
    return reach
