"""A real server on core 0, a client on core 1: what every measurement of the service runs on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.serving import serving

SERVER_CORE, CLIENT_CORE = 0, 1


@dataclass(frozen=True)
class Server:
    """A server that runs, and its processes."""

    url: str
    processes: list[psutil.Process]

    @property
    def memory_mib(self) -> float:
        """Resident memory of all its processes together."""
        return sum(process.memory_info().rss for process in self.processes) / 2**20

    @property
    def cpu_s(self) -> float:
        """Processor seconds that its processes have used."""
        times = [process.cpu_times() for process in self.processes]
        return sum(time.user + time.system for time in times)


@contextmanager
def server(**settings: object) -> Iterator[Server]:
    """`with server(queue_s=2) as one:` a server of these settings on its core, with one thread."""
    variables = {f"I2I_{name.upper()}": str(value) for name, value in settings.items()}
    with tempfile.TemporaryDirectory() as folder, on_core(SERVER_CORE):
        home = {"BENTOML_HOME": f"{folder}/bentoml", "I2I_THREADS": "1", "I2I_DRAIN_S": "0.1"}
        log = Path(folder, "server.log")
        with serving("service.service:I2I", home | variables, log) as url:
            # Cores are inherited when a process starts: only the client moves.
            os.sched_setaffinity(0, {CLIENT_CORE})
            yield Server(url, psutil.Process().children(recursive=True))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Runs the block, and what it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
