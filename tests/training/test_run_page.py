"""The page of a run says what its folder holds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from training import cli
from training.pages.run_page import POINTS, _thinned, write_run_page

CURVES = """\
epoch,gradient/encoder.0,gradient/head,loss,silent/encoder.0,step,val/iou/<sky>,val/iou/road,val/mean_iou
0,0.5,2.0,1.5,0.0,49,,,
0,,,,,59,0.2,0.4,0.3
0,nan,inf,nan,0.25,99,,,
0,,,,,119,0.1,0.3,0.2
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    (run / "pictures").mkdir(parents=True)
    for step in (60, 90, 120):
        Image.new("RGB", (9, 3)).save(run / "pictures" / f"validation-0-step-{step:06d}.png")
    (run / "metrics.csv").write_text(CURVES)
    return run


def test_scores_parts_and_pictures_are_shown(run: Path) -> None:
    write_run_page(run, "mean_iou", "max")

    page = (run / "index.html").read_text()
    assert "<title>Run run</title>" in page
    assert "Best mean_iou 0.3000 after step 60 (more is better)" in page
    headings = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert headings[:4] == ["mean_iou", "iou", "Loss", "Gradients"]
    assert page.count("On a logarithmic scale.") == 2
    assert ">step 60<" in page
    assert ">120<" in page
    # Two classes are lines of one chart, told by their names.
    assert "&lt;sky&gt;" in page
    assert "<sky>" not in page
    assert "Updates" not in headings  # the run has none
    shown = re.findall('src="(.*?)"', page)
    assert shown == [f"pictures/validation-0-step-{step:06d}.png" for step in (60, 120)]
    assert all((run / name).is_file() for name in shown)


def test_what_a_run_has_not_yet_is_not_announced(run: Path) -> None:
    (run / "metrics.csv").write_text("step,val/mean_iou\n9,0.5\n")
    for picture in (run / "pictures").iterdir():
        picture.unlink()

    write_run_page(run, "mean_iou", "max")

    assert "<h2>" not in (run / "index.html").read_text()


def test_of_a_score_that_shall_be_small_the_least_is_best(run: Path) -> None:
    write_run_page(run, "mean_iou", "min")
    assert (
        "Best mean_iou 0.2000 after step 120 (less is better)" in (run / "index.html").read_text()
    )


def test_the_score_without_a_net_stands_beside_the_best(run: Path) -> None:
    write_run_page(run, "mean_iou", "max")
    assert "Without a net" not in (run / "index.html").read_text()
    (run / "metrics.csv").write_text("step,val/mean_iou,baseline/mean_iou\n9,0.5,0.25\n19,0.6,\n")
    write_run_page(run, "mean_iou", "max")
    assert "averaged weights. Without a net: 0.2500." in (run / "index.html").read_text()


def test_a_run_without_curves_has_no_page(tmp_path: Path) -> None:
    write_run_page(tmp_path, "mean_iou", "max")
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.floats(-5, 5) | st.just(math.nan), min_size=1, max_size=300), st.booleans())
def test_few_values_are_shown_as_they_are_and_many_by_their_means(
    values: list[float], log: bool
) -> None:
    thinned = _thinned(np.arange(len(values)), values, len(values), log)

    assert len(thinned) == min(POINTS, len(values))
    shown = [value if value > 0 or not log else math.nan for value in values]
    if len(values) <= POINTS:
        np.testing.assert_array_equal(thinned, shown)
    known = [value for value in shown if math.isfinite(value)]
    kept = [value for value in thinned if math.isfinite(value)]
    assert bool(kept) == bool(known)
    if known:
        assert min(known) - 1e-9 <= min(kept) <= max(kept) <= max(known) + 1e-9


def test_a_run_that_has_diverged_is_told_so(run: Path) -> None:
    (run / "metrics.csv").write_text("step,loss,val/mean_iou\n1,nan,\n2,,nan\n")
    write_run_page(run, "mean_iou", "max")
    page = (run / "index.html").read_text()
    assert "The training has diverged" in page
    assert "Best" not in page


def test_validations_at_uneven_steps_are_all_shown(run: Path) -> None:
    rows = "".join(f"{step},{score}\n" for step, score in ((104, 0.5), (199, 0.6), (249, 0.7)))
    (run / "metrics.csv").write_text(f"step,val/mean_iou\n{rows}")
    write_run_page(run, "mean_iou", "max")
    assert (run / "index.html").read_text().count("<circle") == 3


@pytest.mark.whole
def test_a_run_writes_its_page(
    configs: Path, fast: tuple[str, ...], masked: Callable[[Path], Path]
) -> None:
    config = [
        "--config",
        str(configs / "segmentation.yaml"),
        "--data.root",
        str(masked(Path("set"))),
    ]
    cli.main(["fit", *config, *fast, "--run", "run", "--trainer.log_every_n_steps=1"])

    page = Path("run/index.html").read_text()
    headings = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert headings[0] == "mean_iou"
    assert page.count('class="class"') == 1  # the first class is not drawn
    assert {"Loss", "Learning rate", "Gradients", "Updates", "Silent channels"} <= set(headings)
    assert headings[-1].startswith("validation-1, step ")
