"""How long a deployed model takes and what memory it holds, in a process of its own.

`python -m training.evaluation.latency MODEL ENGINE PRECISION` prints JSON; `cost` calls it.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from i2i.engines.engine import Engine, available_cpus
from i2i.image import Picture
from i2i.predictor import load

RUNS = 5
SIDE = 512


def measure(model: str, engine: str, precision: str) -> dict[str, Any]:
    """Median milliseconds of one window of the spec and of a picture, and the peak of memory."""
    predictor = load(model, engine=engine, precision=precision)
    spec, multiple = predictor.spec, predictor.spec.size_multiple
    random = np.random.default_rng(0)
    shown = min(SIDE, math.isqrt(spec.max_pixels or SIDE**2))
    side = spec.window if spec.tiling == "windows" else max(1, shown // multiple) * multiple
    window = random.random((1, spec.input_channels, side, side), np.float32)
    picture = Picture(random.integers(0, 256, (shown, shown, 3), np.uint8))
    return {
        "window_side": side,
        "window_ms": _median_ms(lambda: predictor.engine.run(window)),
        "picture_side": shown,
        "picture_ms": _median_ms(lambda: predictor.predict(picture)),
        "runs": RUNS,
        "threads": int(os.environ.get("I2I_THREADS") or available_cpus()),
        **_device(predictor.engine),
    }


def _device(engine: Engine) -> dict[str, Any]:
    """What the engine computes on, and the most memory that was taken there."""
    if engine.name == "torch":
        import torch

        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 2**20
            return {"device": torch.cuda.get_device_name(), "peak_mib": round(peak, 1)}
    return {"device": "cpu", "peak_mib": _peak_mib()}


def _median_ms(call: Callable[[], object]) -> float:
    call()  # an engine prepares itself for a shape when it first sees it
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(times), 1)


def _peak_mib() -> float | None:
    """The most that was ever resident; None where the system is no Linux.

    `ru_maxrss` would not do: a new process inherits it from the one that began it.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return round(int(peak.split()[1]) / 1024, 1)


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
