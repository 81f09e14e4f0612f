"""Every YAML in training/configs: a new config is tested by existing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import i2i
from i2i.engines.torch import TorchEngine
from i2i.model_folder import ModelFolder
from i2i.predictor import Predictor
from training import cli
from training.checkpoint import read_checkpoint
from training.evaluation.evaluate import evaluate, task_of
from training.evaluation.sample_folders import find_samples
from training.pages.run_page import read_columns
from training.tune import whole_config

CONFIGS = Path(cli.__file__).parent / "configs"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
DATA = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))


# One of each way through export and evaluation; the others take theirs in the slow tests.
EXPORTED = {"super_resolution_x2", "segmentation"}


LARGE = ("_base", "_erfnet")


@pytest.mark.whole
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n.endswith(LARGE) else n for n in NAMES]
)
def test_a_config_trains(name: str, trained: Callable[[str], Any]) -> None:
    run = trained(name)

    task, net, recipe = read_checkpoint(run.checkpoint)
    assert recipe["steps"] == 2
    task.check_net(net)
    assert list(run.folder.glob("pictures/*.png"))


@pytest.mark.parametrize(
    "name",
    [n if n in EXPORTED else pytest.param(n, marks=pytest.mark.slow) for n in NAMES],
)
def test_a_config_is_exported_and_evaluated(
    name: str, run_of: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(name)

    where = ["--model", str(run.model), *run.where]
    cli.main(["evaluate", *where, "--no-cost", "--output", "results.json"])

    results = json.loads(Path("results.json").read_text())
    assert set(results) == {
        "model",
        "set",
        "engine",
        "precision",
        "protocol",
        "protocol_digest",
        "scores",
        "baseline",
        "gain",
        "intervals",
        "known",
        "pictures",
    }
    spec = ModelFolder.open(run.model).spec
    monitor = spec.scores["validation"].monitor
    better = -1 if monitor in ("mae", "rmse") else 1
    gain = better * (results["scores"][monitor] - results["baseline"][monitor])
    assert results["gain"][monitor] == pytest.approx(gain)
    assert results["model"] == spec.address
    assert spec.protocol.items() <= results["protocol"].items()
    assert len(results["pictures"]) == len(list(run.images.iterdir()))
    assert all(picture["seconds"] > 0 for picture in results["pictures"])
    said = capsys.readouterr().out
    assert spec.address in said
    assert all(key in said for key in spec.protocol)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_says_first_what_it_is_for(name: str, configs: Path) -> None:
    first = (configs / f"{name}.yaml").read_text().splitlines()[0]

    assert first.startswith("# ")


@pytest.mark.parametrize(
    ("name", "near"), [("super_resolution_x2", 0.01), ("segmentation", 0.001), ("dense_map", 1e-4)]
)
def test_checkpoint_graph_and_predictor_score_alike(
    name: str, near: float, run_of: Callable[[str], Any]
) -> None:
    run = run_of(name)
    served = i2i.load(run.model, engine="openvino")
    task, net, _ = read_checkpoint(run.checkpoint)
    trained = Predictor(served.folder, TorchEngine(net, served.spec))
    loads = find_samples(run.images, run.masks, run.targets, task)
    samples = [load() for load in loads]

    by_checkpoint = evaluate(trained, task, samples)["scores"]
    measured = evaluate(served, task_of(served.folder), samples)
    by_graph = measured["scores"]

    recorded = served.spec.scores["validation"]
    assert by_checkpoint == pytest.approx(recorded.scores)
    assert by_graph[task.monitor] == pytest.approx(recorded.exported["openvino f32"])
    assert by_graph == pytest.approx(by_checkpoint, abs=near)
    assert (served.spec.temperature != 1) == (task.kind == "labels")
    columns = read_columns(run.folder / "metrics.csv")
    baseline = {name: columns[f"baseline/{name}"][1][-1] for name in measured["baseline"]}
    # While it trains, pictures are cut to what fits the net without padding.
    assert baseline == pytest.approx(measured["baseline"], abs=0.1, nan_ok=True)


def test_the_log_holds_the_score_the_pictures_and_the_config(run_of: Callable[[str], Any]) -> None:
    folder = run_of("super_resolution_x2").folder

    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    assert {"loss", "learning_rate", "val/psnr_y", "step"} <= set(header.split(","))
    assert rows
    assert list(folder.glob("events.out.tfevents.*"))
    assert (folder / "config.yaml").is_file()
    pictures = sorted(folder.glob("pictures/*.png"))
    assert [path.name for path in pictures] == ["validation-0-step-000002.png"]
    with Image.open(pictures[0]) as shown:
        # Bicubic, output and target in a row, with two gaps of 4.
        assert shown.size == (3 * 80 + 2 * 4, 64)


def test_a_run_can_be_repeated_from_the_config_it_kept(
    run_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("super_resolution_x2")
    monkeypatch.setattr("sys.argv", ["training"])

    cli.main(["fit", "--config", str(run.folder / "config.yaml"), "--trainer.logger=null"])

    again = next(Path("runs").glob("*/checkpoints/best.ckpt"))
    first, second = read_checkpoint(run.checkpoint)[1], read_checkpoint(again)[1]
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert one.equal(other)


@pytest.mark.whole
@pytest.mark.parametrize("name", DATA)
def test_a_recipe_of_data_serves_a_recipe_of_a_task(name: str, configs: Path) -> None:
    recipe, data = configs / "segmentation.yaml", configs / "data" / f"{name}.yaml"
    kind = next(line for line in data.read_text().splitlines() if line.startswith("class_path"))

    assert kind in whole_config(["--config", str(recipe), "--data", str(data)])
