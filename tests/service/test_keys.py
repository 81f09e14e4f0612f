"""Keys, rates, and who may do what; and that no key is ever told to anybody."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i.image import Picture, encode
from service.keys import Bucket, Caller, Keys, read_keys
from service.record import JsonLines

KEY, OTHER, ADMIN = "key-of-a-client", "key-of-another", "key-of-an-admin"
PREDICT = "/v1/models/twice/predict"


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def refusal(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["code"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write("a line", …)`: a file of these lines, changed at another moment than before."""
    file = tmp_path / "keys"
    moments = iter(range(1, 100))

    def write(*lines: str) -> Path:
        file.write_text("\n".join(lines))
        file.chmod(0o600)
        os.utime(file, (moment := next(moments), moment))
        return file

    return write


@pytest.fixture
def keys_file(write: Callable[..., Path]) -> Path:
    return write(f"{digest(KEY)} client", f"{digest(OTHER)}", f"{digest(ADMIN)} boss admin")


def test_a_line_is_a_digest_with_name_rate_and_admin_as_far_as_wanted(write):
    lines = [
        "# all keys of the house",
        "",
        "01" * 32,
        "02" * 32 + "  scanner-7  # on the third floor",
        "03" * 32 + "\t60",
        "04" * 32 + " admin",
        "05" * 32 + " administrator 60 admin",
    ]
    keys = read_keys(write(*lines))
    assert [key.caller for key in keys] == [
        Caller("01010101"),
        Caller("scanner-7"),
        Caller("03030303"),
        Caller("04040404", admin=True),
        Caller("administrator", admin=True),
    ]
    rates = [key.bucket.per_minute if key.bucket else None for key in keys]
    assert rates == [None, None, 60, None, 60]


def test_keys_as_sha256sum_prints_them_are_callers_apart(write):
    lines = [
        subprocess.run("sha256sum", input=key.encode(), stdout=subprocess.PIPE, check=True)
        for key in (KEY, OTHER, ADMIN)
    ]
    one, other, admin = (line.stdout.decode().rstrip("\n") for line in lines)
    assert one == f"{digest(KEY)}  -"
    keys = read_keys(write(one, f"{other} 60", f"{admin} boss admin"))
    assert [key.caller.id for key in keys] == [digest(KEY)[:8], digest(OTHER)[:8], "boss"]


def test_a_digest_in_capitals_is_the_same(write):
    (key,) = read_keys(write(digest(KEY).upper()))
    assert (key.digest, key.caller.id) == (bytes.fromhex(digest(KEY)), digest(KEY)[:8])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "expected a key on at least one line, got none"),
        (["# none"], "expected a key on at least one line, got none"),
        (["", KEY], "line 2: expected the SHA-256 of a key"),
        ([digest(KEY)[1:]], "line 1: expected the SHA-256 of a key"),
        ([digest(KEY) + " a b"], "line 1: expected the SHA-256 of a key"),
        ([digest(KEY) + " - -"], "line 1: expected the SHA-256 of a key"),
        ([digest(KEY) + " 0"], "line 1: expected the SHA-256 of a key"),
        ([digest(KEY) + " admin 60"], "line 1: expected the SHA-256 of a key"),
        ([digest(KEY), digest(KEY) + " b"], "line 2: expected each key once, got it again"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_by_line_and_not_by_content(
    serve, write, lines, words
):
    with pytest.raises(ValueError, match=words) as caught, serve(keys_file=write(*lines)):
        pass
    assert KEY not in str(caught.value)


def test_a_file_that_others_may_read_gives_a_warning(write, caplog):
    file = write(digest(KEY))
    Keys(file)
    assert not caplog.records
    file.chmod(0o644)
    Keys(file)
    assert "chmod 600" in caplog.text


def test_who_sends_no_key_is_refused_with_words(serve, keys_file, png):
    with serve(keys_file=keys_file) as client:
        for headers in ({}, bearer("key"), bearer(""), {"Authorization": KEY}, bearer("é")):
            headers = {name: value.encode() for name, value in headers.items()}
            for path in ("/v1/models", "/v1/models/twice", "/nowhere", "/pages"):
                reply = client.get(path, headers=headers)
                assert refusal(reply) == (401, "unauthorized")
                assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert refusal(client.post(PREDICT, content=png, headers=headers))[0] == 401
        basic = {"Authorization": f"Basic {KEY}"}
        assert client.get("/v1/models", headers=basic).status_code == 401


def test_who_sends_a_key_is_served(serve, keys_file, png):
    with serve(keys_file=keys_file) as client:
        for key in (KEY, OTHER, ADMIN):
            assert client.post(PREDICT, content=png, headers=bearer(key)).status_code == 200
        lower = {"authorization": f"bearer {KEY}"}
        assert client.get("/v1/models", headers=lower).status_code == 200
        assert client.get("/nowhere", headers=bearer(KEY)).status_code == 404


def test_probes_and_contract_need_no_key(serve, keys_file):
    with serve(keys_file=keys_file, metrics_key="for-prometheus") as client:
        for path in ("/livez", "/readyz", "/openapi.json"):
            assert client.get(path).status_code == 200
        # The page is open too, where this service has one.
        assert client.get("/").status_code != 401
        assert client.get("/page/page.js").status_code != 401


def test_metrics_have_a_key_of_their_own(serve, keys_file):
    with serve(keys_file=keys_file, metrics_key="for-prometheus") as client:
        for headers in ({}, bearer(KEY), bearer("for-prometheu")):
            assert refusal(client.get("/metrics", headers=headers)) == (401, "unauthorized")
        assert client.get("/metrics", headers=bearer("for-prometheus")).status_code == 200
        assert client.get("/v1/models", headers=bearer("for-prometheus")).status_code == 401
    with serve(keys_file=keys_file) as client:
        assert client.get("/metrics").status_code == 200


def test_a_key_that_asks_too_often_is_told_when_it_may_again(serve, write):
    file = write(f"{digest(KEY)} 2", f"{digest(OTHER)} 2")
    with serve(keys_file=file) as client:
        for _ in range(2):
            assert client.get("/v1/models", headers=bearer(KEY)).status_code == 200
        reply = client.get("/v1/models", headers=bearer(KEY))
        assert refusal(reply) == (429, "rate_limited")
        assert 20 <= int(reply.headers["Retry-After"]) <= 30
        assert reply.json()["expected"] == "at most 2 requests a minute"
        assert client.get("/v1/models", headers=bearer(OTHER)).status_code == 200

        write(f"{digest(KEY)} 2", f"{digest(OTHER)}")
        assert client.get("/v1/models", headers=bearer(KEY)).status_code == 429
        write(f"{digest(KEY)} 3", f"{digest(OTHER)}")
        assert client.get("/v1/models", headers=bearer(KEY)).status_code == 200


@given(st.integers(1, 600), st.lists(st.floats(0, 30), min_size=1, max_size=300))
def test_no_minute_takes_more_than_twice_its_requests_and_waiting_always_helps(rate, pauses):
    bucket = Bucket(rate)
    now = 0.0
    taken = []
    for pause in pauses:
        now += pause
        wait_s = bucket.take(now)
        if wait_s:
            now += wait_s * (1 + 1e-9) + 1e-9
            assert bucket.take(now) == 0
        taken.append(now)
    for begin in taken:
        assert sum(begin <= moment < begin + 60 for moment in taken) <= 2 * rate


def test_a_changed_file_is_followed_and_a_broken_change_is_not(serve, write, caplog):
    file = write(digest(KEY))
    with serve(keys_file=file) as client:

        def statuses() -> list[int]:
            keys = (KEY, OTHER)
            return [client.get("/v1/models", headers=bearer(key)).status_code for key in keys]

        assert statuses() == [200, 401]
        write(digest(OTHER))
        assert statuses() == [401, 200]
        write(KEY)
        assert statuses() == [401, 200]
        file.unlink()
        assert statuses() == [401, 200]
        assert [record.levelname for record in caplog.records].count("ERROR") == 2
        assert "the keys stay as they were" in caplog.text
        write(digest(KEY))
        assert statuses() == [200, 401]
    assert KEY not in caplog.text


def test_a_change_that_keeps_time_and_size_is_followed(serve, write):
    file = write(digest(KEY))
    before = file.stat()
    with serve(keys_file=file) as client:
        assert client.get("/v1/models", headers=bearer(KEY)).status_code == 200
        with file.open("r+") as same:
            same.write(digest(OTHER))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert client.get("/v1/models", headers=bearer(KEY)).status_code == 401


def test_no_key_is_told_but_its_id(serve, write, png, caplog):
    caplog.set_level(logging.DEBUG)
    file = write(f"{digest(KEY)} client 4", f"{digest(OTHER)}")
    metrics_key = "for-prometheus"
    told = ""
    with serve(keys_file=file, metrics_key=metrics_key) as client:
        for key in (KEY, OTHER, ADMIN):
            for path in ("/v1/models", "/metrics", "/nowhere", "/v1/models/thrice"):
                reply = client.get(path, headers=bearer(key))
                told += reply.text + str(reply.headers)
            reply = client.post(PREDICT, content=png, headers=bearer(key))
            told += str(reply.headers)
        told += client.get("/metrics", headers=bearer(metrics_key)).text
    requests = [record for record in caplog.records if record.message == "request"]
    lines = [JsonLines().format(record) for record in caplog.records]
    told += "".join(lines)
    for key in (KEY, OTHER, ADMIN, metrics_key):
        assert key not in told
        assert digest(key) not in told
    ids = {record.fields["key"] for record in requests}
    assert ids == {"", "client", digest(OTHER)[:8]}


def test_a_refused_upload_is_read_so_that_the_refusal_is_seen(serve, keys_file):
    taken = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(20):
            taken += 2**16
            yield bytes(2**16)

    with serve(keys_file=keys_file, max_body=2**16) as client:
        reply = client.post(PREDICT, content=upload())
        assert refusal(reply) == (401, "unauthorized")
        assert taken == 20 * 2**16


def test_pages_of_other_hosts_may_ask_where_they_are_named(serve, keys_file):
    page = {"Origin": "https://page.example"}
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    with serve(keys_file=keys_file, cors_origins=("https://page.example",)) as client:
        asked = client.request("OPTIONS", PREDICT, headers=page | preflight)
        assert asked.status_code == 200
        assert asked.headers["Access-Control-Allow-Origin"] == "https://page.example"
        assert "authorization" in asked.headers["Access-Control-Allow-Headers"].lower()
        for headers, status in ((page, 401), (page | bearer(KEY), 200)):
            reply = client.get("/v1/models", headers=headers)
            assert reply.status_code == status
            assert reply.headers["Access-Control-Allow-Origin"] == "https://page.example"
            assert "X-Request-Id" in reply.headers["Access-Control-Expose-Headers"]
        stranger = client.get("/v1/models", headers={"Origin": "https://x.example"})
        assert "Access-Control-Allow-Origin" not in stranger.headers
    with serve(keys_file=keys_file) as client:
        reply = client.get("/livez", headers=page)
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_an_admin_goes_first_at_the_engine(serve, keys_file, twice, large_png):
    six_windows = encode(Picture(np.zeros((64, 6 * 64, 1), np.uint8)))
    with serve(keys_file=keys_file) as client:
        twice.engine.gate.clear()
        twice.engine.began.clear()
        first = client.begin("POST", PREDICT, content=large_png, headers=bearer(KEY))
        twice.engine.began.wait()
        before = twice.engine.windows
        client.post(PREDICT, content=six_windows, headers=bearer(ADMIN))
        # Those that were run while its picture was read come to its own.
        during = twice.engine.windows - before
        twice.engine.gate.set()
        assert first.result().status_code == 200
        assert during <= 9


def test_an_admin_is_told_that_nobody_is_before_it(serve, keys_file, twice, large_png, wait_until):
    with serve(keys_file=keys_file) as client:
        twice.engine.gate.clear()
        first = client.begin("POST", PREDICT, content=large_png, headers=bearer(KEY))
        wait_until(lambda: twice.engine.windows > 2)  # what one costs is known
        estimate, size = PREDICT.replace("predict", "estimate"), {"width": 640, "height": 640}
        seconds, admins_s = (
            client.post(estimate, params=size, headers=bearer(key)).json()["seconds"]
            for key in (KEY, ADMIN)
        )
        twice.engine.gate.set()
        assert first.result().status_code == 200
        assert 0 < admins_s < seconds


@pytest.mark.parametrize("headers", [{}, bearer(KEY)])
def test_reloading_is_for_admins(serve, keys_file, headers):
    with serve(keys_file=keys_file) as client:
        status = 403 if headers else 401
        assert client.post("/v1/models:reload", headers=headers).status_code == status
        reply = client.post("/v1/models:reload", headers=bearer(ADMIN))
        assert reply.status_code == 200
        assert {model["outcome"] for model in reply.json()["models"]} == {"unchanged"}
    with serve() as client:
        reply = client.post("/v1/models:reload")
        assert refusal(reply) == (403, "forbidden")
        assert "I2I_KEYS_FILE" in reply.json()["expected"]
