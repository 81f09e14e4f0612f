"""What an engine is, and which one this machine should use."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from i2i.model_folder import ModelError, ModelFolder

EngineName = Literal["openvino", "torch"]
Precision = Literal["f32", "bf16"]
Outputs = dict[str, NDArray[np.generic]]

MOST_THREADS = 1024


class Engine(Protocol):
    """Runs the graph of one model on windows."""

    name: EngineName
    precision: Precision

    def run(self, image: NDArray[np.float32]) -> Outputs:
        """Outputs by name for images (N, C, H, W) in [0, 1]; H and W multiples of size_multiple.

        May be called from one thread at a time. Raises MemoryError where a smaller window may do.
        """
        ...

    def release_memory(self) -> None:
        """Gives back what the last run left for the next one to use."""
        ...


def open_engine(
    folder: ModelFolder,
    name: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
) -> Engine:
    """The engine named here, else by I2I_ENGINE, I2I_PRECISION, I2I_THREADS, else by the machine.

    By machine: torch where it is installed with a GPU, else OpenVINO, else torch; f32; the threads
    of the processors this process may use.

    Raises:
        ModelError: an unknown name or precision, no number of threads, or the engine is not
            installed.
    """
    name = name or os.environ.get("I2I_ENGINE") or _by_machine()
    chosen = _precision(precision or os.environ.get("I2I_PRECISION") or "auto")
    threads = _threads(threads if threads is not None else os.environ.get("I2I_THREADS"))
    if name not in get_args(EngineName):
        raise ModelError(f"engine: expected openvino or torch, got {name!r}")
    if importlib.util.find_spec(name) is None:
        raise ModelError(f"engine: {name} is not installed; pip install {name}")
    if name == "openvino":
        from i2i.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(folder, chosen, threads)
    from i2i.engines.torch import TorchEngine

    return TorchEngine.open(folder, chosen, threads)


def available_cpus(control_group: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors this process may use: its affinity, within the quota of its control group.

    Args:
        control_group: where control groups are mounted, of version 2 or 1.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(affinity or 1, _quota(control_group) or MOST_THREADS)


def _quota(group: Path) -> int | None:
    """Processors of a control group; None where it has no limit."""
    second = [group / "cpu.max"]
    first = [group / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period")]
    for files in (second, first):
        try:
            quota, period = " ".join(file.read_text(encoding="ascii") for file in files).split()
            # "max" in version 2, -1 in version 1.
            return max(1, round(int(quota) / int(period))) if quota not in ("max", "-1") else None
        except (OSError, ValueError):
            continue
    return None


def _precision(name: str) -> Precision:
    match name:
        case "f32" | "auto":
            return "f32"
        case "bf16":
            return "bf16"
    raise ModelError(f"precision: expected f32, bf16 or auto, got {name!r}")


def _threads(number: int | str | None) -> int:
    if number is None or number == "":
        return available_cpus()
    # More than a machine has crash some engines, and some blame the model.
    if not str(number).isdecimal() or not 1 <= int(number) <= MOST_THREADS:
        raise ModelError(f"threads: expected a number from 1 to {MOST_THREADS}, got {number!r}")
    return int(number)


# On Linux, and on Linux within Windows.
_NVIDIA_DRIVERS = ("/dev/nvidiactl", "/dev/dxg")


def _by_machine() -> EngineName:
    if importlib.util.find_spec("torch") is not None:
        if importlib.util.find_spec("openvino") is None:
            return "torch"
        # Importing torch takes seconds: it is asked for a GPU only where a driver is present.
        if any(os.path.exists(driver) for driver in _NVIDIA_DRIVERS):
            import torch

            if torch.cuda.is_available():
                return "torch"
    return "openvino"
