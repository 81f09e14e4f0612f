"""The HTTP contract: a FastAPI app of models and a pipeline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from service.admission import Admission, Speed
from service.cache import CachedPipeline
from service.contract import PROBLEM, describe_keys
from service.errors import HANDLERS, RETRY_AFTER_S, Problem
from service.inflight import InFlight
from service.job_store import JobStore
from service.jobs import Jobs
from service.jobs_routes import jobs_router
from service.keys import Caller, Keys, RequireKey
from service.metrics import Metrics
from service.middleware import BodyLimit, RequestLog
from service.models import Models
from service.page import page_routes
from service.pipeline import Pipeline
from service.predict_routes import predict_router
from service.request_checks import only
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
    waiting = "Jobs that wait for their turn, in a shared folder those of all processes"
    metrics.gauge("i2i_jobs_waiting", waiting, lambda: jobs.waiting)
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
    app.include_router(predict_router(models, answers, admission, in_flight, settings))
    app.include_router(jobs_router(jobs, models, pipeline, settings))
    app.state.stopping = False  # set by who runs the process

    def ready() -> bool:
        return models.ready and not scheduler.hangs and not app.state.stopping

    @app.head("/v1/models", dependencies=[only()], include_in_schema=False)
    @app.get("/v1/models", dependencies=[only()])
    async def list_models() -> JSONResponse:
        """The specs of all models that are served."""
        return JSONResponse({"models": [spec.to_dict() for spec in models.specs]})

    @app.head("/v1/models/{name}", dependencies=[only()], include_in_schema=False)
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

    @app.api_route("/livez", methods=["GET", "HEAD"], include_in_schema=False)
    async def live() -> PlainTextResponse:
        return PlainTextResponse("live\n")

    @app.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
    async def show_ready() -> JSONResponse:
        state = {"ready": ready(), "loading": models.loading, "failed": models.failed}
        if ready():
            return JSONResponse(state)
        return JSONResponse(state, 503, {"Retry-After": str(RETRY_AFTER_S["queue_full"])})

    @app.api_route("/metrics", methods=["GET", "HEAD"], include_in_schema=False)
    async def show_metrics() -> Response:
        at_work = {work.model for work in scheduler.works}
        text = metrics.render(models.predictors, at_work)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    app.include_router(page_routes())
    describe_keys(app.openapi())  # which keeps what it gives
    return app


def _cors(settings: Settings) -> list[Middleware]:
    """Lets pages of other hosts ask; outside the keys, so that they can read a 401 too."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    ]
