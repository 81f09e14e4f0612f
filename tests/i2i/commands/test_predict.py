"""`i2i predict`: what it writes, what it says, how it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from i2i.__main__ import main
from i2i.image import Picture, decode, encode, read, read_map
from i2i.predictor import Predictor, load


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write(tmp_path / "in" / "photo.png", noise(21, 34))


def noise(*shape: int, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*shape, 3), dtype, True)


def write(path: Path, pixels: Any, alpha: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(Picture(pixels, alpha)))
    return path


def predict(model: Path, output: Path, *arguments: Path | str) -> int:
    return main(["predict", "--model", str(model), "--output", str(output), *map(str, arguments)])


def answer(model: Path, picture: Picture) -> Picture:
    predicted = load(model).predict(picture).picture
    assert predicted is not None
    return predicted


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_predict_writes_the_pixels_of_the_library(
    tiny_x2: Path, photo: Path, tmp_path: Path, format: str
) -> None:
    assert predict(tiny_x2, tmp_path / "out", photo, "--format", format) == 0
    expected = answer(tiny_x2, read(photo))
    assert np.array_equal(read(tmp_path / "out" / f"photo.{format}").pixels, expected.pixels)
    data = (tmp_path / "out" / f"photo.{format}").read_bytes()
    assert data == load(tiny_x2).predict(read(photo)).encode(format)  # type: ignore[arg-type]


@pytest.mark.parametrize(("format", "suffix"), [("jpeg", "jpg"), ("webp", "webp")])
def test_the_format_gives_the_suffix(
    tiny_x2: Path, photo: Path, tmp_path: Path, format: str, suffix: str
) -> None:
    assert predict(tiny_x2, tmp_path / "out", photo, "--format", format) == 0
    assert read(tmp_path / "out" / f"photo.{suffix}").width == 68


def test_a_tree_is_written_as_a_tree(tiny_x2: Path, photo: Path, tmp_path: Path) -> None:
    write(photo.parent / "below" / "photo.png", noise(3, 4))
    assert predict(tiny_x2, tmp_path / "out", photo.parent) == 0
    written = [path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*")]
    assert sorted(written) == [Path("below/photo.png"), Path("photo.png")]


def test_an_input_is_never_written_over(tiny_x2: Path, photo: Path) -> None:
    before = photo.read_bytes()
    assert predict(tiny_x2, photo.parent, photo) == 0
    assert photo.read_bytes() == before
    assert (photo.parent / "photo_1.png").is_file()


@pytest.mark.parametrize(
    ("option", "bits", "expected"),
    [("auto", 8, 8), ("auto", 16, 16), ("8", 16, 8), ("16", 8, 16)],
)
def test_the_depth_is_that_of_the_picture_or_the_one_asked_for(
    tiny_x2: Path, tmp_path: Path, option: str, bits: int, expected: int
) -> None:
    pixels = noise(9, 7, dtype=np.uint8 if bits == 8 else np.uint16)
    file = write(tmp_path / "in.png", pixels)
    assert predict(tiny_x2, tmp_path / "out", file, "--depth", option) == 0
    written = read(tmp_path / "out" / "in.png", depth=16)
    assert written.depth == expected
    in_8_bit = answer(tiny_x2, Picture(pixels)).to_8_bit()
    difference = written.to_8_bit().pixels.astype(int) - in_8_bit.pixels
    assert np.abs(difference).max() <= 1


def test_alpha_is_enlarged_or_laid_on_a_background(tiny_x2: Path, tmp_path: Path) -> None:
    alpha = noise(9, 7)[..., 0]
    file = write(tmp_path / "in.png", noise(9, 7), alpha)
    assert predict(tiny_x2, tmp_path / "out", file) == 0
    assert read(tmp_path / "out" / "in.png").alpha is not None
    assert predict(tiny_x2, tmp_path / "laid", file, "--background", "#204060") == 0
    laid = read(tmp_path / "laid" / "in.png")
    assert laid.alpha is None
    expected = answer(tiny_x2, read(file).over((0x20, 0x40, 0x60)))
    assert np.array_equal(laid.pixels, expected.pixels)


def test_a_map_is_written_with_its_values_or_in_colour(
    tiny_map: Path, photo: Path, tmp_path: Path
) -> None:
    expected = load(tiny_map).predict(read(photo)).map
    assert expected is not None
    assert predict(tiny_map, tmp_path, photo, "--format", "tiff") == 0
    assert np.array_equal(read_map(tmp_path / "photo.tiff"), expected)
    assert predict(tiny_map, tmp_path, photo) == 0
    levels = read_map(tmp_path / "photo.png") / 65535 * 8 - 2
    assert np.abs(levels - expected.clip(-2, 6)).max() < 8 / 65535
    assert predict(tiny_map, tmp_path, photo, "--format", "jpeg", "--view", "colour") == 0
    assert read(tmp_path / "photo.jpg").pixels.shape == (21, 34, 3)


def test_resume_leaves_alone_what_is_there(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(photo.with_name("other.png"), noise(3, 4))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photo.png").write_text("finished")
    assert predict(tiny_x2, tmp_path / "out", photo.parent, "--resume") == 0
    assert (tmp_path / "out" / "photo.png").read_text() == "finished"
    assert read(tmp_path / "out" / "other.png").width == 8
    assert "1 done, 1 skipped, 0 failed" in capsys.readouterr().out


def test_resume_takes_no_other_pictures_answer_for_this_ones(
    tiny_x2: Path, photo: Path, tmp_path: Path
) -> None:
    assert predict(tiny_x2, tmp_path / "out", photo.parent) == 0
    data = encode(Picture(noise(5, 6)), "jpeg")
    photo.with_suffix(".jpg").write_bytes(data)
    assert predict(tiny_x2, tmp_path / "out", photo.parent, "--resume") == 0
    for name, source in (("photo", photo.with_suffix(".jpg")), ("photo_1", photo)):
        expected = answer(tiny_x2, read(source))
        assert np.array_equal(read(tmp_path / "out" / f"{name}.png").pixels, expected.pixels)


@pytest.mark.parametrize(
    ("option", "value"), [("--threads", "0"), ("--max-pixels", "-1"), ("--max-pixels", "many")]
)
def test_what_is_counted_is_a_number(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["predict", "--model", "nuclei", "--output", "out", "x.png", option, value])
    assert f"expected a number of at least 1, got '{value}'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--output", "", "x.png"], ["--output", "out", ""]])
def test_an_empty_path_is_not_the_folder_one_is_in(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["predict", "--model", "nuclei", *arguments])
    assert "is a variable of the shell unset?" in capsys.readouterr().err


def test_a_file_beyond_the_memory_is_not_read(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = tmp_path / "huge.tif"
    with huge.open("wb") as file:
        file.truncate(2**40)
    assert predict(tiny_x2, tmp_path / "out", huge, photo) == 1
    assert "expected a file of at most 2.0 GiB, got 1024.0 GiB" in capsys.readouterr().err
    assert (tmp_path / "out" / "photo.png").is_file()


def test_a_picture_of_12_bits_in_16_is_told(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / "deep.png"
    deep.write_bytes(encode(Picture(np.full((9, 7, 1), 4095, np.uint16)), "png"))
    for depth in ("auto", "8"):
        options = "--resume", "--depth", depth
        assert predict(tiny_x2, tmp_path / depth, deep, photo, *options) == 0
        told = [line for line in capsys.readouterr().err.splitlines() if "nearly black" in line]
        assert len(told) == 1
        assert "deep.png is nearly black: its largest value is" in told[0]


def test_json_is_all_that_stdout_holds(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    assert predict(tiny_x2, tmp_path / "out", photo, bad, tmp_path / "none.png", "--json") == 1
    printed = capsys.readouterr()
    summary = json.loads(printed.out)
    done, unread, missing = summary["pictures"]
    assert summary["model"] == load(tiny_x2).spec.address
    assert summary["totals"]["done"] == 1
    assert (done["status"], done["width"], done["height"]) == ("done", 34, 21)
    assert done["output"] == str(tmp_path / "out" / "photo.png")
    assert unread["error"]["code"] == "unsupported_format"
    assert missing["error"]["code"] == "file_error"
    assert "photo.png →" in printed.err
    assert "bad.png" in printed.err


def test_an_interrupt_keeps_what_is_finished(
    tiny_x2: Path,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["a.png", "b.png", "c.png"]
    for name in names:
        write(photo.with_name(name), noise(3, 4))
    pictures = 0
    true_bands = Predictor.bands

    def bands(self: Predictor, picture: Picture, **options: Any) -> Any:
        nonlocal pictures
        pictures += 1
        if pictures == 3:
            raise KeyboardInterrupt
        yield from true_bands(self, picture, **options)

    monkeypatch.setattr(Predictor, "bands", bands)
    assert predict(tiny_x2, tmp_path / "out", photo.parent, "--json") == 130
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png"]
    printed = capsys.readouterr()
    assert json.loads(printed.out)["interrupted"] is True
    assert "2 pictures left" in printed.err


def test_a_bad_picture_is_named_and_the_others_are_done(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "text.png"
    bad.write_text("no picture")
    assert predict(tiny_x2, tmp_path / "out", bad, tmp_path / "missing.png", photo) == 1
    errors = capsys.readouterr().err
    assert "text.png" in errors
    assert "expected PNG, JPEG" in errors
    assert "missing.png: No such file or directory" in errors
    assert (tmp_path / "out" / "photo.png").is_file()


def test_a_background_that_does_not_fit_one_picture_does_not_stop_the_others(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gray = Image.fromarray(noise(9, 7)).convert("LA")
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"GRAY"
    gray.save(tmp_path / "gray.png", icc_profile=bytes(profile))
    options = "--profile", "keep", "--background", "#ff0000"
    assert predict(tiny_x2, tmp_path / "out", tmp_path / "gray.png", photo, *options) == 1
    assert "gray.png: colour: expected a gray for a profile of gray" in capsys.readouterr().err
    assert (tmp_path / "out" / "photo.png").is_file()


def test_a_profile_that_the_format_cannot_hold_is_told_before_the_work(
    tiny_x2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"GRAY"
    Image.fromarray(noise(9, 7)).convert("L").save(
        tmp_path / "gray.png", icc_profile=bytes(profile)
    )
    monkeypatch.setattr(Predictor, "bands", None)
    options = "--profile", "keep", "--format", "webp"
    assert predict(tiny_x2, tmp_path / "out", tmp_path / "gray.png", *options) == 1
    assert "gray.png: webp has no gray for a profile" in capsys.readouterr().err


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
        assert (f"{file.name}:" in errors) == (code is not None), name


def refused_before_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def bands(*_: Any, **__: Any) -> Any:
        pytest.fail("the engine was asked")

    monkeypatch.setattr(Predictor, "bands", bands)


def test_a_side_too_long_for_the_format_is_told_before_the_work(
    tiny_x2: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused_before_the_engine(monkeypatch)
    file = write(tmp_path / "long.png", noise(1, 8192))
    assert predict(tiny_x2, tmp_path / "out", file, "--format", "webp") == 1
    assert "long.png: the sides of a webp picture are limited" in capsys.readouterr().err


def test_a_picture_beyond_the_memory_is_told_before_the_work(
    tiny_x2: Path,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused_before_the_engine(monkeypatch)
    assert predict(tiny_x2, tmp_path / "out", photo, "--max-memory", "1M", "--json") == 1
    printed = capsys.readouterr()
    error = json.loads(printed.out)["pictures"][0]["error"]
    assert error["code"] == "too_little_memory"
    assert "raise --max-memory" in printed.err


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("tiny-labels", ["--format", "jpeg"], "jpeg would blur labels"),
        ("tiny-labels", ["--view", "colour"], "view: expected mask or overlay or confidence"),
        ("tiny-labels", ["--profile", "keep"], "--profile: expected convert"),
        ("tiny-x2", ["--view", "mask"], "view: expected none"),
        ("tiny-x2", ["--format", "jpeg", "--depth", "16"], "the depth of a jpeg picture"),
        ("tiny-x2", ["--threads", "9999"], "threads: expected a number from 1 to 1024, got 9999"),
    ],
)
def test_a_call_that_cannot_succeed_begins_nothing(
    tiny_models: Path,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    options: list[str],
    expected: str,
) -> None:
    assert predict(tiny_models / model, tmp_path / "out", photo, *options) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_a_folder_ends_with_a_sentence(
    tiny_x2: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("here already")
    assert predict(tiny_x2, tmp_path / "file", photo) == 2
    assert "--output: expected a folder, got the file" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "here already"


def test_an_unknown_model_is_answered_by_those_there_are(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tmp_path / "nowhere", tmp_path / "out", photo) == 2
    assert "expected a model folder or one of" in capsys.readouterr().err


def test_a_name_is_printed_as_it_is(
    tiny_x2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "[red]" + 50 * "wide" + ":smile:.png"
    file = write(tmp_path / name, noise(2, 2))
    assert predict(tiny_x2, tmp_path / "out", file) == 0
    assert name in capsys.readouterr().out
    assert decode((tmp_path / "out" / name).read_bytes()).width == 4
