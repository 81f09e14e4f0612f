"""The picture's bytes in a request: a file in the multipart field `image`, or the raw body."""

from __future__ import annotations

from collections.abc import AsyncIterator

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from service.errors import Problem
from service.inflight import Hold

FIELD = "image"


async def read_picture(request: Request, hold: Hold) -> bytes:
    """The bytes of the picture, whatever they are; `hold` grows as they come.

    Raises:
        Problem: the multipart body is malformed, or holds anything but one file `image`.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type == b"multipart/form-data":
        return await _read_form(_held(request, hold), options.get(b"boundary", b""))
    return b"".join([chunk async for chunk in _held(request, hold)])


async def _held(request: Request, hold: Hold) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        hold.add(len(chunk))
        yield chunk


async def _read_form(chunks: AsyncIterator[bytes], boundary: bytes) -> bytes:
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_header_field": form.on_header_field,
                "on_header_value": form.on_header_value,
                "on_header_end": form.on_header_end,
                "on_headers_finished": form.on_headers_finished,
                "on_part_data": form.on_part_data,
                "on_part_end": form.on_part_end,
            },
        )
        async for chunk in chunks:
            parser.write(chunk)
    except FormParserError:
        raise _refusal("a body that is no such form") from None
    if not form.complete:
        raise Problem("empty", "the form holds no whole picture", expected=f"a file {FIELD}")
    return bytes(form.data)


class _Form:
    """A form as its parser goes through it: kept is nothing but the one file.

    Starlette's parser would write files to disk from 1 MB on, and accept what is refused here.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False
        self._begun = False
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = ""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value.decode("latin-1")
        self._header.clear()
        self._value.clear()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        if name != FIELD:
            raise _refusal(f"a field {name!r}")
        if b"filename" not in options:
            raise _refusal(f"text in the field {name!r}; addresses are not fetched")
        if self._begun:
            raise _refusal(f"several files in the field {name!r}")
        self._begun = True
        self._disposition = ""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.data += data[start:end]

    def on_part_end(self) -> None:
        self.complete = True


def _refusal(got: str) -> Problem:
    return Problem(
        "bad_parameter",
        "the form is not as expected",
        expected=f"multipart/form-data with one file, in the field {FIELD!r}",
        got=got,
    )
