"""A real server of this machine, for the scripts that ask one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(target: str, environment: dict[str, str], log: Path) -> Iterator[str]:
    """A real server of a bento or service class on a free port of this machine; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bentoml", "serve", target]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"BENTOML_DO_NOT_TRACK": "true"} | environment
    with (
        open(log, "wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server,
    ):
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(f"{url}/readyz", server, log)
            yield url
        finally:
            server.terminate()


def ask(url: str, body: bytes | None = None) -> bytes:
    """The answer to a GET, or to a POST of `body`."""
    with urllib.request.urlopen(urllib.request.Request(url, data=body)) as answer:
        content: bytes = answer.read()
        return content


def _wait(url: str, server: subprocess.Popen[bytes], log: Path, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            ask(url)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"the server did not become ready:\n{log.read_text()}")
