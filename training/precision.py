"""The arithmetic of a run whose config leaves it open: what its machine is faster at."""

from __future__ import annotations

import time
from functools import cache
from typing import Literal

import torch
from torch.nn import functional

RunPrecision = Literal["bf16-mixed", "32-true"]

# Of the trial: a convolution as most nets here have them, and how often it is timed.
_CHANNELS, _SIDE, _TRIES = 64, 56, 5
# bfloat16 rounds to 8 bits: it has to be worth it.
_WORTH = 1.1


def fastest_precision(accelerator: str) -> RunPrecision:
    """bf16-mixed on GPUs that have it, and on processors that convolve faster by it; else 32-true.

    Which processors do is tried, once and in about 0.1 s: instructions for bfloat16 say little. On
    an Intel Xeon whose AMX is switched off they give about half the speed of float32.

    Args:
        accelerator: Lightning's name of it, "auto" for a GPU where there is one.
    """
    if accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = accelerator in ("cpu", "auto") and _processor_gains()
    return "bf16-mixed" if fast else "32-true"


@cache
def _processor_gains() -> bool:
    # In turns, and the best of each: others' work then changes little.
    seconds = [
        (_convolution_s(torch.float32), _convolution_s(torch.bfloat16)) for _ in range(_TRIES)
    ]
    full, half = (min(times) for times in zip(*seconds, strict=True))
    return full > _WORTH * half


def _convolution_s(dtype: torch.dtype) -> float:
    layout = torch.channels_last
    image = torch.zeros(4, _CHANNELS, _SIDE, _SIDE, dtype=dtype).to(memory_format=layout)
    kernel = torch.zeros(_CHANNELS, _CHANNELS, 3, 3, dtype=dtype).to(memory_format=layout)
    began = time.perf_counter()
    with torch.no_grad():
        functional.conv2d(image, kernel, padding=1)
    return time.perf_counter() - began
