"""Files written row by row: any cut into rows gives the same file, whole or not at all."""

import io
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from i2i.image import ImageError, Picture, decode, encode, open_writer, read, read_map
from i2i.image.strip_writer import StripWriter

Kind = Literal["png", "tiff"]


def any_values(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> NDArray[Any]:
    most = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, most, shape, dtype, endpoint=True)


@pytest.mark.parametrize("format", ["png", "tiff"])
@given(choice=st.data())
def test_the_cut_into_rows_does_not_show(format: Kind, choice: st.DataObject) -> None:
    height, width = choice.draw(st.integers(1, 30)), choice.draw(st.integers(1, 30))
    channels = choice.draw(st.sampled_from([1, 2, 3, 4]))
    values = any_values((height, width, channels), choice.draw(st.sampled_from(["u1", "u2"])))
    cuts = choice.draw(st.lists(st.integers(0, height), max_size=5))
    files = []
    for parts in ([values], np.split(values, sorted(cuts))):
        file = io.BytesIO()
        with open_writer(file, format, height, width, channels, values.dtype) as writer:
            for part in parts:
                writer.write(part)
        files.append(file.getvalue())
    assert files[0] == files[1]
    picture = decode(files[0], depth=16)
    colours = 3 if channels > 2 else 1
    np.testing.assert_array_equal(picture.pixels, values[..., :colours])
    if channels % 2 == 0:
        np.testing.assert_array_equal(picture.alpha, values[..., -1])


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_picture_is_whole_behind_what_an_open_file_holds(format: Kind) -> None:
    values = any_values((3, 4, 3), "u1")
    file = io.BytesIO()
    file.write(b"a header")
    with open_writer(file, format, *values.shape) as writer:
        writer.write(values)
    header, picture = file.getvalue()[:8], file.getvalue()[8:]
    assert header == b"a header"
    np.testing.assert_array_equal(decode(picture).pixels, values)


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pillow_reads_what_is_written(format: Kind, channels: int) -> None:
    values = any_values((300, 700, channels), "u1")
    file = io.BytesIO()
    with open_writer(file, format, *values.shape) as writer:
        writer.write(values)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), values.squeeze())


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_pillow_reads_16_bit_gray(format: Kind) -> None:
    values = any_values((30, 700, 1), "u2")
    file = io.BytesIO(encode(Picture(values), format))
    np.testing.assert_array_equal(np.asarray(Image.open(file)), values[..., 0])


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_failure_inside_leaves_nothing_and_keeps_the_earlier_file(
    format: Kind, tmp_path: Path
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(b"earlier")
    for error in (RuntimeError("inside"), FileNotFoundError(2, "missing", "another")):
        with pytest.raises(type(error)) as caught:
            write_half_and_raise(path, format, error)
        assert caught.value is error
    writer = open_writer(path, format, 9, 9, 3)
    writer.write(np.zeros((4, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="expected 9, got 4"):
        writer.close()
    writer.close()
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def write_half_and_raise(path: Path, format: Kind, error: Exception) -> None:
    with open_writer(path, format, 9, 9, 3) as writer:
        writer.write(np.zeros((4, 9, 3), np.uint8))
        raise error


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path, values = tmp_path / "picture.png", any_values((3, 2, 3), "u1")
    writer = open_writer(path, "png", 3, 2, 3)
    writer.write(values)
    assert not path.exists()
    for _ in range(2):
        writer.close()
    np.testing.assert_array_equal(read(path).pixels, values)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing/picture\.png"):
        open_writer(tmp_path / "missing" / "picture.png", "png", 1, 1, 1)


def test_rows_that_do_not_fit_are_refused() -> None:
    writer = open_writer(io.BytesIO(), "png", 3, 2, 1, np.uint16)
    wrong: list[NDArray[Any]] = [np.zeros((1, 2, 1), np.uint8), np.zeros((1, 2), np.uint16)]
    for rows in [*wrong, np.zeros((1, 2, 3), np.uint16)]:
        with pytest.raises(ValueError, match=r"rows: expected uint16 \(h, 2, 1\)"):
            writer.write(rows)
    writer.write(np.zeros((2, 2, 1), np.uint16))
    with pytest.raises(ValueError, match="expected at most 1 more, got 2"):
        writer.write(np.zeros((2, 2, 1), np.uint16))


def test_what_no_file_holds_is_refused() -> None:
    wrong: dict[str, dict[str, Any]] = {
        "dtype: expected": {"dtype": np.int32},
        "format: expected": {"format": "jpeg"},
        "1 to 4 channels": {"channels": 5},
        "1 x 1 pixels": {"height": 0},
    }
    for message, change in wrong.items():
        with pytest.raises(ValueError, match=message):
            open_of(**change)
    with pytest.raises(ImageError) as caught:
        open_of(dtype=np.float32)
    assert caught.value.code == "format_cannot_hold"


def open_of(**change: Any) -> StripWriter:
    arguments: dict[str, Any] = {"format": "png", "height": 2, "width": 2, "channels": 1}
    return open_writer(io.BytesIO(), **arguments | change)


def test_floats_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    values = np.array([[[np.nan], [np.inf], [-0.0]], [[1e-45], [3.4e38], [0.1]]], np.float32)
    with open_writer(tmp_path / "map.tiff", "tiff", 2, 3, 1, np.float32) as writer:
        writer.write(values)
    again = read_map(tmp_path / "map.tiff")
    assert again.tobytes() == values.tobytes()


def test_a_file_that_may_pass_4_gib_is_a_big_tiff() -> None:
    file = io.BytesIO()
    open_writer(file, "tiff", 1 << 16, 1 << 15, 1, np.uint16)
    assert file.getvalue()[:4] == b"II+\0"


@pytest.mark.slow
def test_a_big_tiff_is_written_in_little_memory_and_read_by_others(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
import numpy as np
from i2i.image import open_writer
height, width = 1 << 16, 1 << 15
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_writer(Path(sys.argv[1]), "tiff", height, width, 1, np.uint16) as writer:
    rows = np.zeros((64, width, 1), np.uint16)
    for top in range(0, height, 64):
        rows[:, :, 0] = top
        writer.write(rows)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
"""
    path = tmp_path / "big.tiff"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert file.is_bigtiff
        assert page.shape == (1 << 16, 1 << 15)
        file.filehandle.seek(page.dataoffsets[-1])
        last = zlib.decompress(file.filehandle.read(page.databytecounts[-1]))
    differences = np.frombuffer(last, "<u2").reshape(-1, 1 << 15)
    assert (differences[:, 0] == (1 << 16) - 64).all()
    assert not differences[:, 1:].any()


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("count", [1, 3, 256])
def test_values_with_a_palette_are_its_indices(format: Kind, count: int) -> None:
    palette = [(i, 255 - i, 7) for i in range(count)]
    indices = (np.arange(300) % count).astype(np.uint8).reshape(20, 15, 1)
    file = io.BytesIO()
    with open_writer(file, format, 20, 15, 1, palette=palette) as writer:
        writer.write(indices)
    image = Image.open(file)
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), indices[..., 0])
    np.testing.assert_array_equal(
        decode(file.getvalue()).pixels, np.array(palette)[indices[..., 0]]
    )


@pytest.mark.parametrize(
    ("channels", "dtype", "count"), [(3, "u1", 2), (1, "u2", 2), (1, "u1", 257)]
)
def test_a_palette_is_for_few_values_of_one_channel(channels: int, dtype: str, count: int) -> None:
    with pytest.raises(ValueError, match="palette: expected at most 256 colours"):
        open_writer(io.BytesIO(), "png", 2, 2, channels, dtype, palette=[(0, 0, 0)] * count)
