"""What was measured, as JSON beside the benchmarks, with what it was measured on."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "results" / "service"


def machine() -> dict[str, Any]:
    """The processor, and how many others wanted it when the measurement began."""
    info = Path("/proc/cpuinfo").read_text()
    names = [line.split(": ")[1] for line in info.splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
    }


def keep(name: str, about: dict[str, Any], figures: dict[str, Any]) -> Path:
    """Writes the results of one measurement, rounded to four digits."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    about = about | {"load_after": os.getloadavg()[0]}
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
