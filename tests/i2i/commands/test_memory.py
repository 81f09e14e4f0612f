"""The memory that a picture is said to need."""

from i2i.commands.memory import needed_bytes
from i2i.image import Format, Header
from i2i.predictor import Predictor

GIB = 1 << 30
LARGE = Header("png", 12_000, 8_000)


def needed(predictor: Predictor, format: Format, header: Header = LARGE, depth: int = 8) -> float:
    return needed_bytes(predictor, header, 300 << 20, format, depth) / GIB


def test_doubling_a_large_picture_stays_within_the_default(enlarging: Predictor) -> None:
    assert 1 < needed(enlarging, "png") < 2
    assert needed(enlarging, "png") == needed(enlarging, "tiff")


def test_a_tiff_may_be_one_strip_that_is_held_beside_the_picture(enlarging: Predictor) -> None:
    assert needed(enlarging, "png", Header("tiff", 12_000, 8_000)) == needed(enlarging, "png")


def test_formats_without_strips_need_the_whole_answer(enlarging: Predictor) -> None:
    assert needed(enlarging, "jpeg") > 2 + needed(enlarging, "png")


def test_16_bits_need_twice_the_picture(enlarging: Predictor) -> None:
    difference = needed(enlarging, "png", depth=16) - needed(enlarging, "png")
    assert difference > 1.99 * 4 * 96e6 / GIB  # decoded, and as Pillow holds it


def test_a_header_of_no_pixels_needs_nothing_more(enlarging: Predictor) -> None:
    assert needed(enlarging, "png", Header("png", 0, 0)) < 1
