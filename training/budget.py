"""What a run has cost: core-minutes of process time, however busy the machine was."""

from __future__ import annotations

from contextlib import suppress

import psutil


def core_minutes() -> float:
    """Processor minutes of this process and its loaders, of all threads, since they began."""
    process = psutil.Process()
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        # A loader process may end meanwhile.
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system
    return seconds / 60
