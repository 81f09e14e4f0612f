"""Pictures made to excite one channel each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from i2i.explain.stages import activations, find_stage
from i2i.nets.autoencoder import Autoencoder

# How far the picture is moved between two steps, in pixels: what only fits one phase fades.
_JITTER = 8
_RATE = 0.05


def maximize(
    net: Autoencoder,
    stage: str,
    channels: Sequence[int],
    side: int = 64,
    steps: int = 64,
    seed: int = 0,
) -> Tensor:
    """What channels look for, (N, C, side, side) in [0, 1]: made from noise by their derivatives.

    Activation maximisation (Erhan et al. 2009) of each channel's mean, on the amplitudes of waves
    instead of pixels, the picture moved a little at each step (Olah et al. 2017,
    distill.00007): both keep it from drowning in fine noise.

    Args:
        channels: of the stage, a picture each.
        side: of a picture, a multiple of `size_multiple`.

    Raises:
        ValueError: the net has no such stage, or the stage no such channel.
    """
    last = find_stage(net, stage).channels - 1
    if not channels or not all(0 <= channel <= last for channel in channels):
        raise ValueError(f"channels: expected some of 0 to {last} of {stage}, got {[*channels]}")
    device = next(net.parameters()).device
    random = torch.Generator().manual_seed(seed)
    shape = len(channels), net.encoder.input_channels, side, side // 2 + 1, 2
    waves = (0.01 * torch.randn(shape, generator=random)).to(device).requires_grad_()
    optimizer = torch.optim.Adam([waves], lr=_RATE)
    with torch.enable_grad():
        for _ in range(steps):
            moved = torch.randint(-_JITTER, _JITTER + 1, (2,), generator=random).tolist()
            image = _picture(waves, side).roll(moved, (-2, -1))
            feature = activations(net, image)[stage]
            excited = feature[range(len(channels)), list(channels)].mean(dim=(-2, -1))
            (waves.grad,) = torch.autograd.grad(-excited.sum(), waves)
            optimizer.step()
    return _picture(waves, side).detach()


def _picture(waves: Tensor, side: int) -> Tensor:
    """The pictures of amplitudes (N, C, side, side // 2 + 1, 2).

    Long waves are stronger, as in photographs, whose amplitudes fall as 1 / frequency.
    """
    rows = torch.fft.fftfreq(side, device=waves.device)[:, None]
    columns = torch.fft.rfftfreq(side, device=waves.device)
    strength = 1 / (rows**2 + columns**2).sqrt().clamp(min=1 / side)
    spectrum = torch.view_as_complex(waves) * strength
    values: Tensor = torch.fft.irfft2(spectrum, s=(side, side), norm="ortho")
    # Around gray and of one contrast: else every value would run to black or white.
    values = values - values.mean(dim=(1, 2, 3), keepdim=True)
    contrast = values.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
    return (values / contrast).sigmoid()
