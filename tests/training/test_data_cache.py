"""Samples are read once, kept as far as there is room, and bad files told together."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.data import cache
from training.data.cache import Samples, pixels_digest
from training.data.files import find_photos, loads_of
from training.tasks import Sample, SuperResolution

TASK_2X = SuperResolution(2)
COLOURS = np.full((8, 8, 3), 200, np.uint8)


def test_all_bad_files_are_told_at_once(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.png").write_bytes(b"")

    with pytest.raises(
        ValueError, match=r"7 pictures cannot be .*0\.png.*4\.png.*and 2 more\)$"
    ) as error:
        Samples(loads_of(find_photos(tmp_path), TASK_2X))
    assert str(error.value).count("no bytes") == 1


def test_bad_files_are_told_by_their_reasons() -> None:
    def load(name: str, reason: str) -> Sample:
        raise ValueError(f"{name}: {reason}")

    reasons = [*["too blue"] * 2, "too red", "too blue", *(f"another {i}" for i in range(5))]
    loads = [partial(load, f"{i}.png", reason) for i, reason in enumerate(reasons)]

    with pytest.raises(
        ValueError,
        match=r"^9 pictures cannot be used: too blue \(0\.png, 1\.png, 3\.png\); too red "
        r"\(2\.png\); another 0 \(4\.png\); another 1 \(5\.png\); another 2 \(6\.png\)"
        r"; and 2 more$",
    ):
        Samples(loads)


def test_decoded_pictures_are_kept_up_to_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    read: list[int] = []

    def load(index: int) -> Sample:
        read.append(index)
        return Sample(str(index), np.full((10, 10, 3), index, np.uint8))

    loads = [lambda index=index: load(index) for index in range(4)]
    with caplog.at_level(logging.WARNING):
        samples = Samples(loads, cache_bytes=700)
    read.clear()

    assert [samples[index].name for index in range(4)] == ["0", "1", "2", "3"]
    assert read == [2, 3]
    assert "2 of 4 pictures fit into cache_bytes=700" in caplog.text


def test_what_others_keep_is_not_kept_again(caplog: pytest.LogCaptureFixture) -> None:
    loads = [lambda: Sample("one", np.zeros((10, 10, 3), np.uint8))] * 2
    with caplog.at_level(logging.WARNING):
        assert Samples(loads, cache_bytes=700, taken=400).kept_bytes == 300
    assert "1 of 2 pictures fit into cache_bytes=700" in caplog.text


def test_a_cache_of_nothing_reads_at_each_use(caplog: pytest.LogCaptureFixture) -> None:
    made = [Sample(str(index), np.full((4, 4, 3), index, np.uint8)) for index in range(3)]
    read: list[str] = []

    def load(sample: Sample) -> Sample:
        read.append(sample.name)
        return sample

    with caplog.at_level(logging.WARNING):
        samples = Samples([partial(load, sample) for sample in made], cache_bytes=0)

    assert [samples[index].name for index in (2, 0)] == ["2", "0"]
    assert read == ["0", "1", "2", "2", "0"]
    assert caplog.text == ""


def test_a_picture_of_8_bits_is_digested_once(monkeypatch: pytest.MonkeyPatch) -> None:
    digested: list[Any] = []

    def digest(values: np.ndarray) -> bytes:
        digested.append(values.dtype)
        return pixels_digest(values)

    monkeypatch.setattr(cache, "pixels_digest", digest)
    deep = np.full((4, 4, 1), 257, np.uint16)
    for values, kinds in ((deep.astype(np.uint8), ["uint8"]), (deep, ["uint16", "uint8"])):
        digested.clear()
        samples = Samples([partial(Sample, "a", values)])
        assert digested == kinds
        # Known again in either depth.
        assert list(samples.name_of) == [pixels_digest(np.full((4, 4, 1), 1, np.uint8))]


def test_the_digest_is_of_names_pictures_masks_and_targets_whatever_is_kept() -> None:
    def digest(cache_bytes: int = 0, name: str = "a", **changed: np.ndarray) -> str:
        parts: dict[str, Any] = {
            "image": COLOURS,
            "mask": COLOURS[..., 0],
            "target": COLOURS.astype(np.float32),
        } | changed
        sample = Sample(name, **parts)
        return Samples([lambda: sample, lambda: Sample("b", COLOURS)], cache_bytes).digest

    assert digest() == digest(cache_bytes=200) == digest(cache_bytes=10**6)
    others = [
        digest(name="c"),
        digest(image=COLOURS - 1),
        digest(image=COLOURS.reshape(4, 16, 3)),
        digest(mask=COLOURS[..., 0] - 1),
        digest(target=COLOURS.astype(np.float32) - 1),
    ]
    assert len({digest(), *others}) == 6
