"""The picture's bytes in a request: a file in the multipart field `image`, or the raw body."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from service.errors import Problem
from service.inflight import Hold

FIELD = "image"
_LONGEST_BOUNDARY = 70  # bytes, by RFC 2046, 5.1.1
_LONGEST_HEAD = 8192


async def read_picture(request: Request, hold: Hold) -> bytes:
    """The bytes of the picture, whatever they are; `hold` grows as they come.

    Raises:
        Problem: the multipart body is malformed, or holds anything but one file `image`.
    """
    # It grows in place and gives its bytes away; parts that are joined are there twice meanwhile.
    body = io.BytesIO()
    async for part in picture_parts(request):
        hold.add(len(part))
        body.write(part)
    return body.getvalue()


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
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
        raise _refusal(f"a boundary of {len(boundary)} bytes")
    form = _Form(boundary)
    async for chunk in chunks:
        yield form.take(chunk)
    if not form.complete:
        raise Problem("empty", "the form holds no whole picture", expected=f"a file {FIELD}")


class _Form:
    """A form as it comes, of which nothing is kept but the one file, until taken.

    Starlette's parser would write files to disk from 1 MB on, and accept what is refused here;
    python-multipart's goes byte by byte through what looks like its boundary, which stops all
    others for seconds.
    """

    def __init__(self, boundary: bytes) -> None:
        self.complete = False
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b""
        self._begun = False

    def take(self, chunk: bytes) -> bytes:
        """The bytes of the file that are known after a further chunk of the form.

        Raises:
            Problem: the form is malformed, or holds anything but one file `image`.
        """
        if self.complete:
            return b""  # behind the end anything may stand (RFC 2046, 5.1.1)
        self._buffer += chunk
        if not self._begun and not self._take_head():
            return b""
        end = self._buffer.find(self._delimiter)
        after = self._buffer[end + len(self._delimiter) :][:2]
        if end < 0:
            # The delimiter may have begun, and so may its two bytes more.
            end = max(0, len(self._buffer) - len(self._delimiter) + 1)
        elif len(after) == 2:
            if after != b"--":
                raise _refusal("a further part, or the boundary within the file")
            self.complete = True
        data, self._buffer = self._buffer[:end], self._buffer[end:]
        return data

    def _take_head(self) -> bool:
        """Whether the headers of the file are there; what follows them stays."""
        # Before the first delimiter some clients send an empty line.
        self._buffer = self._buffer.lstrip(b"\r\n")
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if len(head) > _LONGEST_HEAD:
            raise _refusal("a body that does not begin as such a form")
        if not end:
            return False
        opening, *lines = head.split(b"\r\n")
        if opening.rstrip(b" \t") != self._delimiter.lstrip(b"\r\n"):
            raise _refusal("a body that is no such form")
        headers = {k.strip().lower(): v for k, _, v in (line.partition(b":") for line in lines)}
        disposition = headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode(errors="replace")
        if name != FIELD:
            raise _refusal(f"a field {name!r}")
        if b"filename" not in options:
            raise _refusal(f"a field {name!r} without filename, as of text; no address is fetched")
        self._begun, self._buffer = True, rest
        return True


def _refusal(got: str) -> Problem:
    return Problem(
        "bad_parameter",
        "the form is not as expected",
        expected=f"multipart/form-data with one file, in the field {FIELD!r}",
        got=got,
    )
