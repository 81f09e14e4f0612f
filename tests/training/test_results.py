"""The page says what the files say; published baselines come out of the very evaluation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import i2i
from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from training.evaluation.evaluate import evaluate
from training.evaluation.results import PAGE, RESULTS, Place, find_sets, measure, references
from training.evaluation.results_page import page
from training.evaluation.sample_folders import find_samples
from training.tasks import DenseMap, Segmentation, SuperResolution


def test_the_page_is_made_from_the_files() -> None:
    expected = page(RESULTS, references())
    assert PAGE.read_text(encoding="utf-8") == expected, "run: python -m training results --page"
    overview, _, _ = expected.partition("\n## Set5")
    for path in (path for name in i2i.shipped_models() for path in RESULTS.glob(f"{name}/*.json")):
        model = json.loads(path.read_text())["model"]
        assert f"**{model}**" in expected
        assert overview.count(f"\n| {model} |") == 1
    assert "checkpoint of the shipped model: the scores flatter it" in expected


def test_every_reference_has_a_source_and_a_known_set() -> None:
    for entry in references()["literature"]:
        assert entry["set"] in references()["sets"]
        assert all(method["source"] for method in entry["methods"])


def test_every_reference_of_a_measured_set_stands_on_the_page() -> None:
    shown = page(RESULTS, references())
    for entry in references()["literature"]:
        measured = any(RESULTS.glob(f"*/{entry['set']}.json"))
        if measured or "awaits" in references()["sets"][entry["set"]]:
            for method in entry["methods"]:
                score = method.get("psnr") or method.get("psnr_y")
                share = method.get("mean_iou")
                told = f"{score:.2f}" if score else "" if share is None else f"{share:.4f}"
                assert f"| {method['name']} | {told} |" in shown


def test_what_has_no_score_says_that_it_was_not_measured() -> None:
    rows = [method for entry in references()["literature"] for method in entry["methods"]]
    without = [each for each in rows if not {"psnr", "psnr_y", "mean_iou"} & each.keys()]
    assert without
    assert all(each["source"].startswith("not measured") for each in without)


@pytest.mark.slow
def test_models_are_measured_on_the_sets_that_fit_as_long_as_these_stay_the_same(
    run_of: Callable[[str], Any], masked: Callable[[Path], Path], tmp_path: Path
) -> None:
    run = run_of("super_resolution_x2")
    model = shutil.copytree(run.model, tmp_path / "models" / "x2")
    shutil.copytree(run.images, tmp_path / "data" / "sr" / "set5")
    masked(tmp_path / "data" / "seg" / "dsb2018-nuclei")
    said = StringIO()

    measure(tmp_path / "data", tmp_path / "out", [str(model)], Console(file=said, width=200))

    (path,) = (tmp_path / "out").rglob("*.json")
    assert path.name == "set5.json"
    written = page(tmp_path / "out", references())
    assert json.loads(path.read_text())["model"] in written
    assert "## Set5" in written
    assert "VDSR" in written
    assert "## B100" not in written
    assert {place.name for place in find_sets(tmp_path / "data")} == {"set5", "dsb2018-nuclei-val"}

    (tmp_path / "data" / "sr" / "set5" / "photo-1.png").unlink()
    with pytest.raises(ValueError, match=r"set5\.json: expected the pictures that it was measured"):
        measure(tmp_path / "data", tmp_path / "out", [str(model)], Console(file=said))


@pytest.mark.slow
def test_noise_is_measured_as_files_have_it_and_as_papers_do(
    run_of: Callable[[str], Any], tmp_path: Path
) -> None:
    run = run_of("denoise")
    shutil.copytree(run.images, tmp_path / "data" / "sr" / "set5")

    measure(tmp_path / "data", tmp_path / "out", [str(run.model)], Console(file=StringIO()))

    names = {path.name for path in (tmp_path / "out").rglob("*.json")}
    assert names == {"set5.json", "set5.unclipped.json"}
    written = page(tmp_path / "out", references())
    assert written.count("### Restoration") == 2
    assert "PSNR-RGB, dB" in written
    assert "input: float32, not clipped" in written


def test_a_set_fits_a_task_of_its_classes() -> None:
    cells = Place("cells", Path(), Path(), ("background", "nucleus"))
    photos = Place("photos", Path())

    assert cells.fits(Segmentation(["background", "nucleus"]))
    assert not cells.fits(Segmentation(["background", "road"]))
    assert not cells.fits(SuperResolution(2))
    assert photos.fits(SuperResolution(2))
    assert not photos.fits(DenseMap("m", 0, 1))


def test_a_folder_without_any_set_says_which_are_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--data: expected a folder with some of sr/set5, "):
        measure(tmp_path, tmp_path, [], Console())
    (tmp_path / "sr" / "set5").mkdir(parents=True)
    with pytest.raises(ValueError, match=f"got none in .*; is {tmp_path} meant"):
        measure(tmp_path / "sr", tmp_path, [], Console())


@pytest.mark.data
@pytest.mark.parametrize(
    ("scale", "published"),
    [
        (2, {"set5": (33.66, 0.9299), "b100": (29.56, 0.8431)}),
        (3, {"set5": (30.39, 0.8682), "b100": (27.21, 0.7385)}),
        (4, {"set5": (28.42, 0.8104), "b100": (25.96, 0.6674)}),
    ],
)
def test_the_trivial_answer_scores_what_the_papers_say(
    scale: int,
    published: dict[str, tuple[float, float]],
    test_data: Path,
    tmp_path: Path,
    untrained: Callable[..., None],
) -> None:
    torch.manual_seed(0)
    net = Autoencoder(
        Encoder([8, 8], [0, 0]), Decoder([8, 8], [0]), PictureHead(8, stride=scale, scale=scale)
    )
    untrained(tmp_path / "untrained", net, kind="image", scale=scale)
    predictor, task = i2i.load(tmp_path / "untrained"), SuperResolution(scale)
    for name, (decibels, similarity) in published.items():
        loads = find_samples(test_data / "sr" / name, None, None, task)

        results = evaluate(predictor, task, (load() for load in loads))

        assert results["baseline"]["psnr_y"] == pytest.approx(decibels, abs=0.015)
        assert results["baseline"]["ssim_y"] == pytest.approx(similarity, abs=0.0008)
        # An untrained net is bicubic but for the picture's border.
        assert results["scores"]["psnr_y"] == pytest.approx(decibels, abs=0.03)
