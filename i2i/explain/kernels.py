"""The weights that can be seen: those next to the picture."""

from __future__ import annotations

from torch import Tensor, nn

from i2i.nets.autoencoder import Autoencoder


def first_kernels(net: Autoencoder) -> Tensor:
    """What the first convolution looks for: (channels, input channels, rows, columns)."""
    first = next(layer for layer in net.encoder.modules() if isinstance(layer, nn.Conv2d))
    return first.weight.detach()


def drawn_by_head(net: Autoencoder) -> Tensor:
    """What one unit of each of the decoder's last channels draws: (features, C, rows, columns).

    C are the channels of the picture, or the classes.
    """
    head: dict[str, nn.Module] = dict(net.head.named_children())
    last = head.get("residual", head.get("scores"))
    assert isinstance(last, nn.Conv2d | nn.ConvTranspose2d)
    weight = last.weight.detach()
    if isinstance(last, nn.ConvTranspose2d):
        return weight
    # What a unit draws by a convolution is its kernel turned around.
    return weight.transpose(0, 1).flip(-2, -1)
