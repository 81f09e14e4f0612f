"""A real server of this machine, for the scripts that ask one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# A reply that takes longer is a hang.
PATIENCE_S = 120.0
# Of this machine nothing is asked through a proxy, whatever the environment says.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def serving(
    target: str, environment: dict[str, str], log: Path, port: int | None = None
) -> Iterator[str]:
    """A real server of a bento or service class on a port of this machine; its address.

    At the end it is stopped by SIGTERM and answers what it has begun.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "bentoml", "serve", target]
    command += ["--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "25"]
    environment = os.environ | {"BENTOML_DO_NOT_TRACK": "true"} | environment
    with (
        open(log, "wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server,
    ):
        url = f"http://127.0.0.1:{port}"
        try:
            if not is_ready(url, lambda: server.poll() is None):
                raise RuntimeError(f"the server did not become ready:\n{log.read_text()}")
            yield url
        finally:
            server.terminate()


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def is_ready(url: str, lives: Callable[[], bool], timeout_s: float = 60) -> bool:
    """Whether the server gets ready in time; asked while it `lives`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and lives():
        try:
            ask(f"{url}/readyz")
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def ask(url: str, body: bytes | None = None) -> bytes:
    """The answer to a GET, or to a POST of `body`."""
    with _DIRECTLY.open(urllib.request.Request(url, data=body), timeout=PATIENCE_S) as answer:
        content: bytes = answer.read()
        return content
