"""What is left of a score when the pictures get worse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress

from i2i.predictor import load
from training import cli
from training.degradations import Contrast, Light
from training.evaluation.checks import find_checked
from training.evaluation.robustness import FAULTS, OF_LIGHT, robustness, write_page
from training.pages.line_chart import _style, line_chart, span_of
from training.tasks import Segmentation

RANDOM = np.random.default_rng(0)


def test_a_model_is_measured_under_every_fault(
    run_of: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("super_resolution_x2")
    command = ["--model", str(run.model), *run.where]
    cli.main(["robustness", *command, "--most", "1", "--output", "page"])
    cli.main(["evaluate", *command, "--no-cost", "--output", "whole.json"])

    results = json.loads(Path("page/robustness.json").read_text())
    assert results["set"] == {"pictures": 1}
    assert results["known"]["validated"] == ["photo-0"]
    whole = json.loads(Path("whole.json").read_text())["pictures"][0]
    assert results["clean"]["score"] == pytest.approx(whole["scores"]["psnr_y"])
    stamps = {results["clean"]["protocol_digest"]}
    for name, steps in results["faults"].items():
        assert name not in OF_LIGHT  # which an enlarger should hand on
        assert [step["strength"] for step in steps] == list(FAULTS[name].strengths)
        # The strongest of each leaves less than there was, of the trivial answer too.
        for part in ("score", "baseline"):
            assert steps[-1][part] < results["clean"][part] - 1
        assert "spoiled by" in steps[0]["protocol"]
        stamps |= {step["protocol_digest"] for step in steps}
    assert len(stamps) == 1 + 4 * len(results["faults"])  # none is compared with another
    noise = [step["score"] for step in results["faults"]["noise"]]
    assert noise == sorted(noise, reverse=True)
    page = Path("page/index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == len(results["faults"]) == len(FAULTS) - len(OF_LIGHT)
    assert not re.search(r"https?:|//", page)
    assert "page/index.html" in capsys.readouterr().out


@pytest.mark.whole
def test_labels_are_measured_in_bad_light_too_and_of_errors_less_is_better(
    tiny_labels: Path, masked: Callable[[Path], Path], tmp_path: Path
) -> None:
    root = masked(tmp_path / "masked")
    (root / "classes.txt").unlink()  # it has two, the model three
    predictor = load(tiny_labels, engine="openvino")
    task = Segmentation(["ground", "leaf", "sky"])
    loads = find_checked(root / "val" / "images", root / "val" / "masks", None, task)[:1]
    with Progress(disable=True) as progress:
        results = robustness(predictor, task, loads, progress)

    assert list(results["faults"]) == list(FAULTS)
    assert "more is better" in write_page(tmp_path / "page", results).read_text()
    errors = results | {"mode": "min", "clean": results["clean"] | {"baseline": None}}
    page = write_page(tmp_path / "page", errors).read_text()
    assert "less is better" in page
    assert "trivial answer" not in page


def test_masks_of_other_classes_are_refused_before_the_work(
    run_of: Callable[[str], Any], tmp_path: Path
) -> None:
    run = run_of("segmentation")
    assert run.masks is not None
    classes = run.masks.parent.parent / "classes.txt"
    was = classes.read_text()
    classes.write_text("thing\nground\n")
    options = ["--model", str(run.model), *run.where, "--output", "page"]
    try:
        with pytest.raises(SystemExit, match="expected the classes of the model in its order"):
            cli.main(["robustness", *options])
    finally:
        classes.write_text(was)
    assert not Path("page").exists()


def test_at_least_one_picture_is_measured(tiny_x2: Path, tmp_path: Path) -> None:
    options = ["--model", str(tiny_x2), "--images", str(tmp_path), "--output", "page"]
    with pytest.raises(SystemExit, match="--most: expected at least 1 picture, got 0"):
        cli.main(["robustness", *options, "--most", "0"])


@given(st.floats(0, 4), st.integers(0, 99))
def test_light_and_contrast_keep_the_order_of_values(factor: float, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    for degradation in (Light(factor), Contrast(factor)):
        spoiled = degradation(image, RANDOM)
        assert spoiled.dtype == np.uint8
        order = np.argsort(image, axis=None)
        assert (np.diff(spoiled.ravel()[order].astype(int)) >= 0).all()


def test_light_and_contrast_of_one_change_nothing() -> None:
    image = RANDOM.integers(0, 65536, (6, 5, 1), np.uint16)
    for degradation in (Light(1), Contrast(1)):
        assert np.abs(degradation(image, RANDOM).astype(int) - image).max() <= 1
    # Half of the light of middle gray, by the curve of sRGB: 128 stands for 21.6 %.
    assert Light(0.5)(np.full((2, 2, 3), 128, np.uint8), RANDOM).flat[0] == 92
    assert (Light(0)(image, RANDOM) == 0).all()
    assert np.ptp(Contrast(0)(image, RANDOM)) == 0


def test_lines_are_told_apart_and_equal_values_have_room() -> None:
    assert len({_style(number) for number in range(21)}) == 21
    assert span_of({"a": [0.8, 0.8]}) == pytest.approx((0.72, 0.88))
    assert span_of({"a": [0.0]}) == (0.0, 1.0)
    assert span_of({"a": [0.02, -1.0, float("nan")]}, log=True) == (0.01, 0.04)


def levels_of(*lines: list[float]) -> list[str]:
    series = {f"score {number}": line for number, line in enumerate(lines)}
    chart = line_chart(series, [""] * len(lines[0]), span_of(series))
    texts = [each.text for each in ElementTree.fromstring(chart) if each.tag == "text"]
    return [text for text in texts if text]


def test_the_levels_of_a_chart_are_told_apart_and_those_of_one_value_are_that_value() -> None:
    assert levels_of([0.21340, 0.21348]) == ["0.2134", "0.21344", "0.21348"]
    assert levels_of([35.0, 36.0]) == ["35", "35.5", "36"]
    assert levels_of([0.998]) == ["0.998"]
    assert levels_of([0.2], [0.6], [0.5]) == ["0.2", "0.4", "0.6"]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=6))
def test_a_chart_holds_every_value_within_it(values: list[float]) -> None:
    series = {"a<b": values}
    chart = ElementTree.fromstring(line_chart(series, ["x & y"] * len(values), span_of(series)))

    line = next(each for each in chart if each.tag == "path").attrib["d"]
    gaps = [value != value for value in values]
    begun = sum(not now and before for now, before in zip(gaps, [True, *gaps], strict=False))
    assert line.count("M") == begun
    circles = [each for each in chart if each.tag == "circle"]
    assert len(circles) == sum(value == value for value in values)
    for circle in circles:
        assert 0 <= float(circle.attrib["cx"]) <= 320
        assert 0 <= float(circle.attrib["cy"]) <= 200
    heights = [float(circle.attrib["cy"]) for circle in circles]
    shown = [value for value in values if value == value]
    for one, other, high, low in zip(shown, shown[1:], heights, heights[1:], strict=False):
        assert (one - other) * (low - high) >= -1e-9 * max(abs(one), abs(other), 1)
