"""Whatever bytes arrive, the answer is a picture or a documented refusal."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from i2i.image import FORMATS, ImageError, Picture, decode, encode
from service.errors import CODES

PREDICT = "/v1/models/twice/predict"

FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PICTURES = [
    encode(Picture(np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)), format)
    for format in FORMATS
]


def assert_documented(reply) -> None:
    """A picture, or a problem of the request's own: an idle service is never to blame."""
    if reply.status_code == 200:
        assert reply.headers["Content-Type"].startswith("image/")
        return
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json()
    assert CODES[problem["code"]] == (reply.status_code, problem["title"])
    assert 400 <= reply.status_code < 500


def test_every_bad_picture_gets_its_code_raw_and_as_a_form(client, bad_pictures):
    got = {}
    for name, data, _ in bad_pictures:
        for reply in (
            client.post(PREDICT, content=data),
            client.post(PREDICT, files={"image": data}),
        ):
            assert_documented(reply)
            got.setdefault(name, set()).add(reply.json()["code"] if reply.is_error else None)
    assert got == {name: {code} for name, _, code in bad_pictures}


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """An original with some bytes replaced, cut out or put in."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=9))
    return bytes(data)


@FUZZ
@given(data=mutated(PICTURES) | st.binary(max_size=200))
def test_mutated_pictures_never_fail_us(client, data):
    assert_documented(client.post(PREDICT, content=data))


@pytest.mark.slow
@settings(FUZZ, max_examples=10_000)
@given(data=mutated(PICTURES))
def test_ten_thousand_mutated_pictures_are_read_or_refused(data):
    code = None
    try:
        decode(data, depth=16)
    except ImageError as error:
        code = error.code
    assert code is None or code in CODES


@pytest.mark.slow
@settings(FUZZ, max_examples=1_000)
@given(data=mutated(PICTURES))
def test_a_thousand_mutated_pictures_never_fail_us(client, data):
    assert_documented(client.post(PREDICT, content=data))


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n" + PICTURES[0] + b"\r\n--x--\r\n"
)


@FUZZ
@given(
    body=mutated([FORM]),
    boundary=st.sampled_from(["; boundary=x", '; boundary="x"', "; boundary=", "", ";;=;"])
    | st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=300),
    step=st.integers(1, 500),
)
def test_mutated_forms_never_fail_us(client, body, boundary, step):
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), step):
            yield body[start : start + step]

    headers = {"Content-Type": f"multipart/form-data{boundary}".encode("latin-1")}
    assert_documented(client.post(PREDICT, content=chunks(), headers=headers))


names = st.sampled_from(["twice", "bright", "bright@abababababab", "", "%", "..", "a/b", "é\0"])
texts = st.sampled_from(["png", "webp", "mask", "overlay", "1", "-1", "1e309", "nan", "", "💥\0"])
parameters = st.sampled_from(["format", "view", "deadline_s", "regions", "", "💥"])


@pytest.fixture
def started(serve_jobs):
    """A service that takes jobs, too."""
    with serve_jobs() as client:
        yield client


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "X"]),
    name=names | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    tail=st.sampled_from(["/predict", "", "/", "/jobs"]),
    query=st.lists(st.tuples(parameters, texts), max_size=3),
    accept=st.sampled_from(["*/*", "image/png", "", ";;,", "text/html;q=x", "image/*;q=0"]),
)
def test_odd_requests_never_fail_us(started, method, name, tail, query, accept):
    path = f"/v1/models/{quote(name, safe='')}{tail}"
    headers = {"Accept": accept}
    reply = started.request(method, path, params=query, content=PICTURES[0], headers=headers)
    if reply.is_success and tail != "/predict":
        assert reply.headers["Content-Type"] == "application/json"
    elif method == "HEAD":
        assert 400 <= reply.status_code < 500
    elif reply.status_code != 504:  # a deadline of 1e-300 s
        assert_documented(reply)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_status_and_a_title(code):
    status, title = CODES[code]
    assert 400 <= status < 505
    assert title
