"""The memory that a picture is said to need."""

from dataclasses import replace

import pytest

from i2i.commands.memory import needed_bytes
from i2i.image import Format, Header
from i2i.image.formats import READING_BYTES
from i2i.predictor import Predictor

GIB = 1 << 30
LARGE = Header("png", 12_000, 8_000)


def needed(predictor: Predictor, format: Format, header: Header = LARGE, depth: int = 8) -> float:
    return needed_bytes(predictor, header, 300 << 20, format, depth) / GIB


def test_doubling_a_large_picture_stays_within_the_default(enlarging: Predictor) -> None:
    assert 1 < needed(enlarging, "png") < 2
    assert needed(enlarging, "png") == needed(enlarging, "tiff")


@pytest.mark.parametrize("format", READING_BYTES)
def test_no_format_needs_less_than_decoding_it_takes(enlarging: Predictor, format: str) -> None:
    decoding = (300 << 20) + READING_BYTES[format] * 96e6
    assert needed(enlarging, "png", Header(format, 12_000, 8_000)) > decoding / GIB


def test_a_model_that_takes_pictures_as_a_whole_needs_an_engine_for_all_of_it(
    enlarging: Predictor,
) -> None:
    spec = replace(enlarging.spec, tiling="whole", max_pixels=10**9)
    whole = Predictor(replace(enlarging.folder, spec=spec), enlarging.engine)
    assert needed(whole, "png") > needed(enlarging, "png") + 690 * 96e6 / GIB


def test_formats_without_strips_need_the_whole_answer(enlarging: Predictor) -> None:
    assert needed(enlarging, "jpeg") > 2 + needed(enlarging, "png")


def test_16_bits_need_twice_the_picture(enlarging: Predictor) -> None:
    difference = needed(enlarging, "png", depth=16) - needed(enlarging, "png")
    assert difference == pytest.approx(13 * 96e6 / GIB)  # that of 8 bits, while it is decoded


def test_a_header_of_no_pixels_needs_nothing_more(enlarging: Predictor) -> None:
    assert needed(enlarging, "png", Header("png", 0, 0)) < 1
