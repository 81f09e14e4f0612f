"""The service as users run it: real processes, real sockets, a shipped model."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import yaml

import i2i
from i2i.model_folder import SPEC, digest_of

ROOT = Path(__file__).parents[2]
BENTOML = [sys.executable, "-m", "bentoml"]


@pytest.mark.whole
def test_a_server_answers_as_the_library_does_at_addresses_of_ours_and_finishes_what_it_began(
    serving, model, wait_until
):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    small, large = (i2i.encode(i2i.Picture(pixels)) for pixels in (noise[:40, :50], noise))
    with serving("service.service:I2I") as (process, client), ThreadPoolExecutor() as threads:
        wait_until(lambda: client.get("/readyz").is_success)
        reply = client.post(f"/v1/models/{model}/predict", content=small)
        assert reply.content == i2i.load(model).predict(i2i.decode(small)).encode()

        for path in ("/docs.json", "/schema.json", "/static_content/main-openapi.html", "/healthz"):
            reply = client.get(path)
            assert (path, reply.status_code, reply.json()["code"]) == (path, 404, "not_found")
        assert client.get("/openapi.json").json()["info"]["title"] == "i2i"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgraded = client.get("/nowhere", headers=upgrade | {"Sec-WebSocket-Key": "x" * 22 + "=="})
        assert (upgraded.status_code, upgraded.json()["code"]) == (404, "not_found")
        assert "i2i_requests_total" in client.get("/metrics").text

        in_flight = threads.submit(client.post, f"/v1/models/{model}/predict", content=large)
        held = re.compile(r"^i2i_held_bytes [1-9]", re.MULTILINE)
        wait_until(lambda: in_flight.done() or held.search(client.get("/metrics").text))
        process.send_signal(signal.SIGTERM)
        assert in_flight.result().is_success


@pytest.mark.slow
def test_a_job_outlives_processes_that_are_killed_and_stopped(
    serving, slow_model, wait_until, environment, tmp_path
):
    environment["I2I_JOBS_DIR"] = str(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
    picture = i2i.encode(i2i.Picture(noise))
    with serving("service.service:I2I") as (process, client):
        wait_until(lambda: client.get("/readyz").is_success)
        job = client.post(f"/v1/models/{slow_model}/jobs", content=picture).headers["Location"]
        wait_until(lambda: client.get(job).json()["progress"] > 0)
        assert client.get(job).json()["state"] == "running"
        for each in (*psutil.Process(process.pid).children(recursive=True), process):
            each.kill()
    with serving("service.service:I2I") as (process, client):
        wait_until(lambda: client.get(job).json()["state"] == "running")
        wait_until(lambda: client.get(job).json()["progress"] > 0)
    with serving("service.service:I2I") as (_, client):
        assert client.get(job).json()["state"] in ("queued", "running")
        wait_until(lambda: client.get(job).json()["state"] == "done")
        result = client.get(f"{job}/result").content
    assert result == i2i.load(slow_model).predict(i2i.decode(picture, depth=16)).encode()


@pytest.mark.slow
def test_a_signal_to_stop_ends_readiness_at_once_and_no_request(
    serving, environment, slow_model, wait_until
):
    environment["I2I_DRAIN_S"] = "3"
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    small, large = (i2i.encode(i2i.Picture(pixels)) for pixels in (noise[:40, :50], noise))
    address = f"/v1/models/{slow_model}/predict"
    with serving("service.service:I2I") as (process, client), ThreadPoolExecutor() as threads:
        wait_until(lambda: client.get("/readyz").is_success)
        many = [threads.submit(client.post, address, content=large) for _ in range(3)]
        held = re.compile(r"^i2i_queue_windows [1-9]", re.MULTILINE)
        wait_until(lambda: held.search(client.get("/metrics").text))
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/readyz").status_code == 503)
        # Who has not heard of it yet is served.
        assert client.post(address, content=small).is_success
        assert client.get("/livez").is_success
        assert not all(request.done() for request in many)
        assert all(request.result().is_success for request in many)
        process.wait(60)
        with pytest.raises(httpx.TransportError):
            client.get("/livez")


@pytest.mark.slow
def test_a_model_is_exchanged_under_load_without_a_refusal(
    serving, environment, model, wait_until, tmp_path
):
    folder = shutil.copytree(i2i.shipped_models()[model], tmp_path / "models" / model)
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("client", "boss")}
    keys_file = tmp_path / "keys"
    keys_file.write_text(f"{keys['client']} client\n{keys['boss']} boss admin\n")
    environment |= {"I2I_MODELS": str(folder.parent), "I2I_KEYS_FILE": str(keys_file)}
    small = i2i.encode(i2i.Picture(np.zeros((40, 50, 3), np.uint8)))
    client_key, boss_key = ({"Authorization": f"Bearer {name}"} for name in ("client", "boss"))

    def answers(version: str) -> set[int]:
        """Statuses of requests until this version answers."""
        statuses: set[int] = set()

        def is_exchanged() -> bool:
            path = f"/v1/models/{model}/predict"
            reply = client.post(path, content=small, headers=client_key)
            statuses.add(reply.status_code)
            return reply.headers.get("X-Model") == f"{model}@{version}"

        wait_until(is_exchanged)
        return statuses

    with serving("service.service:I2I") as (_, client), ThreadPoolExecutor() as threads:
        wait_until(lambda: client.get("/readyz").is_success)
        second = rewrite(folder, task="second")
        several = [threads.submit(answers, second) for _ in range(4)]
        reply = client.post("/v1/models:reload", headers=boss_key)
        assert [one["outcome"] for one in reply.json()["models"]] == ["loaded"]
        assert all(one.result() == {200} for one in several)
        # The next is found by watching.
        assert answers(rewrite(folder, task="third")) == {200}
    assert not list((tmp_path / "bentoml").rglob("*.db")), "metrics are kept in files"


def rewrite(folder: Path, **fields: object) -> str:
    """Other fields in a folder's spec; gives the new version."""
    changed = {**json.loads((folder / SPEC).read_text()), **fields}
    changed["digest"] = digest_of(folder, changed)
    (folder / SPEC).write_text(json.dumps(changed))
    return changed["digest"][:12]


@pytest.mark.whole
def test_a_wrong_setting_ends_the_start_with_its_name(environment):
    environment["I2I_MAX_BODY"] = "much"
    command = [*BENTOML, "serve", "service.service:I2I"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode != 0
    expected = "I2I_MAX_BODY: expected a whole number of bytes in digits, at least 1, got 'much'"
    assert expected in ended.stdout + ended.stderr


@pytest.mark.whole
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
    assert not {"TimeoutMiddleware", "OpenTelemetryMiddleware"} & set(middleware)


def test_the_bento_asks_for_the_packages_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["openvino"], *extras["service"]}
    wanted = {name for name in wanted if not name.startswith(("i2i", "bentoml"))}
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert set(bento["python"]["packages"]) == wanted


@pytest.mark.slow  # `.ci/run` builds and serves the bento, too
def test_a_bento_holds_service_and_library_and_answers(serving, environment, tmp_path):
    if importlib.util.find_spec("uv") is None:
        pytest.skip("bentoml build wants uv, and would fetch it")
    command = [*BENTOML, "build", "--output", "tag"]
    output = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
    (tag,) = re.findall(r"^__tag__:(\S+)$", output, re.MULTILINE)
    assert "Tracking" not in output
    source = tmp_path / "bentoml" / "bentos" / tag.replace(":", "/") / "src"
    assert {path.name for path in source.iterdir()} <= {
        "i2i",
        "service",
        "bentofile.yaml",
        "constraints.txt",
    }
    assert (source / "i2i" / "predictor.py").is_file()
    with serving(tag, cwd=tmp_path) as (_, client):
        assert client.get("/livez").text == "live\n"
