"""Restarts two replicas behind deploy/haproxy.cfg in turn, under load, and counts what is lost.

Needs haproxy. Every replica is a real process of the service that is stopped by SIGTERM, as
orchestrators do.
"""

from __future__ import annotations

import http.client
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from i2i import Picture, encode
from scripts.serving import ask, free_port, is_ready, serving

MODEL = "super-resolution-x2"
# Of the picture of each client: some seconds each, and some that show whether a moment is missed.
SIDES = (512, 512, 512, 32, 32)
# Between two restarts: the proxy asks every second and wants two good answers.
SETTLED_S = 5


def measure(sides: Sequence[int] = SIDES) -> dict[str, Any]:
    """Requests, their seconds and those that were lost, of large and small pictures.

    Args:
        sides: of the picture of each client.
    """
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ports = [free_port(), free_port()]
        replicas = [stack.enter_context(ExitStack()) for _ in ports]
        for replica, port in zip(replicas, ports, strict=True):
            replica.enter_context(_replica(folder, port))
        url = stack.enter_context(_proxy(folder, ports))
        with _load(f"{url}/v1/models/{MODEL}/predict", sides) as outcomes:
            for replica, port in zip(replicas, ports, strict=True):
                time.sleep(SETTLED_S)
                began = time.monotonic()
                replica.close()
                ended.append(time.monotonic() - began)
                replica.enter_context(_replica(folder, port))
            time.sleep(SETTLED_S)
    figures: dict[str, Any] = {"stopped_s": ended, "reasons": dict(Counter(_lost(outcomes)))}
    for name, side in (("small", min(sides)), ("large", max(sides))):
        of_side = [outcome for outcome in outcomes if outcome.side == side]
        figures |= {
            f"{name}_side": side,
            f"{name}_requests": len(of_side),
            f"{name}_lost": len(_lost(of_side)),
            f"{name}_median_s": statistics.median(outcome.seconds for outcome in of_side),
        }
    return figures


def _lost(outcomes: list[Outcome]) -> list[str]:
    return [outcome.lost for outcome in outcomes if outcome.lost]


@dataclass(frozen=True)
class Outcome:
    """What became of one request: why it was lost, or nothing."""

    side: int
    seconds: float
    lost: str


def _replica(folder: Path, port: int) -> AbstractContextManager[str]:
    environment = {"BENTOML_HOME": str(folder / str(port)), "I2I_THREADS": "1", "I2I_DRAIN_S": "5"}
    return serving("service.service:I2I", environment, folder / f"{port}.log", port)


@contextmanager
def _proxy(folder: Path, ports: list[int]) -> Iterator[str]:
    """The proxy of deploy/ in front of `ports` of this machine; its address."""
    bind = f"127.0.0.1:{free_port()}"
    servers = "\n".join(f"  server replica{port} 127.0.0.1:{port}" for port in ports)
    lines = Path("deploy/haproxy.cfg").read_text().splitlines()
    changed = {"  bind :8080": f"  bind {bind}"}
    changed |= {line: servers for line in lines if line.startswith("  server-template")}
    config = folder / "haproxy.cfg"
    config.write_text("\n".join(changed.get(line, line) for line in lines) + "\n")
    with subprocess.Popen(["haproxy", "-f", config]) as proxy:
        try:
            if not is_ready(f"http://{bind}", lambda: proxy.poll() is None):
                raise RuntimeError("the proxy did not find a ready replica")
            yield f"http://{bind}"
        finally:
            proxy.terminate()


@contextmanager
def _load(url: str, sides: Sequence[int]) -> Iterator[list[Outcome]]:
    """Clients that ask all the time, and what became of each request."""
    outcomes: list[Outcome] = []
    over = threading.Event()

    def client(side: int) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
        picture = encode(Picture(noise, None))
        expected = ask(url, picture)
        while not over.is_set():
            began = time.monotonic()
            try:
                lost = "" if ask(url, picture) == expected else "other pixels"
            except (OSError, http.client.HTTPException) as error:
                lost = repr(error)
            outcomes.append(Outcome(side, time.monotonic() - began, lost))

    with ThreadPoolExecutor(len(sides)) as threads:
        clients = [threads.submit(client, side) for side in sides]
        try:
            yield outcomes
        finally:
            over.set()
    for ended in clients:
        ended.result()  # raises what ended a client before its time
