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
    parts = []
    async for part in picture_parts(request):
        hold.add(len(part))
        parts.append(part)
    return b"".join(parts)


async def picture_parts(request: Request) -> AsyncIterator[bytes]:
    """The bytes of the picture, part by part as they come.

    Raises:
        Problem: as `read_picture`.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type == b"multipart/form-data":
        chunks = _form_parts(request.stream(), options.get(b"boundary", b""))
    else:
        chunks = request.stream()
    async for chunk in chunks:
        yield chunk


async def _form_parts(chunks: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[bytes]:
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
            yield form.take()
    except FormParserError:
        raise _refusal("a body that is no such form") from None
    if not form.complete:
        raise Problem("empty", "the form holds no whole picture", expected=f"a file {FIELD}")


class _Form:
    """A form as its parser goes through it: kept is nothing but the one file, until taken.

    Starlette's parser would write files to disk from 1 MB on, and accept what is refused here.
    """

    def __init__(self) -> None:
        self.complete = False
        self._data = bytearray()
        self._begun = False
        self._header = bytearray()
        self._value = bytearray()
        self._disposition = ""

    def take(self) -> bytes:
        """What has come of the file since the last time."""
        data = bytes(self._data)
        self._data.clear()
        return data

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
        self._data += data[start:end]

    def on_part_end(self) -> None:
        self.complete = True


def _refusal(got: str) -> Problem:
    return Problem(
        "bad_parameter",
        "the form is not as expected",
        expected=f"multipart/form-data with one file, in the field {FIELD!r}",
        got=got,
    )
