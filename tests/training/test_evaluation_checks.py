"""What would spoil an evaluation, or end it in the middle, is told before it begins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data.files import find_photos, loads_of, pair_with_masks
from training.evaluation.checks import check_classes, check_masks, check_sizes
from training.tasks import Segmentation, SuperResolution

TASK = Segmentation(["ground", "thing"])


def save_masks(folder: Path, *masks: list[int]) -> None:
    folder.mkdir(parents=True)
    for index, ids in enumerate(masks):
        Image.fromarray(np.array([ids], np.uint8)).save(folder / f"photo-{index}.png")


@pytest.fixture
def check(photos: Callable[..., Path]) -> Callable[..., None]:
    """Checks a set of pictures with these masks."""

    def run(*masks: list[int]) -> None:
        save_masks(Path("masks"), *masks)
        check_masks(pair_with_masks(photos(Path("images"), len(masks)), Path("masks")), TASK)

    return run


def test_masks_of_0_and_255_among_good_ones_are_told(
    check: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check([0, 1, 255], [0, 255, 255], [0, 0, 0], [255, 255, 255])

    (said,) = caplog.messages
    assert said == (
        "2 of 4 masks hold 0 and 255 only, so all but the first class is ignored in them, such as "
        "photo-1.png; save them as 0 and 1 if 255 means the second class"
    )


def test_masks_of_0_and_255_alone_are_refused(check: Callable[..., None]) -> None:
    with pytest.raises(
        ValueError, match=r"photo-0\.png and 1 more masks: .*got \[0, 255\] only.*saved as 0 and 1"
    ):
        check([0, 0], [0, 255])


def test_masks_of_the_first_class_alone_may_be_measured(
    check: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check([0, 0], [0, 0])

    assert not caplog.messages


@pytest.mark.parametrize("listed", ["set/classes.txt", "set/val/classes.txt"])
def test_masks_of_other_classes_than_the_models_are_refused(listed: str) -> None:
    masks = Path("set/val/masks")
    masks.mkdir(parents=True)
    Path("classes.txt").write_text("of another set\n")

    check_classes(masks, TASK)
    Path(listed).write_text("ground\nthing\n")
    check_classes(masks, TASK)
    for classes, words in (
        ("thing\nground", "line 1: expected .*, here ground, got thing; evaluate"),
        ("ground\nthing\nsky", "line 3: expected .*, here no more, got sky; evaluate"),
        ("ground", "line 2: expected .*, here thing, got no more; evaluate"),
    ):
        Path(listed).write_text(classes)
        with pytest.raises(ValueError, match=rf"{listed}, {words}"):
            check_classes(masks, TASK)


def test_a_picture_too_small_for_the_scores_is_named_by_its_path(
    photos: Callable[..., Path],
) -> None:
    entries = find_photos(photos(Path("photos"), 3))
    task = SuperResolution(2)
    check_sizes(entries, loads_of(entries, task), task)
    Image.new("RGB", (80, 14)).save("photos/photo-1.png")

    with pytest.raises(
        ValueError,
        match=r"^photos/photo-1\.png: cannot be scored: expected .* 11 x 11 pixels, got 10 x 76 "
        r"\(2 pixels are cut from each side of the target first\); take it away, or give a larger",
    ):
        check_sizes(entries, loads_of(entries, task), task)
