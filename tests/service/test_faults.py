"""Clients and neighbours at their worst, on real sockets: whoever else asks is answered."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import requests
import uvicorn

import i2i
from service.routes import create_app
from service.settings import Settings

PREDICT = "/v1/models/twice/predict"
MIB = 2**20


@pytest.fixture
def listen(models, wait_until) -> Callable[..., object]:
    """`with listen(max_body=10) as client:` a service of these settings on a port."""

    @contextmanager
    def listen(**settings: Any) -> Iterator[httpx.Client]:
        app = create_app(models, Settings(**settings))
        config = uvicorn.Config(app, "127.0.0.1", 0, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            wait_until(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield client
        finally:
            server.should_exit = server.force_exit = True
            thread.join()

    return listen


@pytest.fixture
def client(listen) -> Iterator[httpx.Client]:
    with listen() as client:
        yield client


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=60)


def head(*headers: str, path: str = PREDICT) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: i2i", *headers, "", ""]).encode()


def memory_mib() -> float:
    return psutil.Process().memory_info().rss / MIB


def is_idle(client: httpx.Client) -> bool:
    lines = client.get("/metrics").text.splitlines()
    gauges = dict(line.rsplit(maxsplit=1) for line in lines)
    # The one in flight asks this.
    return (gauges["i2i_held_bytes"], gauges["i2i_requests_in_flight"]) == ("0.0", "1.0")


def test_clients_that_send_or_read_slowly_hold_up_nobody(client, png, large_png):
    beginnings = [
        b"",
        b"POST",
        head()[:-2],
        head("Content-Length: 1000"),
        head("Content-Length: 1000") + png[:9],
        head("Transfer-Encoding: chunked") + b"ff\r\nx",
        head("Content-Type: multipart/form-data; boundary=x", "Content-Length: 99") + b"--x\r\n",
        head(f"Content-Length: {len(large_png)}") + large_png,  # never reads its answer
    ]
    with ExitStack() as stack:
        for beginning in beginnings * 5:
            stack.enter_context(connect(client)).sendall(beginning)
        for _ in range(5):
            assert client.post(PREDICT, content=png).is_success
        assert client.get("/livez").is_success


@pytest.mark.parametrize("half_open", [False, True])
def test_what_is_cancelled_half_way_is_dropped(
    client, twice, png, large_png, wait_until, half_open
):
    twice.engine.gate.clear()
    with ExitStack() as stack:
        for _ in range(100):
            one = stack.enter_context(connect(client))
            one.sendall(head(f"Content-Length: {len(large_png)}") + large_png)
            if not half_open:
                # Reset, as by a client that has been killed.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(twice.engine.began.is_set)
    twice.engine.gate.set()
    wait_until(lambda: is_idle(client))
    assert twice.engine.windows < 100 * 100 / 2
    assert client.post(PREDICT, content=png).is_success


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        (["Content-Length: 3", "Content-Length: 5"], {400}),
        (["Content-Length: 3, 5"], {400}),
        (["Content-Length: -1"], {400}),
        (["Content-Length: 1e3"], {400}),
        (["Content-Length: 3", "Transfer-Encoding: chunked"], {400, 415}),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], {400, 501}),
    ],
)
def test_contradictory_lengths_are_refused(client, png, headers, statuses):
    with connect(client) as one:
        one.sendall(head(*headers) + b"5\r\nabcde\r\n0\r\n\r\n")
        status = re.match(rb"HTTP/1.1 (\d+) ", one.recv(99))
    assert status
    assert int(status[1]) in statuses
    assert client.post(PREDICT, content=png).is_success


@pytest.mark.parametrize("name", ["image", "other"])
def test_a_form_of_many_parts_is_refused(client, png, name):
    reply = client.post(PREDICT, files=[(name, png)] * 1500)
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_parameter")


def test_a_small_file_of_many_pixels_is_refused_without_decoding(client):
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    side = 13_000
    packed = zlib.compressobj(1)
    rows = b"".join(packed.compress(bytes(1 + 3 * side)) for _ in range(side)) + packed.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert len(bomb) < 4 * MIB
    before_mib = memory_mib()
    for _ in range(20):
        reply = client.post(PREDICT, content=bomb)
        assert (reply.status_code, reply.json()["code"]) == (413, "too_many_pixels")
    assert memory_mib() < before_mib + 50  # one decoded would be 483


def by_urllib(url: str, body: bytes) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body)) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def by_curl(url: str, body: bytes) -> int:
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-", url]
    return int(subprocess.run(command, input=body, capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    "send",
    [
        by_urllib,
        by_curl,
        lambda url, body: requests.post(url, data=body).status_code,
        lambda url, body: httpx.post(url, content=body, timeout=60).status_code,
    ],
    ids=["urllib", "curl", "requests", "httpx"],
)
def test_a_refused_upload_is_seen_as_an_answer(listen, send):
    body = bytes(30 * 10**6)
    for max_body, path, status in (
        (MIB, PREDICT, 413),
        (99 * MIB, "/v1/models/thrice/predict", 404),
    ):
        with listen(max_body=max_body) as client:
            assert send(f"{client.base_url}{path}", body) == status


@pytest.mark.slow
def test_a_worker_that_is_killed_comes_back_and_runs_its_jobs(
    serving, environment, slow_model, wait_until, tmp_path
):
    environment["I2I_JOBS_DIR"] = str(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    picture = i2i.encode(i2i.Picture(noise))
    path = f"/v1/models/{slow_model}"
    with serving("service.service:I2I") as (process, client), ThreadPoolExecutor() as threads:
        wait_until(lambda: client.get("/readyz").is_success)
        job = client.post(f"{path}/jobs", content=picture).headers["Location"]
        several = [threads.submit(client.post, f"{path}/predict", content=picture) for _ in "abc"]
        wait_until(lambda: client.get(job).json()["progress"] > 0)
        for each in psutil.Process(process.pid).children(recursive=True):
            each.kill()
        for one in several:
            with pytest.raises(httpx.TransportError):
                one.result()

        def is_done() -> bool:
            try:
                return client.get(job).json()["state"] == "done"
            except httpx.TransportError:
                return False

        wait_until(is_done)
        result = client.get(f"{job}/result").content
    assert result == i2i.load(slow_model).predict(i2i.decode(picture, depth=16)).encode()


@pytest.mark.slow
def test_two_servers_on_one_machine_do_not_know_of_each_other(serving, model, wait_until):
    small = i2i.encode(i2i.Picture(np.zeros((40, 50, 3), np.uint8)))
    path = f"/v1/models/{model}/predict"
    with serving("service.service:I2I") as (_, first):
        with serving("service.service:I2I") as (_, second):
            for client in (first, second):
                wait_until(lambda client=client: client.get("/readyz").is_success)
            several = [client.post(path, content=small).content for client in (first, second)]
            assert several[0] == several[1]
            assert (answered(first), answered(second)) == (1, 1)
        # The end of one takes nothing of the other.
        assert first.post(path, content=small).is_success
        assert answered(first) == 2


def answered(client: httpx.Client) -> float:
    """Pictures that a server has answered."""
    text = client.get("/metrics").text
    counts = re.findall(r"^i2i_requests_total{.*predict.*} (\S+)$", text, re.MULTILINE)
    return sum(map(float, counts))
