"""The servers that people reach for today, with the same net: LitServe and rembg.

Neither is a part of this project: they run in an environment of their own, made at first use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx
import onnx
from onnx import TensorProto, helper

from benchmarks.service.server import CLIENT_CORE, SERVER_CORE, on_core
from i2i.model_folder import GRAPH
from scripts.serving import free_port

ENVIRONMENT = Path(__file__).parents[2] / "build" / "peers"
REQUIREMENTS = ("litserve==0.2.19", "rembg[cpu,cli]==2.0.86", "openvino==2026.4.1")
LITSERVE = Path(__file__).with_name("litserve_server.py")
BOUNDARY = "multipart/form-data; boundary=benchmark"
# rembg shrinks every picture to this side.
REMBG_SIDE = 320
READY_S, STOP_S = 120.0, 30.0


@dataclass(frozen=True)
class Peer:
    """A server that answers a picture in the field `field` of a form posted to `path`."""

    url: str
    path: str
    picture: str
    fields: dict[str, str] = field(default_factory=dict)

    def body(self, picture: bytes) -> bytes:
        """What is sent, with the content type BOUNDARY."""
        headers = {"Content-Type": BOUNDARY}
        files = {self.picture: ("picture", picture)}
        request = httpx.Request("POST", self.url, files=files, data=self.fields, headers=headers)
        return request.read()


@contextmanager
def litserve(folder: Path) -> Iterator[Peer]:
    """LitServe with one worker on core 0."""
    port = free_port()
    command = [_python(), str(LITSERVE), str(folder / GRAPH), str(port)]
    with _running(command, f"http://127.0.0.1:{port}/health", {}):
        yield Peer(f"http://127.0.0.1:{port}", "/predict", "image")


@contextmanager
def rembg(folder: Path) -> Iterator[Peer]:
    """rembg's own server on core 0, giving masks."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        net = Path(home, "net.onnx")
        _write_rembg_graph(folder / GRAPH, net)
        command = [_python("rembg"), "s", "--no-ui", "-h", "127.0.0.1", "-p", str(port)]
        settings = {"REMBG_HOME": home, "OMP_NUM_THREADS": "1", "BROWSER": "true"}
        with _running(command, f"http://127.0.0.1:{port}/openapi.json", settings):
            extras = urlencode({"extras": json.dumps({"model_path": str(net)})})
            fields = {"model": "u2net_custom", "om": "true"}
            yield Peer(f"http://127.0.0.1:{port}", f"/api/remove?{extras}", "file", fields)


def _python(program: str = "python") -> str:
    """A program of the peers' environment, which is made where there is none."""
    if not (ENVIRONMENT / "bin" / "rembg").exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        install = [str(ENVIRONMENT / "bin" / "pip"), "install", "-q", *REQUIREMENTS]
        subprocess.run(install, check=True)
    return str(ENVIRONMENT / "bin" / program)


@contextmanager
def _running(command: list[str], ready: str, settings: dict[str, str]) -> Iterator[None]:
    """Runs a server on its core until the block ends; the caller moves to the client's core."""
    with on_core(SERVER_CORE):
        server = subprocess.Popen(
            command,
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.sched_setaffinity(0, {CLIENT_CORE})
        try:
            _wait(ready, server)
            yield
        finally:
            server.terminate()
            try:
                server.wait(STOP_S)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, 9)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"{server.args!r} did not become ready")


def _write_rembg_graph(source: Path, target: Path) -> None:
    """The graph as rembg wants it: a picture of its one size, one output of four axes."""
    model = onnx.load(source)
    graph = model.graph
    for dimension, size in zip(
        graph.input[0].type.tensor_type.shape.dim, (1, 3, REMBG_SIDE, REMBG_SIDE), strict=True
    ):
        dimension.dim_value = size
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph.initializer.append(axes)
    graph.node.append(helper.make_node("Unsqueeze", ["confidence", "axes"], ["mask"]))
    del graph.output[:]
    shape = (1, 1, REMBG_SIDE, REMBG_SIDE)
    graph.output.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, shape))
    onnx.save(model, target)
