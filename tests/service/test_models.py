import logging
import threading
from pathlib import Path

import pytest

from service.errors import Problem
from service.models import Models
from service.routes import create_app
from service.settings import Settings


def test_models_are_ready_once_all_are_loaded_and_proved(twice, models_of):
    models = models_of(twice)
    assert not models.ready
    models.load()
    assert models.ready
    assert models.find("twice") is twice
    assert models.find(twice.spec.address) is twice


def test_nothing_to_serve_is_not_ready(models_of, caplog):
    models = models_of()
    with caplog.at_level(logging.ERROR):
        models.load()
    assert not models.ready
    assert "I2I_MODELS" in caplog.text


def test_the_process_answers_while_models_load(twice, wait_until, client_of):
    gate = threading.Event()

    def load_slowly(folder: Path):
        gate.wait()
        return twice

    models = Models(lambda: {"twice": Path("twice")}, load_slowly)
    models.start()
    with client_of(create_app(models, Settings())) as client:
        assert client.get("/livez").status_code == 200
        reply = client.get("/readyz")
        assert (reply.status_code, reply.json()["loading"]) == (503, ["twice"])
        assert reply.headers["Retry-After"]
        early = client.post("/v1/models/twice/predict", content=b"anything")
        assert (early.status_code, early.json()["code"]) == (503, "queue_full")
        gate.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/v1/models/twice").status_code == 200


def test_a_model_that_fails_its_golden_sample_is_not_served(
    twice, bright, models_of, client_of, png, caplog
):
    twice.engine.failure = ValueError("weights of /secret/place")
    models = models_of(twice, bright)
    with caplog.at_level(logging.ERROR):
        models.load()
    assert "weights of /secret/place" in caplog.text
    with client_of(create_app(models, Settings())) as client:
        reply = client.get("/readyz")
        assert reply.status_code == 503
        assert reply.json() == {"ready": False, "loading": [], "failed": ["twice"]}
        assert [spec["name"] for spec in client.get("/v1/models").json()["models"]] == ["bright"]
        failed = client.post("/v1/models/twice/predict", content=png)
        assert (failed.status_code, failed.json()["code"]) == (503, "model_failed")
        assert client.post("/v1/models/bright/predict", content=png).status_code == 200
        # A copy of what is served that fails makes no other version known.
        models._failed["bright"] = models._failed["twice"]
        unknown = client.post("/v1/models/bright@000/predict", content=png)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_model")


def test_a_model_gives_its_memory_back_once_it_is_proved(client, twice, png):
    assert client.get("/readyz").status_code == 200
    assert twice.engine.released == 1
    assert client.post("/v1/models/twice/predict", content=png).status_code == 200
    assert twice.engine.released == 1


def test_a_model_that_begins_to_fail_costs_itself_only(client, twice, png):
    twice.engine.failure = RuntimeError("no more")
    for _ in range(5):
        reply = client.post("/v1/models/twice/predict", content=png)
        assert (reply.status_code, reply.json()["code"]) == (503, "model_failed")
        assert reply.headers["Retry-After"]
    assert client.get("/readyz").status_code == 200
    assert client.post("/v1/models/bright/predict", content=png).status_code == 200
    twice.engine.failure = None
    assert client.post("/v1/models/twice/predict", content=png).status_code == 200


def test_a_process_that_stops_is_not_ready_and_answers_on(models, client_of, png):
    app = create_app(models, Settings())
    with client_of(app) as client:
        app.state.stopping = True
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
        assert client.post("/v1/models/twice/predict", content=png).status_code == 200


@pytest.mark.whole
def test_the_process_is_live_while_engine_and_codecs_are_taken(serve, twice, large_png):
    # The closed gate makes the engine look slow: nobody shall be refused for that.
    with serve(queue_s=3600) as client:
        twice.engine.gate.clear()
        path = "/v1/models/twice/predict"
        many = [client.begin("POST", path, content=large_png) for _ in range(20)]
        twice.engine.began.wait()
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert not any(request.done() for request in many)
        twice.engine.gate.set()
        assert {request.result().status_code for request in many} == {200}


def test_every_version_has_an_address_and_the_last_folder_has_the_name(make_predictor):
    old, new = (make_predictor("twice", scale=2, digest=digit * 64) for digit in "ab")
    folders = {"twice-2": Path("new"), "twice-1": Path("old")}
    models = Models(lambda: folders, lambda folder: {"new": new, "old": old}[folder.name])
    models.load()
    assert models.find("twice") is new
    assert models.find("twice@aaaaaaaaaaaa") is old
    assert models.find("twice@bbbbbbbbbbbb") is new


def test_a_folder_of_folders_is_served_and_what_is_no_model_is_told(tmp_path, caplog):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    models = Models.of(Settings(models=tmp_path))
    with caplog.at_level(logging.ERROR):
        models.load()
    assert models.failed == ["broken"]


def test_an_unknown_name_is_told_what_there_is(models):
    with pytest.raises(Problem) as caught:
        models.find("thrice")
    assert caught.value.code == "unknown_model"
    assert caught.value.expected == "one of bright, twice"
    assert caught.value.got == "thrice"
