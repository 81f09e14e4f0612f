"""The HTTP contract: a FastAPI app of models and a pipeline."""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from i2i.image import MEDIA_TYPES, Format
from i2i.prediction import VIEWS, View
from i2i.predictor import Cancelled
from i2i.spec import ModelSpec
from service.admission import Admission, Estimate, Speed
from service.body import FIELD, read_picture
from service.draining import Draining
from service.errors import CODES, HANDLERS, MEDIA_TYPE, RETRY_AFTER_S, Problem
from service.inflight import InFlight
from service.metrics import Metrics
from service.middleware import CLIENT_GONE, BodyLimit, RequestLog
from service.models import Models
from service.pipeline import Order, Pipeline, late
from service.record import Record
from service.scheduler import Scheduler
from service.settings import Settings

# A picture is shown as a picture and nothing else, wherever a browser opens it.
_PICTURE_POLICY = "default-src 'none'; sandbox"

_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"type": "string"}
_PROBLEM: dict[str, Any] = {
    "description": "refused",
    "content": {
        MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "properties": {
                    **dict.fromkeys(("type", "title", "detail", "expected", "got"), _TEXT),
                    "status": {"type": "integer"},
                    "code": {"enum": list(CODES)},
                },
            }
        }
    },
}
_PREDICT_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: _PICTURE["schema"]},
            }
        },
        "image/*": _PICTURE,
    },
}
_PREDICT_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the prediction as a picture",
        "content": dict.fromkeys(MEDIA_TYPES.values(), _PICTURE),
    },
}


def create_app(models: Models, settings: Settings) -> FastAPI:
    """The whole service but for its process: what BentoML serves, and tests call in process."""
    metrics = Metrics()
    in_flight = InFlight(settings.inflight_bytes, metrics.held_bytes)
    speed = Speed()
    scheduler = Scheduler(measured=speed.note)
    admission = Admission(scheduler, speed, settings.queue_s)
    pipeline = Pipeline(scheduler, admission)
    draining = Draining(settings.drain_s)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        draining.watch()
        yield
        pipeline.close()

    app = FastAPI(
        title="i2i",
        summary="Pictures in, pictures out: the models of this service.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestLog, metrics=metrics),
            Middleware(BodyLimit, max_body=settings.max_body),
        ],
        exception_handlers=HANDLERS,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
    )

    @app.get("/v1/models", dependencies=[_only()])
    async def list_models() -> JSONResponse:
        """The specs of all models that are served."""
        return JSONResponse({"models": [spec.to_dict() for spec in models.specs]})

    @app.get("/v1/models/{name}", dependencies=[_only()])
    async def show_model(name: str) -> JSONResponse:
        """The spec of `name`, or of `name@version`."""
        return JSONResponse(models.find(name).spec.to_dict())

    @app.post(
        "/v1/models/{name}/predict",
        dependencies=[_only("format", "view", "deadline_s")],
        response_class=Response,
        responses=_PREDICT_REPLIES,
        openapi_extra={"requestBody": _PREDICT_BODY},
    )
    async def predict(
        request: Request,
        name: str,
        format: Format = "png",
        view: View | None = None,
        deadline_s: Annotated[float, Query(gt=0, le=settings.deadline_s)] = settings.deadline_s,
    ) -> Response:
        """The model's prediction for the picture in the body.

        `view` is for models of labels: `mask` (the default), `overlay` or `confidence`; and for
        models of maps: `values` (the default) or `colour`.
        """
        record = Record.of(request.scope)
        predictor = models.find(name)
        record.model = predictor.spec.address
        _check_view(view, predictor.spec)
        _check_accept(request, MEDIA_TYPES[format])
        deadline = record.started + deadline_s
        with in_flight.hold() as hold:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    data = await read_picture(request, hold)
            except TimeoutError:
                raise late() from None
            except ClientDisconnect:
                return _nobody(record)
            async with _client_gone(request) as gone:
                order = Order(
                    predictor, format, view, settings.most_pixels(predictor.spec), deadline, gone
                )
                try:
                    picture = await pipeline.predict(data, order, hold, record)
                except Cancelled:
                    return _nobody(record)
        headers = {
            "X-Model": predictor.spec.address,
            "Server-Timing": record.server_timing,
            "Content-Security-Policy": _PICTURE_POLICY,
        }
        return Response(picture, 200, headers, MEDIA_TYPES[format])

    @app.post("/v1/models/{name}/estimate", dependencies=[_only("width", "height")])
    async def estimate(
        name: str,
        width: Annotated[int, Query(ge=1, le=2**31)],
        height: Annotated[int, Query(ge=1, le=2**31)],
    ) -> JSONResponse:
        """How long a picture of this size would take now, and whether it would be taken."""
        predictor = models.find(name)
        retry_after_s, accepted = 0, width * height <= settings.most_pixels(predictor.spec)
        estimated = Estimate(0.0, 0.0)
        if accepted:
            estimated = admission.estimate(predictor, height, width)
            try:
                admission.check(estimated, time.monotonic() + settings.deadline_s)
            except Problem as problem:
                retry_after_s, accepted = problem.retry_after_s, False
        return JSONResponse(
            {
                "seconds": round(estimated.seconds, 3),
                "accepted": accepted,
                "retry_after_s": retry_after_s,
            }
        )

    @app.get("/livez", include_in_schema=False)
    async def live() -> PlainTextResponse:
        return PlainTextResponse("live\n")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> JSONResponse:
        is_ready = models.ready and not draining.begun
        state = {"ready": is_ready, "loading": models.loading, "failed": models.failed}
        if is_ready:
            return JSONResponse(state)
        return JSONResponse(state, 503, {"Retry-After": str(RETRY_AFTER_S["queue_full"])})

    @app.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(metrics.render(models.predictors), media_type=CONTENT_TYPE_LATEST)

    return app


def _only(*names: str) -> Any:
    """Refuses query parameters other than `names`, and any that is given twice."""

    async def check(request: Request) -> None:
        seen: set[str] = set()
        for name, _ in request.query_params.multi_items():
            if name not in names:
                expected = ", ".join(names) or "no query parameters"
                raise Problem("bad_parameter", "unknown parameter", expected=expected, got=name)
            if name in seen:
                raise Problem("bad_parameter", "parameter given twice", expected="once", got=name)
            seen.add(name)

    return Depends(check)


def _check_view(view: View | None, spec: ModelSpec) -> None:
    views = VIEWS[spec.kind]
    if view is not None and view not in views:
        raise Problem(
            "bad_parameter",
            f"view: {spec.name} has no such view",
            expected=" or ".join(views) or "no view",
            got=view,
        )


def _check_accept(request: Request, media_type: str) -> None:
    """Refuses where the Accept header names neither the reply's type nor a range that holds it."""
    accept = ",".join(request.headers.getlist("accept")) or "*/*"
    for entry in accept.lower().split(","):
        media_range, *parameters = entry.replace(" ", "").split(";")
        refused = any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
        if media_range in ("*/*", "image/*", media_type) and not refused:
            return
    raise Problem("not_acceptable", "choose another format=", expected=media_type, got=accept)


@asynccontextmanager
async def _client_gone(request: Request) -> AsyncIterator[Callable[[], bool]]:
    """Whether the client has closed its connection, or the block has been left."""
    gone = threading.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        yield gone.is_set
    finally:
        gone.set()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _nobody(record: Record) -> Response:
    """The end of a request whose client has gone; nobody reads it."""
    record.code = "client_gone"
    return Response(status_code=CLIENT_GONE)
