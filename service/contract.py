"""What several routes say in /openapi.json."""

from typing import Any

from i2i.image import MEDIA_TYPES
from service.body import FIELD
from service.errors import CODES, MEDIA_TYPE
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


def describe_keys(contract: dict[str, Any]) -> None:
    """Says in /openapi.json that a key is sent where the service asks for one."""
    schemes = contract.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    contract["security"] = [{}, {"bearer": []}]
