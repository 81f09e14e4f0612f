"""Whatever bytes arrive: a picture, or an error that says what is wrong, in little memory."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from i2i.image import (
    Header,
    ImageError,
    Picture,
    decode,
    encode,
    read_header,
)
from i2i.image.picture import Depth
from tests.i2i.makers import VALID, code_of, encoded, noise, smooth

BadPictures = list[tuple[str, bytes, str | None]]


def is_picture_or_image_error(data: bytes, depth: Depth = 16) -> bool:
    try:
        return isinstance(decode(data, max_pixels=1_000_000, depth=depth), Picture)
    except ImageError as error:
        return bool(error.code and error.detail)


@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
@given(choice=st.data())
def test_any_beginning_is_a_picture_or_an_image_error(data: bytes, choice: st.DataObject) -> None:
    assert is_picture_or_image_error(data[: choice.draw(st.integers(0, len(data)))])


@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
@given(choice=st.data())
def test_any_changed_byte_is_a_picture_or_an_image_error(
    data: bytes, choice: st.DataObject
) -> None:
    changed = bytearray(data)
    changed[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    assert is_picture_or_image_error(bytes(changed))


@pytest.mark.slow
@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
def test_thousands_of_changed_files_are_pictures_or_image_errors(data: bytes) -> None:
    random = np.random.default_rng(0)
    for _ in range(3000):
        changed = np.frombuffer(data, np.uint8).copy()
        # Most changes near the ends, where headers and directories are.
        reach = len(changed) if random.random() < 0.3 else min(len(changed), 300)
        places = random.integers(0, reach, random.integers(1, 6))
        places = places if random.random() < 0.5 else len(changed) - 1 - places
        changed[places] = random.choice(np.array([0, 1, 2, 128, 255]), len(places))
        assert is_picture_or_image_error(changed.tobytes())


@given(start=st.sampled_from([b"", *(data[:16] for data in VALID.values())]), rest=st.binary())
def test_random_bytes_are_a_picture_or_an_image_error(start: bytes, rest: bytes) -> None:
    assert is_picture_or_image_error(start + rest)


def test_a_jpeg_of_12_bits_is_told_what_came() -> None:
    data = bytearray(encoded(Image.fromarray(smooth(64, 64)), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match=r"expected 8 bits, .*, got 12 bits, frame 0xc0"):
        decode(data)


def test_a_png_whose_checksum_is_wrong_is_damaged() -> None:
    data = bytearray(encoded(Image.fromarray(smooth(64, 64)), "PNG"))
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ImageError, match="a checksum of the png file is wrong"):
        decode(bytes(data))


def test_a_jpeg_of_12_bits_is_no_damaged_one() -> None:
    data = bytearray(encoded(Image.fromarray(smooth(64, 64)), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError) as error:
        decode(bytes(data))
    assert error.value.code == "unsupported_format"


def test_every_bad_picture_has_its_code(bad_pictures: BadPictures) -> None:
    codes: dict[str, str | None] = {}
    for name, data, _ in bad_pictures:
        try:
            decode(data)
            codes[name] = None
        except ImageError as error:
            codes[name] = error.code
    assert codes == {name: code for name, _, code in bad_pictures}


@pytest.mark.whole
def test_every_bad_picture_is_decoded_in_little_memory() -> None:
    script = """
import resource, sys
from bad_pictures import bad_pictures
from i2i.image import ImageError, decode
table = bad_pictures()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for name, data, code in table:
    try:
        decode(data)
    except ImageError as error:
        assert error.code == code, (name, error.code)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert after - before < 32 * 1024, (before, after)
"""
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], check=True, env=place)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("JPEG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_a_large_picture_is_decoded_in_ten_bytes_a_pixel(
    format: str, options: dict[str, str], tmp_path: Path
) -> None:
    height, width = 4000, 6000
    Image.fromarray(smooth(height, width)).save(tmp_path / "picture", format, **options)
    script = """
import resource, sys
from pathlib import Path
from i2i.image import decode, read
decode(Path(sys.argv[2]).read_bytes())  # imports what it needs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read(Path(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
sys.exit(peak * 1024 > 10 * 4000 * 6000)
"""
    (tmp_path / "small").write_bytes(encoded(Image.fromarray(smooth()), format))
    names = [str(tmp_path / "picture"), str(tmp_path / "small")]
    subprocess.run([sys.executable, "-c", script, *names], check=True)


@pytest.mark.parametrize("name", VALID)
def test_a_file_cut_in_half_is_truncated(name: str) -> None:
    assert code_of(VALID[name][: len(VALID[name]) // 2]) == "truncated"


def test_an_error_says_what_works_and_nothing_of_the_decoder() -> None:
    with pytest.raises(ImageError) as caught:
        decode(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert "PNG, JPEG, WebP, TIFF or BMP" in str(caught.value)
    with pytest.raises(ImageError) as caught:
        decode(VALID["jpeg"][:-100])
    assert str(caught.value) == "the jpeg file ends early"


def test_the_limit_is_the_number_of_pixels() -> None:
    data = encode(Picture(noise(6, 7, 3)))
    assert decode(data, max_pixels=42).width == 7
    assert code_of(data, max_pixels=41) == "too_many_pixels"
    assert read_header(data) == Header("png", 7, 6)


def test_pillow_has_no_limit_of_its_own(pictures: ModuleType) -> None:
    picture = decode(pictures.huge_png(13_500), max_pixels=200_000_000)
    assert picture.pixels.shape == (13_500, 13_500, 1)
