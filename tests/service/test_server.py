"""The service as users run it: real processes, real sockets, a shipped model."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml

import i2i

ROOT = Path(__file__).parents[2]
BENTOML = [sys.executable, "-m", "bentoml"]


@pytest.fixture
def model(environment: dict[str, str]) -> str:
    shipped = i2i.shipped_models()
    if not shipped:
        pytest.skip("runs once i2i/models holds a model")
    return min(shipped)


def test_a_server_answers_as_the_library_does_and_finishes_what_it_began(
    serving, model, wait_until
):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    small, large = (i2i.encode(i2i.Picture(pixels)) for pixels in (noise[:40, :50], noise))
    with serving("service.service:I2I") as (process, client), ThreadPoolExecutor() as threads:
        wait_until(lambda: client.get("/readyz").is_success)
        reply = client.post(f"/v1/models/{model}/predict", content=small)
        assert reply.content == i2i.load(model).predict(i2i.decode(small)).encode()

        in_flight = threads.submit(client.post, f"/v1/models/{model}/predict", content=large)
        held = re.compile(r"^i2i_held_bytes [1-9]", re.MULTILINE)
        wait_until(lambda: in_flight.done() or held.search(client.get("/metrics").text))
        process.send_signal(signal.SIGTERM)
        assert in_flight.result().is_success


def test_every_address_is_ours(serving):
    with serving("service.service:I2I") as (_, client):
        for path in ("/docs.json", "/schema.json", "/static_content/main-openapi.html", "/healthz"):
            reply = client.get(path)
            assert (path, reply.status_code, reply.json()["code"]) == (path, 404, "not_found")
        assert client.get("/openapi.json").json()["info"]["title"] == "i2i"
        assert "i2i_requests_total" in client.get("/metrics").text


def test_a_wrong_setting_ends_the_start_with_its_name(environment):
    environment = {**environment, "I2I_MAX_BODY": "much"}
    command = [*BENTOML, "serve", "service.service:I2I"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode != 0
    expected = "I2I_MAX_BODY: expected a whole number of bytes above 0, got 'much'"
    assert expected in ended.stdout + ended.stderr


def test_the_service_needs_no_torch_and_no_timers_of_bentoml(environment):
    program = """
import json, sys
from service.service import I2I
middleware = [m.cls.__name__ for m in I2I.to_asgi().user_middleware]
print(json.dumps([sorted(sys.modules), middleware]))
"""
    command = [sys.executable, "-c", program]
    output = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
    modules, middleware = json.loads(output)
    forbidden = {"torch", "lightning", "pytorch_lightning", "albumentations", "training"}
    assert not forbidden & set(modules)
    assert "Foremost" in middleware
    assert "TimeoutMiddleware" not in middleware


def test_the_bento_asks_for_the_packages_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["openvino"], *extras["service"]}
    wanted = {name for name in wanted if not name.startswith(("i2i", "bentoml"))}
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert set(bento["python"]["packages"]) == wanted


def test_a_bento_holds_service_and_library_and_answers(serving, environment, tmp_path):
    if importlib.util.find_spec("uv") is None:
        pytest.skip("bentoml build wants uv, and would fetch it")
    command = [*BENTOML, "build", "--output", "tag"]
    output = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
    (tag,) = re.findall(r"^__tag__:(\S+)$", output, re.MULTILINE)
    assert "Tracking" not in output
    source = Path(environment["BENTOML_HOME"]) / "bentos" / tag.replace(":", "/") / "src"
    assert {path.name for path in source.iterdir()} <= {"i2i", "service", "bentofile.yaml"}
    assert (source / "i2i" / "predictor.py").is_file()
    with serving(tag, cwd=tmp_path) as (_, client):
        assert client.get("/livez").text == "live\n"
