"""How much memory a job of 100 megapixels takes, of a model whose net is next to nothing.

The shipped models would take minutes for it and the same memory: what counts here is the picture.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.service.pictures import photo
from benchmarks.service.server import Server, server
from benchmarks.service.thin_models import write_thin_models
from i2i import encode

MIB = 2**20


def measure(megapixels: int = 100) -> dict[str, Any]:
    """Peak memory above idle, and in all, of jobs: labels, and x2 by strips as PNG and TIFF."""
    side = round((megapixels * 1e6) ** 0.5)
    picture = encode(photo(side, side), "jpeg")
    figures: dict[str, Any] = {"megapixels": side * side / 1e6}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_thin_models(folder)
        for model, format in (("bright", "png"), ("twice", "png"), ("twice", "tiff")):
            # A fresh server each time: a peak stays in the memory of who has reached it.
            with server(models=folder, watch="off") as one:
                figures[f"{model}_{format}"] = _job(one, model, format, picture)
    return figures


def _job(one: Server, model: str, format: str, picture: bytes) -> dict[str, float]:
    idle_mib = one.memory_mib
    with httpx.Client(base_url=one.url, timeout=600) as asking, _peak(one) as peak_mib:
        began = time.monotonic()
        reply = asking.post(f"/v1/models/{model}/jobs?format={format}", content=picture)
        assert reply.status_code == 202, reply.text
        job = reply.headers["Location"]
        while (told := asking.get(job).json())["state"] in ("queued", "running"):
            time.sleep(0.2)
        assert told["state"] == "done", told
        seconds = time.monotonic() - began
        with asking.stream("GET", f"{job}/result") as result:
            size = sum(map(len, result.iter_bytes()))
    return {
        "idle_mib": idle_mib,
        "peak_mib": peak_mib[0],
        "result_mib": size / MIB,
        "seconds": seconds,
    }


@contextmanager
def _peak(one: Server) -> Iterator[list[float]]:
    """The most memory that the server has while the block runs, looked at 50 times a second."""
    peak_mib, over = [one.memory_mib], threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            peak_mib[0] = max(peak_mib[0], one.memory_mib)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak_mib
    finally:
        over.set()
        looking.join()
