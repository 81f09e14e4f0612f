"""The routes of requests: a picture is answered, or it is told how long that would take."""

import asyncio
import contextlib
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from i2i.image import MEDIA_TYPES, Format
from i2i.prediction import View
from i2i.predictor import Cancelled
from service.admission import Admission
from service.body import read_picture
from service.cache import CachedPipeline
from service.client_gone import client_gone
from service.contract import PICTURE_BODY, PICTURE_POLICY, PREDICT_REPLIES
from service.errors import Problem, late
from service.inflight import HeldResponse, InFlight
from service.keys import Caller
from service.middleware import nobody
from service.models import Models
from service.pipeline import Order
from service.record import Record
from service.regions import Regions
from service.request_checks import check_accept, check_regions, check_view, only
from service.settings import Settings


def predict_router(
    models: Models,
    answers: CachedPipeline,
    admission: Admission,
    in_flight: InFlight,
    settings: Settings,
) -> APIRouter:
    """What answers a picture within its request."""
    router = APIRouter()

    @router.post(
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
            async with client_gone(request.receive) as gone:
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
            hold.settle(len(picture))
            later, patience_s = held.pop_all(), settings.deadline_s
            return HeldResponse(picture, headers, media_type, later, patience_s)

    @router.post("/v1/models/{name}/estimate", dependencies=[only("width", "height")])
    async def estimate(
        request: Request,
        name: str,
        width: Annotated[int, Query(ge=1, le=2**31)],
        height: Annotated[int, Query(ge=1, le=2**31)],
    ) -> JSONResponse:
        """How long a picture of this size would take now, and whether it would be taken."""
        predictor = models.find(name)
        retry_after_s, accepted = 0, width * height <= settings.most_pixels(predictor.spec)
        seconds = 0.0
        if accepted:
            urgent = Caller.of(request.scope).admin
            estimate = admission.estimate(predictor, height, width, urgent)
            seconds = estimate.seconds
            try:
                admission.check(estimate, time.monotonic() + settings.deadline_s)
            except Problem as problem:
                retry_after_s, accepted = problem.retry_after_s, False
        return JSONResponse(
            {
                "seconds": round(seconds, 3),
                "accepted": accepted,
                "retry_after_s": retry_after_s,
            }
        )

    return router
