"""The command line: what it writes, what it says, how it ends."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2i.__main__ import main, output_paths
from i2i.image import Picture, encode, read
from i2i.predictor import load


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    path.write_bytes(encode(Picture(pixels)))
    return path


def predict(model: Path, output: Path, *files: Path | str) -> int:
    return main(["predict", "--model", str(model), "--output", str(output), *map(str, files)])


def test_predict_writes_the_pixels_of_the_library(
    tiny_x2: Path, photo: Path, tmp_path: Path
) -> None:
    assert predict(tiny_x2, tmp_path / "out", photo) == 0
    expected = load(tiny_x2).predict(read(photo)).picture
    assert expected is not None
    assert np.array_equal(read(tmp_path / "out" / "photo.png").pixels, expected.pixels)


@pytest.mark.parametrize(("format", "suffix"), [("png", "png"), ("jpeg", "jpg"), ("tiff", "tiff")])
def test_the_format_gives_the_suffix(
    tiny_x2: Path, photo: Path, tmp_path: Path, format: str, suffix: str
) -> None:
    arguments = ["--model", str(tiny_x2), "--output", str(tmp_path / "out"), "--format", format]
    assert main(["predict", *arguments, str(photo)]) == 0
    assert read(tmp_path / "out" / f"photo.{suffix}").width == 68


def test_pictures_of_one_stem_get_names_of_their_own(
    tiny_x2: Path, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "photo.png"
    other.parent.mkdir()
    other.write_bytes(photo.read_bytes())
    assert predict(tiny_x2, tmp_path / "out", photo, other) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["photo.png", "photo_1.png"]


def test_an_input_is_never_written_over(tiny_x2: Path, photo: Path) -> None:
    before = photo.read_bytes()
    assert predict(tiny_x2, photo.parent, photo) == 0
    assert photo.read_bytes() == before
    assert (photo.parent / "photo_1.png").is_file()


def test_no_two_outputs_share_a_path() -> None:
    files = [Path("a/x.png"), Path("b/x.jpg"), Path("x_1.png"), Path("out/x.png")]
    targets = [target for _, target in output_paths(files, Path("out"), ".png")]
    assert len(set(targets)) == len(files)
    assert Path("out/x.png") not in targets


def test_a_bad_picture_is_named_and_the_others_are_done(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "text.png"
    bad.write_text("no picture")
    assert predict(tiny_x2, tmp_path / "out", bad, tmp_path / "missing.png", photo) == 1
    errors = capsys.readouterr().err
    assert "text.png" in errors
    assert "expected PNG, JPEG" in errors
    assert "No such file or directory" in errors
    assert (tmp_path / "out" / "photo.png").is_file()


def test_every_odd_picture_gives_a_file_or_a_sentence(
    tiny_x2: Path,
    tmp_path: Path,
    bad_pictures: list[tuple[str, bytes, str | None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = []
    for index, (_, data, _) in enumerate(bad_pictures):
        files.append(tmp_path / f"{index:03d}.png")
        files[-1].write_bytes(data)
    assert predict(tiny_x2, tmp_path / "out", "--max-pixels", "60000000", *files) == 1
    errors = capsys.readouterr().err
    for file, (name, _, code) in zip(files, bad_pictures, strict=True):
        assert (tmp_path / "out" / file.name).is_file() == (code is None), name
        assert (file.name in errors) == (code is not None), name


def test_an_output_that_cannot_be_a_folder_ends_with_a_sentence(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("here already")
    assert predict(tiny_x2, tmp_path / "file", photo) == 2
    assert "file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "here already"


def test_an_unknown_model_is_answered_by_those_there_are(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path / "nowhere", tmp_path / "out", photo) == 2
    assert "expected a model folder or one of" in capsys.readouterr().err


def test_inspect_tells_what_a_model_takes_and_gives(
    tiny_labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--layers", str(tiny_labels)]) == 0
    told = capsys.readouterr().out
    assert "labels: ground, leaf, sky" in told
    assert "multiply-adds per input pixel" in told


def test_inspect_gives_the_spec_as_json(
    tiny_labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--json", str(tiny_labels)]) == 0
    spec: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert spec["name"] == "tiny-labels"
    assert next(iter(spec)) == "schema_version"


def test_the_shipped_models_are_listed_with_their_versions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from i2i import shipped_models

    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_models())


def test_a_reader_that_leaves_early_is_no_error(tiny_labels: Path) -> None:
    command = f"{sys.executable} -m i2i inspect --json {tiny_labels} | head -c 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert run.stderr == ""
