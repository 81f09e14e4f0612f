"""What a search draws from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.search_space import Choices, Range, as_options, read_space


def written(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def test_a_space_is_read(tmp_path: Path) -> None:
    text = """
model.learning_rate: {low: 1.0e-4, high: 3.0e-3, log: true}
data.batch_size: {low: 2, high: 16}
model.optimizer: [Muon, {class_path: AdamW, init_args: {betas: [0.9, 0.99]}}]
"""
    assert read_space(written(tmp_path, text)) == {
        "model.learning_rate": Range(1e-4, 3e-3, True),
        "data.batch_size": Range(2, 16),
        "model.optimizer": Choices(
            ("Muon", {"class_path": "AdamW", "init_args": {"betas": [0.9, 0.99]}})
        ),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 3", "a: expected [values] or {low"),
        ("a: []", "a: expected [values]"),
        ("a: {low: 2, high: 1}", "with low < high"),
        ("a: {low: 0, high: 1, log: true}", "above 0 with log: true"),
        ("a: {low: 1e-3, high: 1}", "write 1.0e-3"),
        ("a: {low: 1, high: 2, step: 1}", "got {'low': 1"),
        ("model: {learning_rate: [1.0e-3]}", "in one, as model.learning_rate"),
        ("[1, 2]", "expected keys of a config"),
        ("a: [", "expected YAML"),
        ("", "expected keys of a config"),
    ],
)
def test_another_form_is_told(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        read_space(written(tmp_path, text))


@given(
    st.floats(1e-6, 1e3),
    st.floats(1.01, 1e4),
    st.booleans(),
    st.integers(min_value=0, max_value=99),
)
def test_what_is_drawn_lies_between_the_ends(
    low: float, times: float, log: bool, seed: int
) -> None:
    drawn = Range(low, low * times, log).draw(np.random.default_rng(seed))
    assert low <= drawn <= low * times


@given(
    st.integers(1, 50), st.integers(1, 50), st.booleans(), st.integers(min_value=0, max_value=99)
)
def test_of_whole_ends_whole_numbers_are_drawn(low: int, more: int, log: bool, seed: int) -> None:
    drawn = Range(low, low + more, log).draw(np.random.default_rng(seed))
    assert isinstance(drawn, int)
    assert low <= drawn <= low + more


def test_a_narrow_range_is_drawn_finely() -> None:
    random = np.random.default_rng(0)
    drawn = {Range(0.99, 0.9999).draw(random) for _ in range(200)}
    assert len(drawn) > 100
    assert max(drawn) < 1
    assert Range(1e-4, 1e-2, True).draw(random) == pytest.approx(1e-3, abs=1e-2)


def test_a_logarithmic_range_draws_each_factor_alike() -> None:
    random = np.random.default_rng(0)
    drawn = [Range(1e-4, 1e-2, True).draw(random) for _ in range(2000)]
    assert 0.45 < np.mean(np.array(drawn) < 1e-3) < 0.55


def test_values_are_options_of_fit() -> None:
    drawn = {"a.b": "Muon", "c": [1, 2], "d": {"class_path": "X"}, "e": True, "f": 0.003}
    assert as_options(drawn) == [
        "--a.b=Muon",
        "--c=[1, 2]",
        '--d={"class_path": "X"}',
        "--e=true",
        "--f=0.003",
    ]
