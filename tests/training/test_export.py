"""A model folder appears whole or not at all, and scores what its checkpoint does."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import i2i
from i2i.engines.openvino import OpenVINOEngine
from i2i.engines.torch import TorchEngine
from i2i.image import Picture
from i2i.model_folder import GRAPH, WEIGHTS, ModelError, ModelFolder
from i2i.predictor import Predictor
from i2i.spec import Graph
from training import cli
from training.checkpoint import read_checkpoint
from training.data.cache import Samples
from training.evaluation import latency
from training.evaluation.evaluate import evaluate, task_of
from training.export.export import In8Bit, export, main
from training.export.margins import window_for
from training.export.model_writing import most_varied_part
from training.recipe import build
from training.tasks import Sample, SuperResolution


@pytest.fixture
def run(run_of: Callable[[str], Any]) -> Any:
    return run_of("super_resolution_x2")


@pytest.fixture
def model(run: Any, tmp_path: Path) -> Path:
    """A copy of a model folder that a test may change."""
    copied: Path = shutil.copytree(run.model, tmp_path / "models" / "a-model")
    return copied


@pytest.fixture
def graph_of_the_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of the run take its model's graph: torch's exporter takes 3 s each time."""

    def write_graph(
        net: Any, kind: str, temperature: float, folder: Path, map: Any = None
    ) -> Graph:
        assert (folder / WEIGHTS).read_bytes() == (run.model / WEIGHTS).read_bytes()
        shutil.copy(run.model / GRAPH, folder)
        return ModelFolder.open(run.model).spec.graph

    monkeypatch.setattr("training.export.export.write_graph", write_graph)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def message(arguments: list[str]) -> str:
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert isinstance(error.value.code, str)
    assert "\n" not in error.value.code
    return error.value.code


def test_a_folder_that_is_no_model_is_refused_and_kept(run: Any) -> None:
    Path("photos").mkdir()
    Path("photos/holiday.txt").write_text("precious")

    said = message(["export", "--checkpoint", str(run.checkpoint), "--output", "photos"])

    assert said == "export: photos: expected a new folder or an earlier model, got something else"
    assert contents(Path("photos")) == {"holiday.txt": b"precious"}


def test_pictures_that_came_since_the_training_do_not_validate_unseen(run: Any) -> None:
    task, _, recipe = read_checkpoint(run.checkpoint)
    loads = build(recipe["source"]).validation_loads(task)
    assert Samples(loads, cache_bytes=0).digest == recipe["data"]["validation_digest"]

    # Every tenth picture validates: one before them all moves each by one place.
    shutil.copytree(recipe["source"]["init_args"]["root"], "more")
    Image.new("RGB", (128, 128)).save("more/0.png")
    checkpoint = torch.load(run.checkpoint, weights_only=True)
    checkpoint["recipe"]["source"]["init_args"]["root"] = str(Path("more").absolute())
    torch.save(checkpoint, "moved.ckpt")

    said = message(["export", "--checkpoint", "moved.ckpt", "--output", "model"])
    assert "the run's validation pictures are no longer the same" in said
    assert not Path("model").exists()

    shutil.move("more", "elsewhere")
    said = message(["export", "--checkpoint", "moved.ckpt", "--output", "model"])
    assert said.startswith("export: --images: expected a folder, for the run's pictures are no lon")
    assert "more, which is none" in said
    assert said.endswith("; name the folder of those that validated it")


@pytest.mark.usefixtures("graph_of_the_run")
def test_a_failing_export_leaves_the_earlier_model(run: Any, model: Path) -> None:
    before = contents(model)
    good = Sample("good", np.array(Image.open(next(run.images.iterdir()))))
    dot = Sample("dot", np.zeros((8, 8, 3), np.uint8))

    with pytest.raises(ValueError, match=r"dot: cannot be scored: .*at least 11 x 11"):
        export(run.checkpoint, model, [good, dot])

    assert contents(model) == before
    assert [p.name for p in model.parent.iterdir()] == ["a-model"]


@pytest.mark.usefixtures("graph_of_the_run")
def test_a_graph_that_scores_otherwise_is_not_exported(
    run: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(model)
    flat = Sample("flat", np.full((64, 64, 3), 128, np.uint8))
    run_engine = TorchEngine.run
    opened: list[TorchEngine] = []

    def worse(self: TorchEngine, image: Any) -> dict[str, Any]:
        # The first engine that runs is the checkpoint itself. The others are wrong by no more than
        # the golden sample may differ from machine to machine.
        opened.append(self)
        outputs: dict[str, Any] = dict(run_engine(self, image))
        return outputs if self is opened[0] else {k: v + 0.005 for k, v in outputs.items()}

    monkeypatch.setattr(TorchEngine, "run", worse)
    with pytest.raises(
        ModelError, match=r"expected psnr_y .* on torch f32, got .*not what was val"
    ):
        export(run.checkpoint, model, [flat])

    assert contents(model) == before


@pytest.mark.usefixtures("graph_of_the_run")
def test_an_export_replaces_an_earlier_model_and_says_so(
    run: Any, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "stale.txt").write_text("of the earlier model")
    earlier, given = ModelFolder.open(model).spec, ["--licence", "CC0", "--images", str(run.images)]

    main(["--checkpoint", str(run.checkpoint), "--output", str(model), *given])

    spec = ModelFolder.open(model).spec
    assert f"in the place of {earlier.address}" in capsys.readouterr().out
    assert set(contents(model)) == {
        "model.json",
        "weights.safetensors",
        "graph.onnx",
        "golden-input.png",
        "golden-output.npz",
        "README.md",
    }
    assert spec.provenance["licence"] == "CC0"
    assert "CC0" in (model / "README.md").read_text()
    assert [p.name for p in model.parent.iterdir()] == ["a-model"]


@pytest.mark.parametrize(
    ("checkpoint", "output", "words"),
    [
        ("nowhere.ckpt", "m", r"nowhere\.ckpt: expected a checkpoint such as .*, got no file"),
        ("text.ckpt", "m", r"text\.ckpt: expected a checkpoint, got another or a damaged file"),
        ("foreign.ckpt", "m", r"foreign\.ckpt: expected a checkpoint of `python -m training fit`"),
        ("other.ckpt", "m", r"other\.ckpt: expected the weights of its net, got others"),
        ("diverged.ckpt", "m", r"diverged\.ckpt: expected finite weights, got some that are not"),
        ("gone.ckpt", "m", r"training\.tasks\.Gone: expected a class"),
        ("good.ckpt", "My_Model", r"name: expected lower-case letters"),
        ("good.ckpt", "text.ckpt/m", r"text\.ckpt"),
    ],
)
def test_what_cannot_be_exported_is_told_in_one_line(
    checkpoint: str, output: str, words: str, run: Any
) -> None:
    Path("text.ckpt").write_text("no checkpoint")
    good = torch.load(run.checkpoint, weights_only=True)
    torch.save({"state_dict": {}}, "foreign.ckpt")
    torch.save(good | {"state_dict": {"net.layer": torch.zeros(3)}}, "other.ckpt")
    nowhere = {name: weight * torch.nan for name, weight in good["state_dict"].items()}
    torch.save(good | {"state_dict": nowhere}, "diverged.ckpt")
    gone = good["recipe"] | {"task": {"class_path": "training.tasks.Gone", "init_args": {}}}
    torch.save(good | {"recipe": gone}, "gone.ckpt")
    torch.save(good, "good.ckpt")

    said = message(["export", "--checkpoint", checkpoint, "--output", output])

    assert re.search(words, said)
    assert not Path(output).exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--masks", "m"], "--masks: expected --images beside it, got none"),
        (["--targets", "t"], "--targets: expected --images beside it, got none"),
        (["--max-pixels", "9"], "--max-pixels: expected --margin whole, got exact"),
        (
            ["--margin=whole", "--margin-tolerance=0.1"],
            "--margin-tolerance: expected --margin measured, got whole",
        ),
    ],
)
def test_an_option_that_would_not_count_is_refused(options: list[str], words: str) -> None:
    assert words in message(["export", "--checkpoint", "any", "--output", "model", *options])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--model", "nowhere"], r"expected a model folder or one of .*, got nowhere"),
        (["--images", "nowhere"], r"expected a folder of pictures, got nowhere"),
        (["--compare", "nowhere.json"], r"--compare: expected a file of results, got nowhere"),
        (
            ["--model", "super-resolution-x2", "--record", "mine"],
            r"--record: expected the path of a model folder, got the shipped super-resolution-x2",
        ),
        (["--output", "/dev/null/a/results.json"], r"Not a directory: '/dev/null/a'"),
    ],
)
def test_what_cannot_be_evaluated_is_told_in_one_line(
    more: list[str], words: str, run: Any
) -> None:
    base = ["evaluate", "--model", str(run.model), "--images", str(run.images)]

    assert re.search(words, message([*base, *more]))


def test_a_segmentation_is_evaluated_with_masks(run_of: Callable[[str], Any]) -> None:
    run = run_of("segmentation")

    said = message(["evaluate", "--model", str(run.model), "--images", str(run.images)])

    assert said == (
        "evaluate: --masks: expected a folder of masks for the task segmentation, got none"
    )


def test_a_class_that_is_nowhere_has_no_score_and_the_results_are_json(
    run_of: Callable[[str], Any],
) -> None:
    predictor = i2i.load(run_of("segmentation").model)
    task = task_of(predictor.folder)
    unknown = Sample("s", np.zeros((32, 32, 3), np.uint8), np.full((32, 32), 255, np.uint8))

    results = evaluate(predictor, task, [unknown])

    assert "mean_iou" not in results["scores"]
    json.dumps(results, allow_nan=False)


def test_a_picture_that_is_met_exactly_has_a_finite_score(run: Any) -> None:
    flat = Sample("flat", np.full((64, 64, 3), 128, np.uint8))

    results = evaluate(i2i.load(run.model), SuperResolution(2), [flat])

    assert results["baseline"]["psnr_y"] == 100
    json.dumps(results, allow_nan=False)


@pytest.mark.usefixtures("graph_of_the_run")
def test_a_graph_of_another_net_is_not_exported(
    run: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_engine = OpenVINOEngine.run

    def other(self: OpenVINOEngine, image: Any) -> dict[str, Any]:
        return {k: np.multiply(v, 0.5) for k, v in run_engine(self, image).items()}

    monkeypatch.setattr(OpenVINOEngine, "run", other)
    with pytest.raises(ModelError, match=r"golden sample .* on openvino f32 within 0\.00784, got"):
        export(run.checkpoint, model, [Sample("flat", np.full((64, 64, 3), 128, np.uint8))])


def test_a_gray_picture_is_scored_as_gray(run: Any) -> None:
    gray = np.random.default_rng(0).integers(60, 180, (40, 40, 1), np.uint8)
    task = SuperResolution(2)

    results = evaluate(i2i.load(run.model), task, [Sample("gray", gray)])

    enlarged = task.baseline(task.pair(Sample("gray", gray), np.random.default_rng(0))[0])
    error = (enlarged.astype(float) - gray)[2:-2, 2:-2] / 255
    expected = -10 * np.log10(np.mean(error**2))
    assert results["baseline"]["psnr_y"] == pytest.approx(expected)


def test_masks_of_0_and_255_are_no_perfect_score(run_of: Callable[[str], Any]) -> None:
    predictor = i2i.load(run_of("segmentation").model)
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 8:20] = 255

    with pytest.raises(ValueError, match="masks of 0 and 255 must be saved as 0 and 1"):
        evaluate(
            predictor,
            task_of(predictor.folder),
            [Sample("s", np.zeros((32, 32, 3), np.uint8), mask)],
        )


STRANGER = {"class_path": "os.system", "init_args": {"command": "touch executed"}}


@pytest.mark.parametrize(
    "task",
    [
        STRANGER,
        {
            "class_path": "training.tasks.Segmentation",
            "init_args": {"class_names": ["a", STRANGER]},
        },
        {"class_path": "training.tasks.SuperResolution", "init_args": {"scale": STRANGER}},
        {"class_path": "training.tasks.segmentation.np.save", "init_args": {}},
        {"class_path": "training.tasks.Sample", "init_args": {}},
        "no description",
    ],
)
def test_a_model_folder_names_a_task_of_ours_and_plain_arguments(model: Path, task: Any) -> None:
    spec = json.loads((model / "model.json").read_text())
    spec["provenance"]["config"]["task"] = task
    (model / "model.json").write_text(json.dumps(spec))

    with pytest.raises(ModelError, match=r"expected a task of training\.tasks in its provenance"):
        task_of(ModelFolder.open(model))
    assert not Path("executed").exists()


def test_the_golden_sample_is_the_part_that_varies_most() -> None:
    detail = np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)
    pixels = np.full((20, 30, 3), 99, np.uint8)
    pixels[8:16, 16:24] = detail

    np.testing.assert_array_equal(most_varied_part(Picture(pixels), 8).pixels, detail)
    np.testing.assert_array_equal(most_varied_part(Picture(detail), 9).pixels, detail)


def test_the_golden_sample_replays_on_every_engine(run: Any) -> None:
    for engine, precisions in ModelFolder.open(run.model).spec.tolerance.items():
        for precision in precisions:
            i2i.load(run.model, engine=engine, precision=precision).check_golden()


@pytest.mark.parametrize("margin", [0, 22, 48, 61, 200])
def test_a_window_keeps_the_price_of_the_margin_low(margin: int) -> None:
    window = window_for(margin, 4)

    assert window % 64 == 0
    assert (window / (window - 2 * margin)) ** 2 <= 1.8


@pytest.mark.usefixtures("graph_of_the_run")
def test_a_model_of_small_whole_pictures_is_timed_on_one(run: Any, tmp_path: Path) -> None:
    samples = [Sample("a", np.zeros((40, 40, 3), np.uint8))]
    export(run.checkpoint, tmp_path / "whole", samples, margins="whole", max_pixels=10_000)

    measured = latency.measure(str(tmp_path / "whole"), "openvino", "f32")
    assert measured["picture_side"] == 100
    assert measured["window_side"] <= 100


def test_samples_of_16_bits_are_measured_as_evaluate_reads_them() -> None:
    deep = np.full((4, 4, 3), 65535, np.uint16)
    sample = In8Bit([Sample("deep", deep, target=deep)])[0]
    for picture in (sample.image, sample.target):
        assert picture is not None
        assert picture.dtype == np.uint8
        assert (picture == 255).all()


def test_what_cannot_be_written_is_told_before_the_work(model: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (40, 40)).save(images / "a.png")
    arguments = ["evaluate", "--model", str(model), "--images", str(images)]
    assert "expected a file, got the folder" in message([*arguments, "--output", str(tmp_path)])
    assert message([*arguments, "--gallery", str(images / "a.png")])


def test_no_evaluation_without_pictures(run: Any) -> None:
    task, net, _ = read_checkpoint(run.checkpoint)
    folder = ModelFolder.open(run.model)

    with pytest.raises(ValueError, match="pictures: expected at least one"):
        evaluate(Predictor(folder, TorchEngine(net, folder.spec)), task, [])
