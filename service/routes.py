"""The HTTP contract: a FastAPI app of models and a pipeline."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from i2i.image import MEDIA_TYPES, Format
from i2i.prediction import View
from i2i.predictor import Cancelled
from service.admission import Admission, Estimate, Speed
from service.body import read_picture
from service.cache import CachedPipeline
from service.contract import (
    PICTURE_BODY,
    PICTURE_POLICY,
    PREDICT_REPLIES,
    PROBLEM,
    check_accept,
    check_regions,
    check_view,
    only,
)
from service.errors import HANDLERS, RETRY_AFTER_S, Problem
from service.inflight import HeldResponse, InFlight
from service.job_store import JobStore
from service.jobs import Jobs
from service.jobs_routes import jobs_router
from service.keys import Caller, Keys, RequireKey
from service.metrics import Metrics
from service.middleware import BodyLimit, RequestLog, nobody
from service.models import Models
from service.page import page_routes
from service.pipeline import Order, Pipeline, late
from service.record import Record
from service.regions import Regions
from service.scheduler import Scheduler
from service.settings import Settings

# Of a reply's headers, those that a page of another host could not read without this.
_EXPOSED = [
    *("ETag", "Location", "Retry-After", "Server-Timing", "WWW-Authenticate"),
    *("X-Model", "X-Request-Id"),
]


def create_app(models: Models, settings: Settings) -> FastAPI:
    """The whole service but for its process: what BentoML serves, and tests call in process."""
    metrics = Metrics()
    in_flight = InFlight(settings.inflight_bytes, metrics.held_bytes)
    speed = Speed()

    def note_window(model: str, pixels: int, seconds: float) -> None:
        speed.note(model, pixels, seconds)
        metrics.observe_window(model, seconds)

    scheduler = Scheduler(measured=note_window)
    metrics.show_queue(lambda: scheduler.works)
    metrics.gauge("i2i_ready", "1 where /readyz says so", lambda: ready())
    admission = Admission(scheduler, speed, settings.queue_s)
    pipeline = Pipeline(scheduler, admission)
    answers = CachedPipeline(pipeline, settings.cache_bytes)
    store = JobStore(settings.jobs_dir, settings.jobs_bytes, settings.job_ttl_s)
    jobs = Jobs(
        *(store, models, pipeline, admission, settings, metrics.observe_job),
        resting=lambda: app.state.stopping,
    )
    metrics.gauge("i2i_jobs_running", "Jobs being worked on", lambda: jobs.running)
    metrics.gauge(
        "i2i_models_failed",
        "Model folders that could not be loaded as they are now",
        lambda: len(models.failed),
    )
    keys = Keys(settings.keys_file) if settings.keys_file else None
    reloading = asyncio.Lock()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        yield
        await asyncio.to_thread(jobs.close)
        pipeline.close()

    app = FastAPI(
        title="i2i",
        summary="Pictures in, pictures out: the models of this service.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # FastAPI's own spans hold raw paths and would double those of service/tracing.py.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        lifespan=lifespan,
        middleware=[
            Middleware(RequestLog, metrics=metrics),
            *_cors(settings),
            Middleware(RequireKey, keys=keys, metrics_key=settings.metrics_key),
            Middleware(BodyLimit, max_body=settings.max_body),
        ],
        exception_handlers=HANDLERS,
        responses={"4XX": PROBLEM, "5XX": PROBLEM},
    )
    app.include_router(jobs_router(jobs, models, pipeline, settings))
    app.state.stopping = False  # set by who runs the process

    def ready() -> bool:
        return models.ready and not app.state.stopping

    @app.get("/v1/models", dependencies=[only()])
    async def list_models() -> JSONResponse:
        """The specs of all models that are served."""
        return JSONResponse({"models": [spec.to_dict() for spec in models.specs]})

    @app.get("/v1/models/{name}", dependencies=[only()])
    async def show_model(name: str) -> JSONResponse:
        """The spec of `name`, or of `name@version`."""
        return JSONResponse(models.describe(name).to_dict())

    @app.post("/v1/models:reload", dependencies=[only()])
    async def reload_models(request: Request) -> JSONResponse:
        """Loads what has changed in the folder of models; tells what became of each of them."""
        if not Caller.of(request.scope).admin:
            raise Problem(
                "forbidden",
                "only an admin may reload models",
                expected="a key that I2I_KEYS_FILE marks as admin",
            )
        # One waits in a thread: many would take those of all other requests.
        async with reloading:
            outcomes = await asyncio.to_thread(models.reload)
        return JSONResponse({"models": [asdict(outcome) for outcome in outcomes]})

    @app.post(
        "/v1/models/{name}/predict",
        dependencies=[only("format", "view", "regions", "deadline_s")],
        response_class=Response,
        responses=PREDICT_REPLIES,
        openapi_extra={"requestBody": PICTURE_BODY},
    )
    async def predict(
        request: Request,
        name: str,
        format: Format = "png",
        view: View | None = None,
        regions: Regions | None = None,
        deadline_s: Annotated[float, Query(gt=0, le=settings.deadline_s)] = settings.deadline_s,
    ) -> Response:
        """The model's prediction for the picture in the body.

        `view` is for models of labels: `mask` (the default), `overlay` or `confidence`; and for
        models of maps: `values` (the default) or `colour`. `regions` is for models of labels too:
        the reply is JSON, with `polygons` around what is connected of each class, or run lengths
        (`rle`) of each class.
        """
        record = Record.of(request.scope)
        predictor = models.find(name)
        record.model = predictor.spec.address
        check_view(view, predictor.spec)
        if regions:
            check_regions(request, predictor.spec)
        media_type = "application/json" if regions else MEDIA_TYPES[format]
        check_accept(request, media_type)
        deadline = record.started + deadline_s
        with contextlib.ExitStack() as held:
            hold = held.enter_context(in_flight.hold())
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    data = await read_picture(request, hold)
            except TimeoutError:
                raise late() from None
            except ClientDisconnect:
                return nobody(record)
            async with _client_gone(request) as gone:
                caller = Caller.of(request.scope)
                order = Order(
                    predictor,
                    format,
                    view,
                    settings.most_pixels(predictor.spec, format),
                    deadline,
                    gone,
                    urgent=caller.admin,
                    patience_s=settings.queue_s,
                    regions=regions,
                )
                try:
                    picture = await answers.predict(data, order, hold, record, caller.id)
                except Cancelled:
                    return nobody(record)
            headers = {
                "X-Model": predictor.spec.address,
                "Server-Timing": record.server_timing,
                "Content-Security-Policy": PICTURE_POLICY,
            }
            hold.lower(len(picture))
            later, patience_s = held.pop_all(), settings.deadline_s
            return HeldResponse(picture, headers, media_type, later, patience_s)

    @app.post("/v1/models/{name}/estimate", dependencies=[only("width", "height")])
    async def estimate(
        request: Request,
        name: str,
        width: Annotated[int, Query(ge=1, le=2**31)],
        height: Annotated[int, Query(ge=1, le=2**31)],
    ) -> JSONResponse:
        """How long a picture of this size would take now, and whether it would be taken."""
        predictor = models.find(name)
        retry_after_s, accepted = 0, width * height <= settings.most_pixels(predictor.spec)
        estimated = Estimate(0.0, 0.0)
        if accepted:
            urgent = Caller.of(request.scope).admin
            estimated = admission.estimate(predictor, height, width, urgent)
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

    @app.api_route("/livez", methods=["GET", "HEAD"], include_in_schema=False)
    async def live() -> PlainTextResponse:
        return PlainTextResponse("live\n")

    @app.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    async def show_ready() -> JSONResponse:
        state = {"ready": ready(), "loading": models.loading, "failed": models.failed}
        if ready():
            return JSONResponse(state)
        return JSONResponse(state, 503, {"Retry-After": str(RETRY_AFTER_S["queue_full"])})

    @app.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        at_work = {work.model for work in scheduler.works}
        text = metrics.render(models.predictors, at_work)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    app.include_router(page_routes())
    return app


def _cors(settings: Settings) -> list[Middleware]:
    """Lets pages of other hosts ask; outside the keys, so that they can read a 401 too."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    ]


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
