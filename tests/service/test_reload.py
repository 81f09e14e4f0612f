"""Models that come, change, fail and go while the service runs."""

from __future__ import annotations

import gc
import json
import re
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from i2i.image import decode
from i2i.model_folder import SPEC, WEIGHTS, ModelFolder, digest_of, shipped_models
from i2i.predictor import Predictor
from service.errors import Problem
from service.models import Models
from service.routes import create_app
from service.settings import Settings

PREDICT = "/v1/models/twice/predict"


class Root:
    """A folder of folders that each name a predictor of the test."""

    def __init__(self, path: Path, make_predictor: Callable[..., Predictor]) -> None:
        self.path = path
        self.make = make_predictor
        self.engines: list[weakref.ref[Any]] = []
        self.loaded = 0
        self.changes = 0

    def write(self, folder: str, digit: str, **fields: Any) -> None:
        """Another version in `folder`: one whose digest is of this hex digit; `x` is broken."""
        self.changes += 1
        (self.path / folder).mkdir(exist_ok=True)
        # Its length tells it from the one before, also where a clock is coarse.
        text = json.dumps([digit, fields]) + " " * self.changes
        (self.path / folder / SPEC).write_text(text)

    def remove(self, folder: str) -> None:
        shutil.rmtree(self.path / folder)

    def folders(self) -> dict[str, Path]:
        return {path.name: path for path in self.path.iterdir()}

    def load(self, folder: Path) -> Predictor:
        self.loaded += 1
        digit, fields = json.loads((folder / SPEC).read_text())
        if digit == "x":
            raise OSError(f"no weights in {folder}")
        predictor = self.make(folder.name.partition("-")[0], digest=digit * 64, **fields)
        self.engines.append(weakref.ref(predictor.engine))
        return predictor


@pytest.fixture
def root(tmp_path: Path, make_predictor: Callable[..., Predictor]) -> Root:
    return Root(tmp_path, make_predictor)


@pytest.fixture
def models(root: Root) -> Models:
    root.write("twice", "a", scale=2)
    root.write("same", "b")
    models = Models(root.folders, root.load)
    models.load()
    return models


def outcomes(models: Models) -> dict[str, tuple[str, str]]:
    return {one.folder: (one.outcome, one.model) for one in models.reload()}


def test_what_has_changed_is_loaded_and_nothing_else(models, root):
    assert outcomes(models) == {
        "same": ("unchanged", "same@bbbbbbbbbbbb"),
        "twice": ("unchanged", "twice@aaaaaaaaaaaa"),
    }
    root.write("twice", "c", scale=3)
    root.write("third", "d")
    root.loaded = 0
    assert outcomes(models) == {
        "same": ("unchanged", "same@bbbbbbbbbbbb"),
        "third": ("loaded", "third@dddddddddddd"),
        "twice": ("loaded", "twice@cccccccccccc"),
    }
    assert root.loaded == 2
    assert models.find("twice").spec.scale == 3
    with pytest.raises(Problem):
        models.find("twice@aaaaaaaaaaaa")


def test_what_fails_leaves_the_version_before_it(models, root, caplog):
    root.write("twice", "x")
    failed = models.reload()[1]
    assert (failed.outcome, failed.model) == ("failed", "twice@aaaaaaaaaaaa")
    assert str(root.path) not in failed.detail
    assert str(root.path) in caplog.text
    assert models.ready
    assert models.failed == ["twice"]
    assert models.find("twice").spec.version == "a" * 12

    root.write("third", "x")
    assert outcomes(models)["third"] == ("failed", "")
    with pytest.raises(Problem) as caught:
        models.find("third")
    assert caught.value.code == "model_failed"
    assert models.ready

    root.write("twice", "c")
    root.remove("third")
    assert outcomes(models)["twice"] == ("loaded", "twice@cccccccccccc")
    assert models.failed == []


def test_a_model_that_answers_otherwise_than_it_did_at_export_is_not_taken(models, root):
    root.write("twice", "c", scale=2, tolerance={})
    failed = models.reload()[1]
    assert (failed.outcome, failed.model) == ("failed", "twice@aaaaaaaaaaaa")
    assert "expected a tolerance for openvino f32, got none" in failed.detail


def test_a_folder_that_is_gone_is_no_longer_served(models, root):
    root.remove("same")
    assert outcomes(models)["same"] == ("removed", "")
    with pytest.raises(Problem) as caught:
        models.find("same")
    assert caught.value.expected == "one of twice"
    # All gone at once is a disk that is gone.
    root.remove("twice")
    assert outcomes(models) == {}
    assert models.find("twice")


def test_a_folder_that_is_removed_and_copied_anew_serves_without_a_gap(models, root):
    def watched() -> tuple[str, str]:
        return next((o.outcome, o.model) for o in models.follow() if o.folder == "twice")

    old, new = "twice@aaaaaaaaaaaa", "twice@cccccccccccc"
    root.remove("twice")
    assert watched() == ("waiting", old)
    assert models.find("twice").spec.address == old
    root.write("twice", "c")
    assert [watched(), watched()] == [("waiting", old), ("loaded", new)]
    root.remove("twice")
    assert [watched(), watched()] == [("waiting", new), ("removed", "")]
    with pytest.raises(Problem, match="unknown_model"):
        models.find("twice")


def test_versions_side_by_side_have_their_addresses(models, root):
    root.write("twice-2", "c")
    models.reload()
    assert models.find("twice").spec.version == "c" * 12
    assert models.find("twice@aaaaaaaaaaaa").spec.version == "a" * 12
    root.remove("twice-2")
    models.reload()
    assert models.find("twice").spec.version == "a" * 12


def test_a_start_that_failed_is_made_good_by_a_reload(root):
    root.write("twice", "x")
    root.write("same", "b")
    models = Models(root.folders, root.load)
    models.load()
    assert not models.ready
    root.write("twice", "a")
    models.reload()
    assert models.ready


def test_watching_waits_until_a_folder_stays_as_it_is_and_tries_it_once(models, root):
    def watched() -> tuple[str, str]:
        return next((o.outcome, o.model) for o in models.follow() if o.folder == "twice")

    old, new = "twice@aaaaaaaaaaaa", "twice@cccccccccccc"
    assert watched() == ("unchanged", old)
    root.write("twice", "x")
    assert watched() == ("waiting", old)
    root.write("twice", "x")
    root.loaded = 0
    assert [watched(), watched(), watched()] == [
        ("waiting", old),
        ("failed", old),
        ("waiting", old),
    ]
    assert root.loaded == 1
    root.write("twice", "c")
    assert [watched(), watched(), watched()] == [
        ("waiting", old),
        ("loaded", new),
        ("unchanged", new),
    ]


def test_a_request_ends_with_the_model_it_began_with_which_then_leaves_the_memory(
    models, root, client_of, wait_until, png, large_png
):
    (old,) = [engine for engine in root.engines if engine().spec.name == "twice"]
    with client_of(create_app(models, Settings())) as client:
        engine = old()
        engine.gate.clear()
        engine.began.clear()
        in_flight = client.begin("POST", PREDICT, content=large_png)
        engine.began.wait()
        root.write("twice", "c", scale=3)
        models.reload()
        after = client.post(PREDICT, content=png)
        assert after.headers["X-Model"] == "twice@cccccccccccc"
        for _ in range(2):  # Prometheus comes again and again: the counts of what works go on
            wait_until(lambda: windows_of(client, "twice@aaaaaaaaaaaa") > 1)
        engine.gate.set()
        reply = in_flight.result()
        assert reply.status_code == 200
        assert reply.headers["X-Model"] == "twice@aaaaaaaaaaaa"
        assert decode(reply.content).height == 2 * decode(large_png).height
        metrics = client.get("/metrics").text
        assert "aaaaaaaaaaaa" not in metrics
        assert 'i2i_window_seconds_count{model="twice@cccccccccccc"} 1.0' in metrics
        del engine
        wait_until(lambda: gc.collect() >= 0 and old() is None)


def test_models_that_are_not_named_wait_for_their_first_request(
    tmp_path, client_of, wait_until, png
):
    folder = shutil.copytree(min(shipped_models().values()), tmp_path / "models" / "lazy")
    rewrite(folder, name="lazy")
    other = shutil.copytree(folder, tmp_path / "models" / "eager")
    rewrite(other, name="eager")
    settings = Settings(models=tmp_path / "models", engine="openvino", threads=1, load=("eager",))
    models = Models.of(settings)
    models.load()
    assert models.ready
    assert [predictor.spec.name for predictor in models.predictors] == ["eager"]
    with client_of(create_app(models, settings)) as client:
        listed = client.get("/v1/models").json()["models"]
        assert [spec["name"] for spec in listed] == ["eager", "lazy"]
        assert client.get("/v1/models/lazy").json()["name"] == "lazy"
        assert len(models.predictors) == 1
        early = client.post("/v1/models/lazy/predict", content=png)
        assert (early.status_code, early.json()["code"]) == (503, "queue_full")
        assert early.headers["Retry-After"]
        wait_until(lambda: len(models.predictors) == 2)
        assert client.post("/v1/models/lazy/predict", content=png).status_code == 200
        assert client.get("/readyz").json() == {"ready": True, "loading": [], "failed": []}


def test_a_folder_that_goes_before_it_is_loaded_is_waited_for_no_more(tmp_path, wait_until):
    for name in ("lazy", "eager"):
        folder = shutil.copytree(min(shipped_models().values()), tmp_path / "models" / name)
        rewrite(folder, name=name)
    settings = Settings(models=tmp_path / "models", engine="openvino", threads=1, load=("eager",))
    models = Models.of(settings)
    shutil.rmtree(tmp_path / "models" / "eager")
    models.load()
    assert models.loading == []

    (tmp_path / "models").rename(tmp_path / "gone")
    with pytest.raises(Problem, match="queue_full"):
        models.find("lazy")
    wait_until(lambda: models.loading == [])
    with pytest.raises(Problem, match="model_failed"):
        models.find("lazy")
    assert models.failed == ["lazy"]

    (tmp_path / "gone").rename(tmp_path / "models")
    models.follow()
    with pytest.raises(Problem, match="queue_full"):
        models.find("lazy")
    wait_until(lambda: models.loading == [])
    assert models.find("lazy").spec.name == "lazy"


def test_a_folder_is_copied_over_one_that_serves(tmp_path, client_of, png):
    folder = shutil.copytree(min(shipped_models().values()), tmp_path / "models" / "m")
    rewrite(folder, name="m")
    new = shutil.copytree(folder, tmp_path / "new")
    rewrite(new, task="another")
    settings = Settings(models=tmp_path / "models", engine="openvino", threads=1)
    models = Models.of(settings)
    models.load()
    old_version, new_version = (ModelFolder.open(place).spec.version for place in (folder, new))
    with client_of(create_app(models, settings)) as client:
        pixels = client.post("/v1/models/m/predict", content=png).content

        shutil.copy(new / SPEC, folder / SPEC)
        (folder / WEIGHTS).write_bytes((new / WEIGHTS).read_bytes()[:1000])
        half = models.reload()[0]
        assert (half.outcome, half.model) == ("failed", f"m@{old_version}")
        assert half.detail.startswith("m: expected the digest ")
        assert client.post("/v1/models/m/predict", content=png).content == pixels

        shutil.copy(new / WEIGHTS, folder / WEIGHTS)
        whole = models.reload()[0]
        assert (whole.outcome, whole.model) == ("loaded", f"m@{new_version}")
        reply = client.post("/v1/models/m/predict", content=png)
        assert reply.headers["X-Model"] == f"m@{new_version}"
        assert reply.content == pixels


def windows_of(client: Any, model: str) -> float:
    counted = re.search(
        rf'^i2i_window_seconds_count{{model="{model}"}} (.+)$',
        client.get("/metrics").text,
        re.MULTILINE,
    )
    return float(counted[1]) if counted else 0.0


def rewrite(folder: Path, **fields: Any) -> None:
    """Other fields in the spec, and a digest that fits."""
    changed = {**json.loads((folder / SPEC).read_text()), **fields}
    changed["digest"] = digest_of(folder, changed)
    (folder / SPEC).write_text(json.dumps(changed))
