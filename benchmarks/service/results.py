"""What was measured, as JSON beside the benchmarks, with what it was measured on."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil

FOLDER = Path(__file__).parents[1] / "results" / "service"


class Machine:
    """The processor, and how much of it others used since the measurement began."""

    def __init__(self) -> None:
        self._began, self._all_s, self._own_s = time.monotonic(), _all_s(), _own_s()

    def about(self) -> dict[str, Any]:
        """To be asked when the measurement's processes have ended."""
        info = Path("/proc/cpuinfo").read_text()
        names = [line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")]
        others_s = (_all_s() - self._all_s) - (_own_s() - self._own_s)
        return {
            "processor": names[0] if names else platform.processor(),
            "cores": os.cpu_count(),
            "others_cores": max(0.0, others_s / (time.monotonic() - self._began)),
        }


def _all_s() -> float:
    """Processor seconds of the machine."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _own_s() -> float:
    """Processor seconds of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def keep(name: str, about: dict[str, Any], figures: dict[str, Any]) -> Path:
    """Writes the results of one measurement, rounded to four digits."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    text = json.dumps(_rounded({"machine": about, "figures": figures}), indent=2)
    path.write_text(text + "\n")
    return path


def kept(name: str) -> dict[str, Any] | None:
    """The results of one measurement; None where it has not been made."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
