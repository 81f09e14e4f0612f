"""The BentoML service: one process, its models, its HTTP contract.

bentoml serve service.service:I2I
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, cast

import bentoml
import prometheus_client.values
from _bentoml_sdk import Service  # type: ignore[import-untyped]
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from bentoml._internal.utils.analytics.usage_stats import do_not_track
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import WS_PROTOCOLS

from service.heap import keep_heap_small
from service.models import Models
from service.record import log_json_lines
from service.routes import create_app
from service.settings import Settings

# BentoML reports each command to its makers unless told otherwise. It looked this up, and remembers
# it, before it imports this module: so the default is changed and what it remembers is dropped.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
do_not_track.cache_clear()

# It also has metrics kept in files, which workers could share: ours are those of one process.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
prometheus_client.values.ValueClass = prometheus_client.values.MutexValue

# wsproto comes with it, so its server would answer what asks for a WebSocket outside of our log and
# metrics. BentoML has no setting for it. So it is a request like any other.
WS_PROTOCOLS["auto"] = WS_PROTOCOLS["none"]

log_json_lines()
keep_heap_small()
try:
    settings = Settings.from_environment()
except ValueError as error:
    sys.exit(str(error))  # a stack trace would hide it
models = Models.of(settings)
app = create_app(models, settings)


# BentoML's middleware that is left out.
# Timeout: a request that ends does not cancel its timer, which keeps 5 KB of it until the time is
# over: https://github.com/bentoml/BentoML/blob/v1.4.39/src/bentoml/_internal/server/http/traffic.py
# Unnecessary once it does. Our requests end by I2I_DEADLINE_S.
# Traces: a span for every chunk of a body, named by raw path. service/tracing.py has ours.
LEFT_OUT = (TimeoutMiddleware, OpenTelemetryMiddleware)


class Plain(Service[Any]):
    """A BentoML service without the middleware that is left out."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        server: Starlette = super().to_asgi(is_main)
        kept = [m for m in server.user_middleware if m.cls not in LEFT_OUT]
        server.user_middleware = kept
        return server


class Foremost:
    """Lets our app answer every request, also where BentoML's own routes would come first."""

    def __init__(self, app: ASGIApp, ours: ASGIApp) -> None:
        self.app = app
        self.ours = ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = self.app if scope["type"] == "lifespan" else self.ours
        await answering(scope, receive, send)


def stop_gracefully() -> None:
    """Lets the signal to stop end /readyz at once, and the server I2I_DRAIN_S later.

    The server alone would close its port at once, on those whom nobody has told yet. It answers
    what it has begun in either case. To be called on the event loop, once the server has begun.
    """
    loop = asyncio.get_running_loop()
    end = cast(Callable[[int, None], None], signal.getsignal(signal.SIGTERM))

    def begin() -> None:
        app.state.stopping = True
        loop.call_later(settings.drain_s, end, signal.SIGTERM, None)

    loop.add_signal_handler(signal.SIGTERM, begin)


@bentoml.service(
    name="i2i",
    workers=1,  # one process owns one engine, its queue and its limits
    traffic={"timeout": 3600},  # what BentoML tells its own clients
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    service_class=Plain,
    # For `bentoml containerize`: no compiler, no git (639 MB). `make image` gives a smaller one.
    image=bentoml.images.Image(base_image="docker.io/library/python:3.11-slim", distro="none"),
)
@bentoml.asgi_app(app, path="/")
class I2I:
    """Pictures in, pictures out: the models of i2i over HTTP."""

    def __init__(self) -> None:
        # BentoML's `tracing` settings say where spans go: by default nowhere.
        trace.set_tracer_provider(BentoMLContainer.tracer_provider.get())
        stop_gracefully()
        models.start(watch=settings.watch and settings.models is not None)


I2I.add_asgi_middleware(Foremost, ours=app)  # type: ignore[attr-defined] # mypy: class decorators
