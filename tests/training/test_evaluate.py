"""What evaluation measures for each kind of task, beside which trivial answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import i2i
from i2i.metrics import psnr
from i2i.model_folder import ModelError, ModelFolder
from training import cli
from training.data.crops import to_tensor
from training.degradations import Chain, GaussianNoise, Holes, Jpeg
from training.evaluation.evaluate import evaluate, task_of
from training.evaluation.sample_folders import find_samples
from training.export.card import card
from training.pixels import to_8_bit
from training.recipe import describe
from training.tasks import DenseMap, Restoration, Sample, SuperResolution, Task


def folder_of(task: Task, run: Any) -> ModelFolder:
    """The model folder of a run, as if it had been trained for another task."""
    folder = ModelFolder.open(run.model)
    provenance = folder.spec.provenance | {"config": {"task": describe(task)}}
    return ModelFolder(folder.path, replace(folder.spec, provenance=provenance))


def test_a_restoration_is_measured_on_8_bit_pictures_and_again_alike(
    run_of: Callable[[str], Any], picture: Callable[..., np.ndarray]
) -> None:
    run = run_of("denoise")
    predictor, task = i2i.load(run.model), task_of(ModelFolder.open(run.model))
    samples = [Sample(str(seed), picture(seed=seed)) for seed in range(2)]

    results = evaluate(predictor, task, samples)

    assert isinstance(task, Restoration)
    assert results["scores"] == evaluate(predictor, task, samples)["scores"]
    assert "GaussianNoise(sigma=25" in results["protocol"]["degradation"]
    expected = []
    for index, sample in enumerate(samples):
        noisy = to_8_bit(task.degradation(sample.image, np.random.default_rng([0, index])))
        output, target = (task.input_tensor(to_tensor(p)[None]) for p in (noisy, sample.image))
        expected.append(psnr(output, target).item())
    assert results["baseline"]["psnr"] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_that_no_file_can_hold_reaches_the_net_and_has_a_protocol_of_its_own(
    run_of: Callable[[str], Any], picture: Callable[..., np.ndarray], channels: int
) -> None:
    predictor = i2i.load(run_of("denoise").model)
    task = Restoration(GaussianNoise(sigma=50))
    samples = [Sample("a", picture(seed=1)[..., :channels])]

    clipped, unclipped = (
        evaluate(predictor, task, samples, unclipped=unclipped) for unclipped in (False, True)
    )

    noisy, target = task.pair(samples[0], np.random.default_rng([0, 0]))
    assert noisy.min() < 0
    assert noisy.max() > 1
    expected = -10 * np.log10(np.mean((noisy - target / np.float32(255)) ** 2))
    assert unclipped["baseline"] == {"psnr": pytest.approx(expected, abs=1e-4)}
    # Clipping takes a part of the noise away.
    assert clipped["baseline"]["psnr"] > expected
    assert unclipped["scores"]["psnr"] != clipped["scores"]["psnr"]
    assert unclipped["protocol_digest"] != clipped["protocol_digest"]
    assert unclipped["protocol"]["input"] == "float32, not clipped"
    with pytest.raises(ValueError, match="expected no averaging beside it, got 8 flips"):
        evaluate(predictor, task, samples, "8 flips and turns", unclipped=True)


@pytest.mark.slow
def test_a_dense_map_is_measured_in_its_unit_beside_the_median(
    run_of: Callable[[str], Any],
) -> None:
    run = run_of("dense_map")
    predictor, task = i2i.load(run.model), task_of(ModelFolder.open(run.model))
    samples = [load() for load in find_samples(run.images, None, run.targets, task)]

    results = evaluate(predictor, task, samples)

    assert isinstance(task, DenseMap)
    targets = np.stack([sample.target for sample in samples if sample.target is not None])
    answers = [predictor.predict(i2i.Picture(sample.image)).map for sample in samples]
    assert results["scores"]["mae"] == pytest.approx(np.abs(answers - targets).mean(), rel=1e-5)
    trivial = np.abs(targets - np.median(targets)).mean()
    assert results["baseline"]["mae"] == pytest.approx(trivial, abs=0.02)
    better = results["baseline"]["mae"] - results["scores"]["mae"]
    assert results["gain"]["mae"] == pytest.approx(better)
    assert predictor.spec.map == task.map_info()
    assert "Gives each pixel a number in m, trained for 0 to 10 m" in card(predictor.spec)


@pytest.mark.slow
def test_recorded_scores_say_which_folders_they_took(
    run_of: Callable[[str], Any], tmp_path: Path
) -> None:
    run = run_of("dense_map")
    model = shutil.copytree(run.model, tmp_path / "a-map")

    cli.main(["evaluate", "--model", str(model), *run.where, "--record", "rooms", "--no-cost"])

    command = ModelFolder.open(model).spec.scores["rooms"].command
    assert command.endswith("--images IMAGES --targets TARGETS")


@pytest.mark.slow
def test_results_are_written_although_nobody_reads_what_is_printed(
    run_of: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("training.evaluation.evaluate.show", gone)
    run, output = run_of("super_resolution_x2"), tmp_path / "results.json"
    asked = ["evaluate", "--model", str(run.model), *run.where, "--no-cost"]

    with pytest.raises(SystemExit):
        cli.main([*asked, "--output", str(output)])

    assert output.is_file()


def test_pairs_and_maps_are_evaluated_with_targets(
    run_of: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("dense_map")

    with pytest.raises(SystemExit) as error:
        cli.main(["evaluate", "--model", str(run.model), "--images", str(run.images)])

    assert error.value.code == (
        "evaluate: --targets: expected a folder of targets for the task dense-map, got none"
    )


def test_a_segmentation_has_scores_of_each_picture(run_of: Callable[[str], Any]) -> None:
    run = run_of("segmentation")
    predictor, task = i2i.load(run.model), task_of(ModelFolder.open(run.model))
    samples = [load() for load in find_samples(run.images, run.masks, None, task)]

    results = evaluate(predictor, task, samples)

    for name in ("image_iou", "boundary_f1", "object_f1"):
        of_pictures = [one["scores"][name] for one in results["pictures"]]
        assert results["scores"][f"picture_mean/{name}"] == pytest.approx(np.mean(of_pictures))
        assert all(0 <= score <= 1 for score in of_pictures)
    mask = samples[0].mask
    assert mask is not None
    exact = task.picture_scores(mask, mask)
    assert exact == {"image_iou": 1, "boundary_f1": 1, "object_f1": 1}


@pytest.mark.parametrize(
    "task",
    [
        Restoration(Holes((0.1, 0.2), "strokes"), border=4),
        SuperResolution(2, degradation=Chain([GaussianNoise((0, 9)), Jpeg(50)], [0.5, 1])),
    ],
    ids=lambda task: task.name,
)
def test_a_model_folder_gives_its_degradations_back(
    task: Task, run_of: Callable[[str], Any]
) -> None:
    again = task_of(folder_of(task, run_of("denoise")))

    assert again.protocol() == task.protocol()
    assert {**describe(again)["init_args"], "loss": None} == {
        **describe(task)["init_args"],
        "loss": None,
    }


@pytest.mark.parametrize(
    "stranger",
    [
        {"class_path": "os.system", "init_args": {"command": "touch executed"}},
        {"class_path": "training.degradations.cv2.imread", "init_args": {"filename": "secret"}},
        {"class_path": "training.degradations.Image", "init_args": {}},
        {"class_path": "training.degradations.Degradation", "init_args": {}},
        {"class_path": "training.degradations.Chain", "init_args": {"degradations": 3}},
        {"class_path": "training.degradations.Gray"},
        {"class_path": ["training.degradations.Gray"], "init_args": {}},
    ],
    ids=lambda stranger: str(stranger["class_path"]),
)
def test_a_model_folder_names_no_other_class_than_a_degradation(
    stranger: Any, run_of: Callable[[str], Any]
) -> None:
    folder = folder_of(Restoration(Jpeg(50)), run_of("denoise"))
    for argument in (stranger, chained(stranger)):
        task = folder.spec.provenance["config"]["task"]
        task["init_args"]["degradation"] = json.loads(json.dumps(argument))

        with pytest.raises(ModelError, match=r"expected a task of training\.tasks"):
            task_of(folder)
    assert not Path("executed").exists()


def chained(description: Any) -> dict[str, Any]:
    arguments = {"degradations": [description], "probabilities": None, "shuffle": False}
    return {"class_path": "training.degradations.Chain", "init_args": arguments}
