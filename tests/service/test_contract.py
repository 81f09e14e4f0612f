"""The service keeps what /openapi.json promises, whatever is sent."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Headers of all replies, and those of HTTP itself.
EVERYWHERE = {"x-request-id", "x-content-type-options", "content-security-policy"} | {
    *("content-type", "content-length", "cache-control", "connection", "allow")
}
EXAMPLES = 40


@pytest.mark.whole
def test_no_request_gets_a_reply_that_the_contract_does_not_tell_of(serve_jobs, png, end_of):
    statuses = {}
    with serve_jobs() as client:
        contract = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        for operation in (found.ok() for found in contract.get_all_operations()):
            # Each has its own: one of them erases it.
            job = client.post("/v1/models/twice/jobs", content=png).headers["Location"]
            assert end_of(client, job)["state"] == "done"
            statuses[operation.label] = statuses_of(client, operation, png, job.split("/")[-1])
    assert statuses.pop("POST /v1/models:reload") == {403}  # without keys nobody is an admin
    assert len(statuses) == 8
    assert all(found & {200, 202, 204} for found in statuses.values()), "each was also answered"


def statuses_of(client: Any, operation: Any, png: bytes, job: str) -> set[int]:
    """What an operation answers to requests as its contract allows them, and as it does not."""
    found: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    @given(
        st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)),
        st.sampled_from([None, "twice", "bright"]),
        st.booleans(),
    )
    def check(case: Any, model: str | None, with_picture: bool) -> None:
        # Words at random would find no model and no job.
        if model and "name" in case.path_parameters:
            case.path_parameters["name"] = model
        if model and "id" in case.path_parameters:
            case.path_parameters["id"] = job
        request = requests.Request(**case.as_transport_kwargs(base_url="http://i2i")).prepare()
        content, headers = request.body, dict(request.headers)
        if with_picture and request.method == "POST":
            content, headers = png, {"Content-Type": "image/png"}
        reply = client.request(request.method, request.url, headers=headers, content=content)
        found.add(reply.status_code)
        assert reply.status_code < 500 or reply.status_code in (503, 504), reply.text
        case.validate_response(reply, checks=CHECKS)
        told = operation.definition.raw["responses"]
        described = told.get(str(reply.status_code)) or told[f"{reply.status_code // 100}XX"]
        assert set(reply.headers) - EVERYWHERE <= {
            name.lower() for name in described.get("headers", ())
        }

    check()
    return found


def test_head_tells_what_get_would_wherever_get_is(serve_jobs, png, end_of):
    with serve_jobs() as client:
        job = client.post("/v1/models/twice/jobs", content=png).headers["Location"]
        end_of(client, job)
        contract = client.get("/openapi.json").json()
        paths = [path for path, methods in contract["paths"].items() if "get" in methods]
        assert not any("head" in methods for methods in contract["paths"].values())
        for path in (
            *paths,
            "/livez",
            "/readyz",
            "/metrics",
            "/openapi.json",
            "/",
            "/page/page.js",
        ):
            path = path.replace("{name}", "twice").replace("{id}", job.split("/")[-1])
            asked, told = client.request("HEAD", path), client.get(path)
            assert (asked.status_code, told.status_code) == (200, 200), path
            told.headers["X-Request-Id"] = asked.headers["X-Request-Id"]
            if path != "/metrics":  # which has counted one more
                assert asked.headers == told.headers


def test_the_contract_says_that_a_key_may_be_needed(client):
    contract = client.get("/openapi.json").json()
    (name,) = contract["components"]["securitySchemes"]
    assert contract["components"]["securitySchemes"][name] == {"type": "http", "scheme": "bearer"}
    assert contract["security"] == [{}, {name: []}]
