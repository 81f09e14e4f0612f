"""What an engine is, and which one this machine should use."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from i2i.model_folder import ModelError, ModelFolder

EngineName = Literal["openvino", "torch"]
Precision = Literal["f32", "bf16"]
Outputs = dict[str, NDArray[np.generic]]
_Value = TypeVar("_Value")

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
    called, name = _given("engine", name)
    name = name or _by_machine()
    chosen = _precision(*_given("precision", precision))
    threads = _threads(*_given("threads", threads))
    if name not in get_args(EngineName):
        raise ModelError(f"{called}: expected openvino or torch, got {name!r}")
    if importlib.util.find_spec(name) is None:
        raise ModelError(f"{called}: {name} is not installed; pip install {name}")
    if name == "openvino":
        from i2i.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(folder, chosen, threads)
    from i2i.engines.torch import TorchEngine

    return TorchEngine.open(folder, chosen, threads)


def available_cpus(
    control_groups: Path = Path("/sys/fs/cgroup"), own_groups: Path = Path("/proc/self/cgroup")
) -> int:
    """Processors this process may use: its affinity, within the least quota of its control groups.

    Args:
        control_groups: where control groups are mounted, of version 2 or 1.
        own_groups: the file that says which of them this process is in.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = (_quota(files) for files in _quota_files(control_groups, own_groups))
    return min(affinity or 1, *(quota or MOST_THREADS for quota in quotas))


def _quota_files(mount: Path, own_groups: Path) -> Iterator[list[Path]]:
    """The files that hold a quota and its period, of each group this process is in or below."""
    try:
        lines = os.fsdecode(own_groups.read_bytes()).splitlines()
    except OSError:
        lines = []
    # A container sees its own group as the root, whatever it is told.
    for line in ("0::/", "1:cpu:/", *lines):
        _, controllers, name = line.split(":", 2)
        group = PurePosixPath(name)
        for below in (each.relative_to("/") for each in (group, *group.parents)):
            if not controllers:  # version 2
                yield [mount / below / "cpu.max"]
            elif "cpu" in controllers.split(","):
                folder = mount / "cpu" / below
                yield [folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us"]


def _quota(files: list[Path]) -> int | None:
    """Processors of a control group; None where it has no limit, or is not there."""
    try:
        quota, period = " ".join(file.read_text(encoding="ascii") for file in files).split()
        # "max" in version 2, -1 in version 1.
        return max(1, round(int(quota) / int(period))) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None


def _given(argument: str, value: _Value) -> tuple[str, _Value | str]:
    """An argument, or the setting in its place, with what to call it; an empty text is none."""
    setting = f"I2I_{argument.upper()}"
    if value in (None, "") and os.environ.get(setting):
        return setting, os.environ[setting]
    return argument, value


def _precision(called: str, name: str | None) -> Precision:
    match name or "auto":
        case "f32" | "auto":
            return "f32"
        case "bf16":
            return "bf16"
    raise ModelError(f"{called}: expected f32, bf16 or auto, got {name!r}")


def _threads(called: str, number: int | str | None) -> int:
    if number is None or number == "":
        return available_cpus()
    # More than a machine has crash some engines, and some blame the model.
    if not str(number).isdecimal() or not 1 <= int(number) <= MOST_THREADS:
        raise ModelError(f"{called}: expected a number from 1 to {MOST_THREADS}, got {number!r}")
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
