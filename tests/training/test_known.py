"""Pictures that a model was trained on are known again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i.spec import ModelSpec
from training import cli
from training.data import known
from training.data.cache import mark_of
from training.data.known import Known, marks
from training.evaluation.comparison import known_in_words
from training.tasks import Sample


def sample(level: int) -> Sample:
    return Sample(str(level), np.full((2, 3, 3), level, np.uint8))


def spec_of(**levels: Iterable[int]) -> ModelSpec:
    noted = {
        part: marks(mark_of(sample(level).image) for level in each) for part, each in levels.items()
    }
    provenance = {"data": {"marks": noted}}
    return ModelSpec(name="x", kind="image", task="t", net={}, provenance=provenance)


levels = st.sets(st.integers(0, 255))


@given(levels, levels, levels)
def test_known_pictures_are_found_and_no_others(
    trained: set[int], validated: set[int], asked: set[int]
) -> None:
    found = Known(spec_of(trained=trained, validated=validated))
    samples = [sample(level) for level in asked]
    assert list(found.watched(samples)) == samples
    assert {int(name) for name in found.found["trained"]} == trained & asked
    assert {int(name) for name in found.found["validated"]} == validated & asked


def test_a_picture_trained_in_16_bits_is_known_in_8() -> None:
    deep = Sample("deep", np.full((2, 3, 3), 90 * 257, np.uint16))
    noted = {"trained": marks([mark_of(deep.image)])}
    spec = ModelSpec("x", kind="image", task="t", net={}, provenance={"data": {"marks": noted}})
    found = Known(spec)
    list(found.watched([sample(90)]))
    assert found.found["trained"] == ["90"]


def test_of_very_many_pictures_nothing_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 2)
    found = Known(spec_of(trained=[1, 2, 3], validated=[4]))
    assert [each.name for each in found.watched([sample(1), sample(4)])] == ["1", "4"]
    assert found.found == {"validated": ["4"]}


def test_a_model_of_earlier_times_knows_nothing() -> None:
    nothing = Known(ModelSpec(name="x", kind="image", task="t", net={}))
    assert len(list(nothing.watched([sample(1)]))) == 1
    assert nothing.found == {}


def test_what_is_known_is_told_in_a_sentence_each() -> None:
    names = {"trained": ["a", "b", "c", "d"], "validated": ["e"]}
    assert known_in_words({"set": {"pictures": 9}, "known": names}) == [
        "4 of 9 pictures trained the model (a, b, c, …): the scores flatter it",
        "1 of 9 pictures chose its checkpoint (e): the scores flatter it",
    ]


def test_an_evaluation_tells_of_pictures_that_trained_the_model(
    run_of: Callable[[str], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, output = run_of("super_resolution_x2"), tmp_path / "results.json"
    photos = run.images
    options = ["--images", str(photos), "--no-cost", "--output", str(output)]
    cli.main(["evaluate", "--model", str(run.model), *options])

    noted = json.loads(output.read_text())["known"]
    names = {path.stem for path in photos.iterdir()}
    assert set(noted["trained"]) | set(noted["validated"]) == names
    assert "trained the model" in capsys.readouterr().out
