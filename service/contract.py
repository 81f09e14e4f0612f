"""What several routes share: what they say in /openapi.json, and how they check what is asked."""

import re
from typing import Any

from fastapi import Depends, Request

from i2i.image import MEDIA_TYPES
from i2i.prediction import VIEWS, View
from i2i.spec import ModelSpec
from service.body import FIELD
from service.errors import CODES, MEDIA_TYPE, Problem
from service.regions import REGIONS

# A picture is shown as a picture and nothing else, wherever a browser opens it.
PICTURE_POLICY = "default-src 'none'; sandbox"

PICTURE = {"schema": {"type": "string", "format": "binary"}}
_TEXT = {"type": "string"}
PROBLEM: dict[str, Any] = {
    "description": "refused",
    "headers": {
        "Retry-After": {
            "description": "with 429 and 503: seconds until another try makes sense",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
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
PICTURE_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: PICTURE["schema"]},
            }
        },
        "image/*": PICTURE,
    },
}
_PICTURE_REPLY: dict[str, Any] = {
    "description": "the prediction as a picture",
    "content": dict.fromkeys(MEDIA_TYPES.values(), PICTURE),
}
_NUMBER = {"type": "integer", "minimum": 0}
_LIST = {"type": "array", "items": _NUMBER}
_RING = {"type": "array", "minItems": 4, "items": {**_LIST, "minItems": 2, "maxItems": 2}}
_REGIONS = {
    "type": "object",
    "required": ["model", "height", "width", "type", "regions"],
    "properties": {
        "model": _TEXT,
        "height": _NUMBER,
        "width": _NUMBER,
        "type": {"enum": list(REGIONS)},
        "regions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["class", "name", "area"],
                "properties": {
                    "class": _NUMBER,
                    "name": _TEXT,
                    "area": {**_NUMBER, "description": "pixels"},
                    "rings": {
                        "type": "array",
                        "minItems": 1,
                        "items": _RING,
                        "description": "polygons: corners (x, y) on the edges of pixels; the outer "
                        "ring clockwise as seen, then holes the other way round; not closed",
                    },
                    "size": {**_LIST, "description": "rle: height and width"},
                    "counts": {
                        **_LIST,
                        "description": "rle: lengths of runs down the columns, without and with "
                        "the class in turn, as COCO's uncompressed counts",
                    },
                },
            },
        },
    },
}
_MODEL = {"X-Model": {"description": "name@version of what predicted", "schema": _TEXT}}
PREDICT_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the prediction as a picture, or its regions",
        "headers": {
            **_MODEL,
            "Server-Timing": {"description": "milliseconds of each phase", "schema": _TEXT},
        },
        "content": {
            **_PICTURE_REPLY["content"],
            "application/json": {"schema": _REGIONS},
        },
    },
}

_JOB_STATE = {
    "type": "object",
    "required": ["id", "state", "progress", "eta_s", "error"],
    "properties": {
        "id": _TEXT,
        "state": {"enum": ["queued", "running", "done", "failed", "cancelled"]},
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "eta_s": {"type": ["number", "null"]},
        "error": {"anyOf": [PROBLEM["content"][MEDIA_TYPE]["schema"], {"type": "null"}]},
    },
}
JOB_REPLY: dict[str, Any] = {
    "description": "the job",
    "content": {"application/json": {"schema": _JOB_STATE}},
}
ACCEPTED_REPLY = {
    **JOB_REPLY,
    "headers": {"Location": {"description": "the job's address", "schema": _TEXT}},
}
_ETAG = {"ETag": {"description": "changes with the result's bytes", "schema": _TEXT}}
RESULT_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {**_PICTURE_REPLY, "headers": {**_ETAG, **_MODEL}},
    304: {
        "description": "the result is the one that If-None-Match names",
        "headers": {**_ETAG, **_MODEL},
    },
}


def only(*names: str) -> Any:
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


def check_view(view: View | None, spec: ModelSpec) -> None:
    """Refuses a view that the kind of the model does not have."""
    views = VIEWS[spec.kind]
    if view is not None and view not in views:
        raise Problem(
            "bad_parameter",
            f"view: {spec.name} has no such view",
            expected=" or ".join(views) or "no view",
            got=view,
        )


def check_regions(request: Request, spec: ModelSpec) -> None:
    """Refuses regions of what has none, or as a picture."""
    if spec.kind != "labels":
        detail = f"regions: {spec.name} tells no classes apart"
        raise Problem("bad_parameter", detail, expected="a model of labels", got=spec.kind)
    for name in ("format", "view"):
        if name in request.query_params:
            detail = "regions come as JSON, which is of no other format and has no view"
            raise Problem("bad_parameter", detail, expected=f"no {name} beside regions", got=name)


def check_accept(request: Request, media_type: str) -> None:
    """Refuses where the Accept header names neither the reply's type nor a range that holds it.

    Of several entries that do the most exact decides (RFC 9110, 12.5.1).
    """
    accept = ",".join(request.headers.getlist("accept")) or "*/*"
    wanted = {}
    for entry in accept.lower().split(","):
        media_range, *parameters = entry.replace(" ", "").split(";")
        wanted[media_range] = not any(re.fullmatch(r"q=0(\.0*)?", given) for given in parameters)
    kind, _, _ = media_type.partition("/")
    ranges = (media_type, f"{kind}/*", "*/*")
    if next((wanted[media_range] for media_range in ranges if media_range in wanted), False):
        return
    detail = f"the reply is {media_type}; another format= or Accept is needed"
    raise Problem("not_acceptable", detail, expected=media_type, got=accept)
