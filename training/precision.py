"""The arithmetic of a run whose config leaves it open: what its machine is faster at."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    elif accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available()):
        fast = _this_processor_gains()
    else:
        fast = False
    return "bf16-mixed" if fast else "32-true"


def gains(seconds: Callable[[torch.dtype], float]) -> bool:
    """Whether bfloat16 is so much faster than float32 that its rounding is worth it.

    Args:
        seconds: times one trial in a dtype.
    """
    # In turns, and the best of each: others' work then changes little.
    times = [(seconds(torch.float32), seconds(torch.bfloat16)) for _ in range(_TRIES)]
    full, half = (min(of_one) for of_one in zip(*times, strict=True))
    return full > _WORTH * half


@cache
def _this_processor_gains() -> bool:
    return gains(_convolution_s)


def _convolution_s(dtype: torch.dtype) -> float:
    layout = torch.channels_last
    image = torch.zeros(4, _CHANNELS, _SIDE, _SIDE, dtype=dtype).to(memory_format=layout)
    kernel = torch.zeros(_CHANNELS, _CHANNELS, 3, 3, dtype=dtype).to(memory_format=layout)
    began = time.perf_counter()
    with torch.no_grad():
        functional.conv2d(image, kernel, padding=1)
    return time.perf_counter() - began
