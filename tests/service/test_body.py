"""What a body takes while it comes."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.body import read_picture
from service.inflight import InFlight
from service.metrics import Metrics

PART = 2**16
FORM = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n', b"\r\n--x--"


@pytest.mark.parametrize("form", [False, True])
def test_a_body_is_in_memory_once(form):
    parts = 128
    before, after = FORM if form else (b"", b"")
    sizes = iter([before, *[PART] * parts, after])

    async def receive() -> Message:
        size = next(sizes, None)
        body = bytes(size) if isinstance(size, int) else size or b""
        return {"type": "http.request", "body": body, "more_body": size is not None}

    media_type = b"multipart/form-data; boundary=x" if form else b"image/png"
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", media_type)]}

    async def scene() -> None:
        with InFlight(2**30, Metrics().held_bytes).hold() as hold:
            data = await read_picture(Request(scope, receive), hold)
            _, peak = tracemalloc.get_traced_memory()
            assert hold.size == len(data)
        assert data.count(0) == len(data) == parts * PART
        assert peak < 1.25 * len(data)

    tracemalloc.start()
    try:
        asyncio.run(scene())
    finally:
        tracemalloc.stop()
