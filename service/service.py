"""The BentoML service: one process, its models, its HTTP contract.

bentoml serve service.service:I2I
"""

from __future__ import annotations

import os
from typing import Any

import bentoml
from _bentoml_sdk import Service  # type: ignore[import-untyped]
from bentoml._internal.server.http.traffic import TimeoutMiddleware
from bentoml._internal.utils.analytics.usage_stats import do_not_track
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from service.models import Models
from service.record import log_json_lines
from service.routes import create_app
from service.settings import Settings

# BentoML reports each command to its makers unless told otherwise. It looked this up, and remembers
# it, before it imports this module: so the default is changed and what it remembers is dropped.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
do_not_track.cache_clear()

log_json_lines()
settings = Settings.from_environment()
models = Models.of(settings)
app = create_app(models, settings)


class Untimed(Service[Any]):
    """A BentoML service without BentoML's timeout.

    A request that ends does not cancel its timer, which keeps 5 KB of it until the time is over:
    https://github.com/bentoml/BentoML/blob/v1.4.39/src/bentoml/_internal/server/http/traffic.py
    Unnecessary once it does. Our requests end by I2I_DEADLINE_S.
    """

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        server: Starlette = super().to_asgi(is_main)
        kept = [m for m in server.user_middleware if m.cls is not TimeoutMiddleware]
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


@bentoml.service(
    name="i2i",
    workers=1,  # one process owns one engine, its queue and its limits
    traffic={"timeout": 3600},  # what BentoML tells its own clients
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    service_class=Untimed,
    # For `bentoml containerize`: no compiler, no git (639 MB). `make image` gives a smaller one.
    image=bentoml.images.Image(base_image="docker.io/library/python:3.11-slim", distro="none"),
)
@bentoml.asgi_app(app, path="/")
class I2I:
    """Pictures in, pictures out: the models of i2i over HTTP."""

    def __init__(self) -> None:
        models.start()


I2I.add_asgi_middleware(Foremost, ours=app)  # type: ignore[attr-defined] # mypy: class decorators
