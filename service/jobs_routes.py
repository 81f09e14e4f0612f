"""The routes of jobs: pictures that take longer than a request may, or whose client cannot wait."""

import asyncio
import contextlib
import hashlib
import json
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from i2i.image import MEDIA_TYPES, Format
from i2i.prediction import View
from service.body import picture_parts
from service.contract import (
    ACCEPTED_REPLY,
    JOB_REPLY,
    PICTURE_BODY,
    PICTURE_POLICY,
    RESULT_REPLIES,
)
from service.errors import Problem
from service.inflight import PatientResponse
from service.job import Job
from service.job_store import no_room
from service.jobs import Jobs
from service.keys import Caller
from service.middleware import nobody
from service.models import Models
from service.pipeline import Order, Pipeline, job_bytes
from service.record import Record
from service.request_checks import check_accept, check_view, only
from service.settings import Settings

# What a pixel of a result takes on disk at most, but for noise of 16 bits: kept free for it.
_RESULT_BYTES_PER_PIXEL = 4
_CHUNK = 2**18

logger = logging.getLogger(__name__)


def jobs_router(jobs: Jobs, models: Models, pipeline: Pipeline, settings: Settings) -> APIRouter:
    """What takes jobs, tells of them and gives their results."""
    router = APIRouter()
    store, disk = jobs.store, jobs.store.disk

    def in_time(record: Record) -> contextlib.AbstractAsyncContextManager[None]:
        return _disk(record.started + settings.deadline_s)

    @router.post(
        "/v1/models/{name}/jobs",
        status_code=202,
        dependencies=[only("format", "view")],
        responses={202: ACCEPTED_REPLY},
        openapi_extra={"requestBody": PICTURE_BODY},
    )
    async def send_job(
        request: Request,
        name: str,
        format: Format = "png",
        view: View | None = None,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> Response:
        """Takes the picture in the body as a job: as `predict`, but the work has no deadline.

        The picture itself must arrive within the service's `I2I_DEADLINE_S`.
        A picture that cannot be served is refused at once. With an `Idempotency-Key` the same
        request, sent again, is answered by the job that is already there.
        """
        record = Record.of(request.scope)
        predictor = models.find(name)
        record.model = predictor.spec.address
        check_view(view, predictor.spec)
        caller = Caller.of(request.scope).id
        id = store.new_id(caller, idempotency_key)
        jobs.check_lasting()
        try:
            async with in_time(record):
                known = await disk.run(store.find, id)
            again = known is not None and known.state != "erased"
            taken = store.incoming(_most_bytes(request, settings.max_body), again)
            async with in_time(record), disk.entered(taken) as incoming:
                async for part in picture_parts(request):
                    await disk.run(incoming.write, part)
                await disk.run(incoming.complete)
                most_pixels = settings.most_job_pixels(predictor.spec, format)
                order = Order(predictor, format, view, most_pixels, math.inf, lambda: False)
                header = await pipeline.check(incoming.path, order, record)
                job = Job(
                    id=id,
                    caller=caller,
                    model=predictor.spec.address,
                    format=format,
                    view=view,
                    width=header.width,
                    height=header.height,
                    request=_digest(name, format, view, incoming.digest),
                    created=time.time(),
                    bytes=job_bytes(header, predictor, format, settings.job_max_pixels),
                )
                room = job.pixels * predictor.spec.scale**2 * _RESULT_BYTES_PER_PIXEL
                jobs.check_lasting()  # the signal to stop may have come meanwhile
                job = await disk.run(store.accept, incoming, job, room)
        except ClientDisconnect:
            return nobody(record)
        jobs.wake()
        return JSONResponse(job.told(), 202, {"Location": f"/v1/jobs/{job.id}"})

    async def find(request: Request, id: str, *, erased: bool = False) -> Job:
        """The caller's job; one of another's is as unknown to it as one that never was."""
        async with in_time(Record.of(request.scope)):
            job = await disk.run(store.find, id)
        known = job is not None and job.caller == Caller.of(request.scope).id
        if job is None or not known or (job.state == "erased" and not erased):
            raise Problem("unknown_job", "there is no such job, or no longer", got=id)
        return job

    @router.head("/v1/jobs/{id}", dependencies=[only()], include_in_schema=False)
    @router.get("/v1/jobs/{id}", dependencies=[only()], responses={200: JOB_REPLY})
    async def show_job(request: Request, id: str) -> JSONResponse:
        """How far a job is."""
        return JSONResponse((await find(request, id)).told())

    @router.head("/v1/jobs/{id}/result", dependencies=[only()], include_in_schema=False)
    @router.get(
        "/v1/jobs/{id}/result",
        dependencies=[only()],
        response_class=Response,
        responses=RESULT_REPLIES,
    )
    async def give_result(
        request: Request,
        id: str,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The prediction, once the job is done; until then there is nothing here (`not_found`)."""
        job = await find(request, id)
        record = Record.of(request.scope)
        record.model = job.model
        if job.state != "done":
            detail = f"the job is {job.state}: it has no result"
            raise Problem("not_found", detail, expected="a job that is done", got=job.state)
        check_accept(request, MEDIA_TYPES[job.format])
        headers = {
            "ETag": f'"{job.etag}"',
            "Cache-Control": "private, no-cache",
            "X-Model": job.model,
            "Content-Security-Policy": PICTURE_POLICY,
        }
        if _matches(if_none_match, job.etag):
            return Response(None, 304, headers)
        media_type, patience_s = MEDIA_TYPES[job.format], settings.deadline_s
        async with contextlib.AsyncExitStack() as opened:
            try:
                async with in_time(record):
                    opening = disk.entered(_opened(store.result(id)))
                    file = await opened.enter_async_context(opening)
                    size, first = await disk.run(_begin, file)
            except FileNotFoundError:
                raise Problem("unknown_job", "the job has just been erased", got=id) from None
            headers["Content-Length"] = str(size)
            if request.method == "HEAD":
                return Response(None, 200, headers, media_type)
            pieces = _pieces(first, lambda: disk.run(file.read, _CHUNK), patience_s)
            return PatientResponse(pieces, headers, media_type, opened.pop_all(), patience_s)

    @router.delete("/v1/jobs/{id}", status_code=204, dependencies=[only()])
    async def remove_job(request: Request, id: str) -> Response:
        """Erases a job that is finished, and cancels one that is not; twice is as once."""
        job = await find(request, id, erased=True)
        if job.state != "erased":
            async with in_time(Record.of(request.scope)):
                await disk.run(jobs.remove, id)
        return Response(status_code=204)

    return router


@contextlib.asynccontextmanager
async def _disk(deadline: float) -> AsyncIterator[None]:
    """What the disk refuses, or does not do in time, in the words of the contract.

    Args:
        deadline: moment of `time.monotonic()`.
    """
    try:
        async with asyncio.timeout(deadline - time.monotonic()) as limit:
            yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if limit.expired():
            raise Problem(
                "deadline",
                "the picture, or the folder of jobs, took too long",
                expected="a faster connection, or another try",
            ) from None
        logger.exception("the folder of jobs cannot be read or written")
        raise no_room() from error


def _most_bytes(request: Request, max_body: int) -> int:
    """What the body may come to; beside chunks a length says nothing."""
    length = request.headers.get("content-length", "")
    chunked = "transfer-encoding" in request.headers
    return int(length) if length.isdecimal() and not chunked else max_body


def _digest(*asked: str | None) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has the result already."""
    named = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in named or f'"{etag}"' in named


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        yield file


def _begin(file: BinaryIO) -> tuple[int, bytes]:
    """Size of a file, and its first bytes."""
    return os.fstat(file.fileno()).st_size, file.read(_CHUNK)


async def _pieces(
    first: bytes, read: Callable[[], Awaitable[bytes]], patience_s: float
) -> AsyncIterator[bytes]:
    """A file whose `first` bytes have been read; what `read` gives must be there in time."""
    piece = first
    while piece:
        yield piece
        async with asyncio.timeout(patience_s):
            piece = await read()
