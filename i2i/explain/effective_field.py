"""How far a trained net really looks, beside how far it could."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from i2i.nets.autoencoder import Autoencoder
from i2i.nets.heads import ClassHead

# Output phases looked at, evenly spread: a strided net treats neighbouring pixels differently.
_PHASES = 4


def effective_field(net: Autoencoder, images: Iterable[Tensor]) -> Tensor:
    """Share of each input pixel, around the output's own, in what an output pixel depends on.

    (S, S), its centre the output's own pixel, S odd, sum 1: absolute derivatives of an output pixel
    by the input, their mean over output phases, then over pictures, of which each counts as much
    (Luo et al., arXiv 1701.04128). Of a picture each channel counts; of classes what speaks for the
    one that wins.

    Args:
        images: each (1, C, H, W) in [0, 1], square and all of one side, a multiple of
            `size_multiple`; the side limits how far the answer can see.

    Raises:
        ValueError: no picture, one that is not square, of another side than the first, or of less
            than two multiples.
    """
    multiple, total, first = net.size_multiple, None, None
    for image in images:
        height, side = image.shape[-2:]
        first = first or side
        if height != side or side != first or side < 2 * multiple:
            raise ValueError(
                f"images: expected square ones, all of one side of at least {2 * multiple}, got "
                f"{height} x {side}"
            )
        reach = side // 2 - multiple
        # Kept for derivatives of several pixels.
        with torch.enable_grad():
            leaf = image.detach().clone().requires_grad_()
            output = net(leaf)[0]
        outputs = multiple * net.scale
        field = leaf.new_zeros(2 * reach + 1, 2 * reach + 1)
        for phase in sorted({i * outputs // _PHASES for i in range(_PHASES)}):
            own = side // 2 + phase // net.scale
            place = net.scale * (side // 2) + phase
            seen = slice(own - reach, own + reach + 1)
            for value in _values(net, output[:, place, place]):
                (derivatives,) = torch.autograd.grad(value, leaf, retain_graph=True)
                field += derivatives[0].abs().sum(dim=0)[seen, seen]
        total = _shares(field) if total is None else total + _shares(field)
    if total is None:
        raise ValueError("images: expected at least one, got none")
    return _shares(total)


def _shares(field: Tensor) -> Tensor:
    return field / field.sum().clamp(min=torch.finfo(field.dtype).tiny)


def _values(net: Autoencoder, pixel: Tensor) -> list[Tensor]:
    """What an answer depends on at a pixel: its channels, or the winner's lead over the mean."""
    if isinstance(net.head, ClassHead):
        return [pixel.max() - pixel.mean()]
    return list(pixel)


def radius(field: Tensor, share: float) -> int:
    """The smallest r so that the square of 2 r + 1 pixels in the middle holds that share.

    Args:
        field: (S, S), S odd, of `effective_field`.
        share: in (0, 1].
    """
    middle = field.shape[-1] // 2
    whole = field.sum().item()
    for r in range(middle):
        square = field[middle - r : middle + r + 1, middle - r : middle + r + 1]
        if square.sum().item() >= share * whole * (1 - 1e-6):
            return r
    return middle
