"""The arithmetic of a run whose config leaves it open: the fastest that its machine has."""

from __future__ import annotations

from typing import Literal

import torch

RunPrecision = Literal["bf16-mixed", "32-true"]


def fastest_precision(accelerator: str) -> RunPrecision:
    """bf16-mixed where the device multiplies matrices of bfloat16, else 32-true.

    A processor without AMX has instructions for bfloat16 too, but convolves by them at little more
    than half the speed of float32.

    Args:
        accelerator: Lightning's name of it, "auto" for a GPU where there is one.
    """
    if accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # torch.cpu.get_capabilities() is public, but too new to ask for.
        fast = accelerator in ("cpu", "auto") and torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"
