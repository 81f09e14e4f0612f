"""The models that ship: small, complete, honest, and the same wherever they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2i.image import Picture
from i2i.model_folder import CARD, SPEC, ModelFolder, shipped_models
from i2i.predictor import load
from training.evaluation.evaluate import evaluate, task_of
from training.evaluation.sample_folders import find_samples

NAMES = (
    "denoise",
    "depixelate",
    "nuclei",
    "super-resolution-x2",
    "super-resolution-x2-photo",
    "super-resolution-x3",
    "super-resolution-x4",
    "super-resolution-x4-photo",
)
# Name, folders of pictures and masks in the real data, and the set as the card calls it.
MEASURED = [
    ("super-resolution-x2", "sr/set5", None, "Set5"),
    ("super-resolution-x2-photo", "sr/set5", None, "Set5, degraded"),
    ("super-resolution-x3", "sr/set5", None, "Set5"),
    ("super-resolution-x4", "sr/set5", None, "Set5"),
    ("super-resolution-x4-photo", "sr/set5", None, "Set5, degraded"),
    ("depixelate", "sr/set5", None, "Set5"),
    ("denoise", "sr/set5", None, "Set5"),
    ("nuclei", "seg/dsb2018-nuclei/val/images", "seg/dsb2018-nuclei/val/masks", "nuclei val"),
]

every_model = pytest.mark.parametrize("name", NAMES)


def spec_of(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((shipped_models()[name] / SPEC).read_text())
    return spec


def test_the_promised_models_ship() -> None:
    assert tuple(shipped_models()) == NAMES


@every_model
def test_a_folder_is_small(name: str) -> None:
    assert sum(file.stat().st_size for file in shipped_models()[name].iterdir()) <= 4_000_000


@every_model
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_the_golden_sample_is_repeated(name: str, engine: str) -> None:
    load(name, engine=engine, precision="f32").check_golden()


@every_model
def test_the_margin_costs_at_most_1_8_at_the_window_in_use(name: str) -> None:
    spec = ModelFolder.open(shipped_models()[name]).spec
    assert spec.margin_kind == "exact"
    assert (spec.window / (spec.window - 2 * spec.margin)) ** 2 <= 1.8


@every_model
def test_the_card_states_data_licence_budget_protocol_and_the_command(name: str) -> None:
    card = (shipped_models()[name] / CARD).read_text()
    for word in ("CC0", "core-minutes", "protocol", "python -m training evaluate", "trivial"):
        assert word in card


@every_model
def test_the_folder_tells_nothing_of_the_machine_it_was_made_on(name: str) -> None:
    for file in shipped_models()[name].iterdir():
        content = file.read_bytes()
        for place in (b"/home/", b"/tmp/", b"site-packages", str(Path.cwd()).encode()):
            assert place not in content


@every_model
def test_gray_and_tiny_pictures_are_taken(name: str) -> None:
    predictor = load(name)
    for pixels in (np.zeros((1, 1, 1), np.uint8), np.full((3, 50, 3), 200, np.uint8)):
        prediction = predictor.predict(Picture(pixels))
        answer = prediction.labels if prediction.picture is None else prediction.picture.pixels
        assert answer is not None
        scale = predictor.spec.scale
        assert answer.shape[:2] == (scale * pixels.shape[0], scale * pixels.shape[1])


@pytest.mark.data
@pytest.mark.parametrize(("name", "images", "masks", "set_name"), MEASURED)
def test_the_score_on_the_card_is_measured_again(
    test_data: Path, name: str, images: str, masks: str | None, set_name: str
) -> None:
    predictor = load(name, engine="openvino", precision="f32")
    task = task_of(predictor.folder)
    samples = find_samples(test_data / images, test_data / masks if masks else None, None, task)

    measured = evaluate(predictor, task, (read() for read in samples))["scores"]

    stated = spec_of(name)["scores"]
    score = stated["validation"]["monitor"]
    assert measured[score] == pytest.approx(stated[set_name]["scores"][score], abs=2e-3)
