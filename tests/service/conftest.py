"""A service in process: true predictors on engines that need no training."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from i2i.image import Picture, encode
from i2i.model_folder import ModelFolder
from i2i.predictor import Predictor
from i2i.spec import ClassInfo, ModelSpec
from service.models import Models
from service.routes import create_app
from service.settings import Settings
from tests.service.browser import (  # noqa: F401
    address,
    browser,
    cells,
    large,
    page,
    page_at,
    picture,
)

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
WINDOW = 64

CLASSES = (ClassInfo("dark", (0, 0, 0)), ClassInfo("bright", (250, 200, 0)))


class PlainEngine:
    """Gives every pixel `scale` times along each axis, or tells bright from dark.

    While `gate` is closed a window takes a tenth of a second; `failure` is raised by every window.
    """

    name: Literal["openvino", "torch"] = "openvino"
    precision: Literal["f32", "bf16"] = "f32"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.windows = 0
        self.at_once = self.most_at_once = 0
        self.released = 0

    def release_memory(self) -> None:
        self.released += 1

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        self.windows += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.began.set()
        self.gate.wait(0.1)
        self.at_once -= 1
        if self.failure:
            raise self.failure
        if self.spec.kind == "image":
            return {"image": image.repeat(self.spec.scale, 2).repeat(self.spec.scale, 3)}
        if self.spec.kind == "map":
            return {"map": image[:, 0]}
        bright = image[:, 0] > 0.5
        return {
            "labels": bright.astype(np.uint8),
            "confidence": np.full(bright.shape, 0.75, np.float32),
        }


class Folder(ModelFolder):
    """A model folder that is not on disk; its golden sample is a white square."""

    def golden(self) -> tuple[Picture, dict[str, NDArray[np.generic]]]:
        side = 4 * self.spec.scale
        white = Picture(np.full((4, 4, 3), 255, np.uint8))
        if self.spec.kind == "image":
            return white, {"image": np.full((side, side, 3), 255, np.uint8)}
        if self.spec.kind == "map":
            return white, {"map": np.ones((4, 4), np.float32)}
        labels, confidence = (
            np.ones((side, side), np.uint8),
            np.full((side, side), 0.75, np.float32),
        )
        return white, {"labels": labels, "confidence": confidence}


class Client:
    """Calls an app in process, in an event loop of its own thread."""

    def __init__(self, app: FastAPI, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self._loop = loop
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://i2i", timeout=None
        )

    def begin(self, method: str, path: str, **options: Any) -> Future[httpx.Response]:
        """Sends a request without waiting for the reply."""
        request = self._client.request(method, path, **options)
        return asyncio.run_coroutine_threadsafe(request, self._loop)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.begin(method, path, **options).result(PATIENCE_S)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture
def client_of() -> Callable[[FastAPI], Any]:
    """`with client_of(app) as client:` a client of this app."""

    @contextmanager
    def client_of(app: FastAPI) -> Iterator[Client]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield Client(app, loop)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    return client_of


@pytest.fixture
def make_predictor() -> Callable[..., Predictor]:
    """`make_predictor("twice", scale=2)`: a predictor of this name and these fields of its spec."""

    def make(name: str, **fields: Any) -> Predictor:
        given = {"kind": "image", "task": "test", "net": {}, "window": WINDOW, "digest": "ab" * 32}
        given["tolerance"] = {"openvino": {"f32": 1e-3}}
        spec = ModelSpec(name=name, **{**given, **fields})
        return Predictor(Folder(Path(name), spec), PlainEngine(spec))

    return make


@pytest.fixture
def twice(make_predictor: Callable[..., Predictor]) -> Predictor:
    return make_predictor("twice", scale=2)


@pytest.fixture
def bright(make_predictor: Callable[..., Predictor]) -> Predictor:
    return make_predictor("bright", kind="labels", classes=CLASSES)


@pytest.fixture
def models_of() -> Callable[..., Models]:
    """`models_of(a, b)`: the predictors a and b, each in a folder of its name, not yet loaded."""

    def models_of(*predictors: Predictor) -> Models:
        folders = {predictor.spec.name: Path(predictor.spec.name) for predictor in predictors}
        by_name = {predictor.spec.name: predictor for predictor in predictors}
        return Models(lambda: folders, lambda folder: by_name[folder.name])

    return models_of


@pytest.fixture
def models(models_of: Callable[..., Models], twice: Predictor, bright: Predictor) -> Models:
    models = models_of(twice, bright)
    models.load()
    return models


@pytest.fixture
def serve(models: Models, client_of: Callable[[FastAPI], Any]) -> Callable[..., Any]:
    """`with serve(max_body=10) as client:` a service of these settings."""
    return lambda **settings: client_of(create_app(models, Settings(**settings)))


@pytest.fixture
def client(serve: Callable[..., Any]) -> Iterator[Client]:
    with serve() as client:
        yield client


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)


@pytest.fixture
def png(pixels: NDArray[np.uint8]) -> bytes:
    return encode(Picture(pixels))


@pytest.fixture
def large_png() -> bytes:
    """A picture of 100 windows."""
    return encode(Picture(np.zeros((10 * WINDOW, 10 * WINDOW, 1), np.uint8)))


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition that another thread or process makes true."""

    def wait(condition: Callable[[], bool]) -> None:
        pause = threading.Event()
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "the condition did not come true in time"
            pause.wait(0.01)

    return wait


@pytest.fixture
def jobs_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    return folder


@pytest.fixture
def serve_jobs(
    models: Models, client_of: Callable[[FastAPI], Any], jobs_folder: Path
) -> Callable[..., Any]:
    """`with serve_jobs(job_ttl_s=10) as client:` a service that starts and stops like a process."""

    @contextmanager
    def serve_jobs(served: Models = models, **settings: Any) -> Iterator[Any]:
        app = create_app(served, Settings(**{"jobs_dir": jobs_folder, **settings}))
        lifespan = app.router.lifespan_context(app)
        with asyncio.Runner() as runner, client_of(app) as client:
            runner.run(lifespan.__aenter__())
            try:
                yield client
            finally:
                runner.run(lifespan.__aexit__(None, None, None))

    return serve_jobs


@pytest.fixture
def end_of(wait_until: Callable[[Callable[[], bool]], None]) -> Callable[..., dict[str, Any]]:
    """`end_of(client, job)`: what is told of a job once it is finished."""

    def end_of(client: Client, job: str, **options: Any) -> dict[str, Any]:
        wait_until(
            lambda: client.get(job, **options).json()["state"] in ("done", "failed", "cancelled")
        )
        told: dict[str, Any] = client.get(job, **options).json()
        return told

    return end_of


@pytest.fixture(scope="session")
def environment_at() -> Callable[[Path], dict[str, str]]:
    """A user's environment: nothing set but a home for BentoML in this folder.

    BentoML shows what it would report of its use to its makers, instead of sending it.
    """

    def environment_at(folder: Path) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("I2I_", "BENTOML_"))}
        home = {"BENTOML_HOME": str(folder / "bentoml"), "__BENTOML_DEBUG_USAGE": "true"}
        return {**inherited, **home, "OMP_NUM_THREADS": "1", "I2I_DRAIN_S": "0.1"}

    return environment_at


@pytest.fixture(scope="session")
def server(wait_until: Callable[[Callable[[], bool]], None]) -> Callable[..., Any]:
    """`with server(service, environment, log) as (process, client):` a process on a free port."""

    @contextmanager
    def server(
        service: str, environment: dict[str, str], log: Path, cwd: Path = ROOT
    ) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [sys.executable, "-m", "bentoml", "serve", service, "--host", "127.0.0.1"]
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [*command, "--port", port], cwd=cwd, env=environment, stdout=output
            ) as process,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):

            def is_live() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return client.get("/livez").is_success
                except httpx.TransportError:
                    return False

            try:
                wait_until(is_live)
                yield process, client
            finally:
                process.terminate()
                process.wait()
        assert "Tracking" not in log.read_text()

    return server


@pytest.fixture
def environment(tmp_path: Path, environment_at: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    return environment_at(tmp_path)


@pytest.fixture
def serving(tmp_path: Path, environment: dict[str, str], server: Callable[..., Any]) -> Any:
    """`with serving("service.service:I2I") as (process, client):` a server on a free port."""
    numbers = itertools.count()

    def serving(service: str, cwd: Path = ROOT) -> Any:
        return server(service, environment, tmp_path / f"server-{next(numbers)}.log", cwd)

    return serving


@pytest.fixture
def model() -> str:
    """The shipped model that is the fastest."""
    return "nuclei"


@pytest.fixture
def slow_model() -> str:
    """The shipped model that takes the longest: its requests are still in flight a while later."""
    return "denoise"


@pytest.fixture
def hanging_job(jobs_folder, png):
    """Sends a job whose picture nobody can read before it is written: its address, that file."""

    def send(client, path: str) -> tuple[str, Path]:
        client.app.state.stopping = True  # so that it does not begin yet
        job = client.post(path, content=png).headers["Location"]
        waiting = jobs_folder / Path(job).name / "input"
        waiting.unlink()
        os.mkfifo(waiting)  # who reads it waits for a writer
        client.app.state.stopping = False
        return job, waiting

    return send
