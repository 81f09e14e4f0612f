"""The page that looks inside a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.model_folder import ModelFolder
from i2i.nets.loading import load_net
from training.cli import main
from training.explain import place_in
from training.explain_figures import two_sided

STAGES = {"tiny_x2": 3, "tiny_labels": 5, "tiny_map": 3}


@pytest.mark.whole
@pytest.mark.parametrize("model", STAGES)
def test_a_model_of_each_kind_is_looked_into(
    model: str,
    photos: Callable[..., Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder: Path = request.getfixturevalue(model)
    images = photos(tmp_path / "photos", count=2)

    main(["explain", "--model", str(folder), "--images", str(images), "--output", "page"])

    written = Path(capsys.readouterr().out.strip().splitlines()[-1])
    page = written.read_text(encoding="utf-8")
    assert f"<title>{folder.name}@" in page
    assert 'name="viewport"' in page
    assert not re.search(r"https?:|//", page)
    # The answer, what it rests on, how far it looks, the kernels; two of each stage.
    files = re.findall(r'<img src="(.*?)"', page)
    assert len(files) == 4 + (model == "tiny_labels") + 2 * STAGES[model]
    for file in files:
        with Image.open(written.parent / file) as picture:
            assert np.asarray(picture).std() > 1


@pytest.mark.whole
def test_a_place_of_another_picture_can_be_explained(
    tiny_x2: Path, photos: Callable[..., Path], tmp_path: Path
) -> None:
    images = photos(tmp_path / "photos", count=2)
    other = images / "photo-1.png"
    options = ["--model", str(tiny_x2), "--images", str(images), "--most", "1", "--output", "page"]

    main(["explain", *options, "--picture", other.name, "--at", "79,3"])

    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "photo-1.png, 16 × 16 pixels around column 79, row 3, mirrored at" in page


@pytest.mark.whole
def test_the_evidence_of_a_class_that_was_asked_for_is_shown(
    tiny_labels: Path, photos: Callable[..., Path], tmp_path: Path
) -> None:
    images = photos(tmp_path / "photos", count=1)
    told = {}
    for name in ("ground", "leaf", "sky"):
        options = ["--model", str(tiny_labels), "--images", str(images), "--class", name]
        main(["explain", *options, "--output", name])
        page = (tmp_path / name / "index.html").read_text(encoding="utf-8")
        (told[name],) = re.findall(r"how much speaks for (\w+), which \d+% of the frame is", page)
        assert (tmp_path / name / "02.png").is_file()
        assert "ground is not drawn" in page
    assert list(told) == list(told.values())
    shown = {(tmp_path / name / "02.png").read_bytes() for name in told}
    assert len(shown) == 3


def test_a_class_that_a_model_does_not_know_is_told_with_those_it_knows(
    tiny_labels: Path, photos: Callable[..., Path], tmp_path: Path
) -> None:
    images = photos(tmp_path / "photos", count=1)
    options = ["--model", str(tiny_labels), "--images", str(images), "--output", "page"]
    with pytest.raises(SystemExit, match="expected one of ground, leaf, sky, got wood"):
        main(["explain", *options, "--class", "wood"])


def test_what_speaks_against_an_answer_is_told_from_what_speaks_for_it() -> None:
    red, _, blue = two_sided(np.array([[1, 0, -1]], np.float32))[0].astype(int).T

    assert red[0] - blue[0] > 100
    assert red[1] == blue[1]
    assert blue[2] - red[2] > 100


def test_a_region_lies_within_its_picture(tiny_x2: Path, tmp_path: Path) -> None:
    pixels = np.zeros((65, 81, 3), np.uint8)
    pixels[48:64, 64:80] = 255
    Image.fromarray(pixels).save(tmp_path / "corner.png")
    folder = ModelFolder.open(tiny_x2)
    place = place_in(load_net(folder), folder.spec, tmp_path / "corner.png", (80, 64))
    assert (place.region.of(place.image, 1) == 1).all()


def test_the_place_explained_by_itself_shows_the_picture_and_not_its_mirror(
    tiny_x2: Path, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(100, 110, (400, 500, 3), np.uint8)
    pixels[30:50, 30:50] = np.random.default_rng(0).integers(256, size=(20, 20, 3))
    Image.fromarray(pixels).save(tmp_path / "large.png")
    folder = ModelFolder.open(tiny_x2)
    net = load_net(folder)
    place = place_in(net, folder.spec, tmp_path / "large.png", None)
    assert "mirrored" not in place.name
    assert "mirrored" in place_in(net, folder.spec, tmp_path / "large.png", (40, 40)).name


def test_what_alpha_hides_is_given_to_the_net_as_a_prediction_gives_it(
    tiny_x2: Path, tmp_path: Path
) -> None:
    pixels = np.full((64, 64, 4), 200, np.uint8)
    pixels[20:40, 20:40] = 0
    Image.fromarray(pixels).save(tmp_path / "cut-out.png")
    folder = ModelFolder.open(tiny_x2)
    place = place_in(load_net(folder), folder.spec, tmp_path / "cut-out.png", (30, 30))
    assert place.image.min() > 0.7


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--at", "80,3"],
            "--at: expected a place inside of photo-0.png, 80 x 64 pixels, got 80,3",
        ),
        (
            ["--picture", "none.png"],
            "--picture: expected a file, here or in --images, got none.png",
        ),
        (["--class", "sky"], "--class: expected a model that gives classes, got sky"),
        (["--most", "0"], "--most: expected at least 1 picture, got 0"),
        (["--model", "none"], "expected a model folder or one of"),
        (["--images", "nowhere"], "expected a folder of pictures, got nowhere"),
    ],
)
def test_a_mistake_is_told_and_nothing_written(
    options: list[str],
    told: str,
    tiny_x2: Path,
    photos: Callable[..., Path],
    tmp_path: Path,
) -> None:
    images = photos(tmp_path / "photos", count=1)
    known = ["--model", str(tiny_x2), "--images", str(images), "--output", "page"]

    with pytest.raises(SystemExit, match=re.escape(told)):
        main(["explain", *known, *options])

    assert not (tmp_path / "page").exists()
