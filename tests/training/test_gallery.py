"""The page of the worst pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.evaluation.evaluate import Judged
from training.evaluation.gallery import Gallery, panels, scale_in_words
from training.evaluation.protocol import stamp
from training.tasks import Colourisation, DenseMap, Segmentation, SuperResolution, Task

RESULTS = {"model": "a<b>@1", "set": {"pictures": 5}, "protocol": stamp(SuperResolution(2))}


def judged(name: str, score: float | None, task: Task | None = None) -> Judged:
    task = task or SuperResolution(2)
    image = np.full((8, 10, 3), 100, np.uint8)
    if task.kind == "labels":
        answer, target = np.zeros((8, 10), np.uint8), np.zeros((8, 10), np.uint8)
        target[2], target[3] = 1, 255
    elif task.kind == "map":
        answer, target = np.zeros((8, 10), np.float32), np.full((8, 10), 0.5, np.float32)
    else:
        answer = np.full((16, 20, 3), 100, np.uint8)
        target = answer.copy()
        target[5] += 32
    scores = {} if score is None else {task.monitor: score}
    return Judged(name, image, answer, target, scores)


def test_the_worst_come_first_and_no_request_leaves_the_page(tmp_path: Path) -> None:
    gallery = Gallery(SuperResolution(2), worst=2)
    for name, score in (("good", 40.0), ("bad", 20.0), ("none", None), ("<worst>", 10.0)):
        gallery(judged(name, score))

    page = gallery.write(tmp_path / "gallery", RESULTS).read_text(encoding="utf-8")

    names = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    assert names == ["1. &lt;worst&gt;: psnr_y 10.0000", "2. bad: psnr_y 20.0000"]
    assert "white (32 of 255 or more)" in page
    assert 'name="viewport"' in page
    assert "<b>" not in page
    links = re.findall(r'(?:src|href)="(.*?)"', page)
    assert set(links) == {"01.png", "02.png"}
    assert not re.search(r"https?:|//", page)
    for link in links:
        with Image.open(tmp_path / "gallery" / link) as picture:
            assert picture.size == (4 * 20 + 3 * 4, 16)


def test_the_largest_error_is_the_worst_where_less_is_better() -> None:
    task = DenseMap("m", 0, 10)
    gallery = Gallery(task, worst=1)
    for name, score in (("near", 0.1), ("far", 3.0)):
        gallery(judged(name, score, task))

    assert [each.name for each in gallery.kept] == ["far"]


def test_an_error_is_drawn_to_its_scale() -> None:
    error = panels(judged("a", 1.0), SuperResolution(2))[:, -20:]
    assert (error[5] > 250).all()  # 32 of 255 is white
    assert (np.delete(error, 5, axis=0) == 0).all()

    error = panels(judged("a", 1.0, DenseMap("m", 0, 5)), DenseMap("m", 0, 5))[:, -10:]
    assert (error > 250).all()  # a tenth of the range is white

    task = Segmentation(["ground", "thing"])
    error = panels(judged("a", 1.0, task), task)[:, -10:]
    assert (error[2] == (230, 40, 40)).all()
    assert (error[3] == (50, 90, 170)).all()
    assert (error[0] == error[0, 0, 0]).all()


def test_wrong_colours_of_the_right_brightness_are_an_error_where_colours_count() -> None:
    # Green for red, as bright by BT.601: 114 of red weigh as much as 58 of green.
    wrong = judged("a", 1.0)
    wrong.answer[:] = (100, 158, 100)
    wrong.target[:] = (214, 100, 100)
    for task, shows in ((Colourisation(), True), (SuperResolution(2), False)):
        assert (panels(wrong, task)[:, -20:] > 250).all() == shows
        assert ("red, green and blue" in scale_in_words(task)) == shows


def test_the_classes_have_a_legend(tmp_path: Path) -> None:
    task = Segmentation(["ground", "<thing>"])
    gallery = Gallery(task, worst=1)
    gallery(judged("a", 0.5, task))

    page = gallery.write(tmp_path, RESULTS).read_text(encoding="utf-8")

    colour = f"rgb{task.classes()[1].colour}"
    assert f'style="--colour: {colour}">&lt;thing&gt;</span> ground is not drawn.' in page


def test_a_gallery_shows_at_least_one_picture() -> None:
    with pytest.raises(ValueError, match="--worst: expected at least 1 picture, got 0"):
        Gallery(SuperResolution(2), worst=0)
