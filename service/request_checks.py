"""What several routes check of a request before its body is read."""

import re
from typing import Any

from fastapi import Depends, Request

from i2i.prediction import VIEWS, View
from i2i.spec import ModelSpec
from service.errors import Problem


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
