"""Finished answers: kept up to a limit, for each caller and question apart."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cache import Cache
from service.routes import create_app
from service.settings import Settings

PREDICT = "/v1/models/twice/predict"


def test_an_answer_given_before_takes_no_turn_of_the_engine(serve, twice, png):
    with serve(cache_bytes=100_000) as client:
        first = client.post(PREDICT, content=png)
        windows = twice.engine.windows
        again = client.post(PREDICT, files={"image": png})
        assert again.content == first.content
        assert again.headers["X-Model"] == first.headers["X-Model"]
        assert again.headers["Server-Timing"].startswith("cache")
        assert "run" not in again.headers["Server-Timing"]
        assert "cache" not in first.headers["Server-Timing"]
        assert twice.engine.windows == windows


def test_every_part_of_the_question_counts(models_of, make_predictor, client_of, png, large_png):
    predictors = [make_predictor(name, digest=name * 64) for name in "ab"]
    models = models_of(*predictors)
    models.load()
    with client_of(create_app(models, Settings(cache_bytes=10_000_000))) as client:
        for name, params, content in [
            ("a", {}, png),
            ("a", {"format": "tiff"}, png),
            ("a", {}, large_png),
            ("b", {}, png),
        ]:
            windows = sum(each.engine.windows for each in predictors)
            client.post(f"/v1/models/{name}/predict", params=params, content=content)
            assert sum(each.engine.windows for each in predictors) > windows


def test_callers_do_not_see_what_others_have_asked(serve, png, tmp_path):
    keys = tmp_path / "keys"
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in "ab"}
    keys.write_text("".join(f"{digest} {name}\n" for name, digest in digests.items()))
    with serve(cache_bytes=100_000, keys_file=keys) as client:
        for name, phase in [("a", "decode"), ("b", "decode"), ("a", "cache")]:
            headers = {"Authorization": f"Bearer {name}"}
            reply = client.post(PREDICT, content=png, headers=headers)
            assert reply.headers["Server-Timing"].startswith(phase)


@pytest.mark.parametrize("settings", [{}, {"cache_bytes": 1}])
def test_nothing_is_kept_where_there_is_no_room(serve, twice, png, settings):
    with serve(**settings) as client:
        client.post(PREDICT, content=png)
        windows = twice.engine.windows
        reply = client.post(PREDICT, content=png)
        assert twice.engine.windows > windows
        assert "cache" not in reply.headers["Server-Timing"]


def test_a_refusal_is_not_kept(serve, twice, png):
    with serve(cache_bytes=100_000) as client:
        twice.engine.failure = RuntimeError("now and then")
        assert client.post(PREDICT, content=png).status_code == 503
        twice.engine.failure = None
        assert client.post(PREDICT, content=png).status_code == 200


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(1, 12)), max_size=60))
def test_the_cache_holds_what_was_used_last_within_its_limit(steps):
    cache, model, limit = Cache(20), OrderedDict[int, bytes](), 20
    for puts, key, size in steps:
        if puts:
            cache.put(key, bytes(size))
            model.pop(key, None)
            model[key] = bytes(size)
            while sum(map(len, model.values())) > limit:
                model.popitem(last=False)
        else:
            assert cache.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
    assert {key: cache.get(key) for key in range(6)} == {key: model.get(key) for key in range(6)}


def test_an_answer_above_the_limit_leaves_the_others_there():
    cache = Cache(10)
    cache.put("small", b"x")
    cache.put("large", bytes(11))
    assert (cache.get("small"), cache.get("large")) == (b"x", None)
