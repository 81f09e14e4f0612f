"""The page: static files that call the HTTP contract from a browser, and nothing from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter, Request, Response

_FOLDER = Path(__file__).with_name("page")

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

# The page talks to the service it came from and to nobody else; blob: are pictures it was given.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def page_routes() -> APIRouter:
    """The routes `/` and `/page/{file}`; the files are read once, here."""
    router = APIRouter(include_in_schema=False)
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _MEDIA_TYPES:
            address = "/" if path.name == "index.html" else f"/page/{path.name}"
            file = _file(path.read_bytes(), _MEDIA_TYPES[path.suffix])
            router.add_api_route(address, file, methods=["GET", "HEAD"])
    return router


def _file(data: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that gives this file, or 304 to a browser that has it."""
    headers = {
        # Asked for again at each visit, so that a new version of the service shows at once.
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "ETag": f'"{hashlib.sha256(data).hexdigest()[:16]}"',
        "Referrer-Policy": "no-referrer",
    }

    async def serve(request: Request) -> Response:
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(data, 200, headers, media_type)

    return serve
