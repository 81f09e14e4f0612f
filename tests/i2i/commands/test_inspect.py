"""What a model is said to be."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from i2i.__main__ import main
from i2i.commands.inspect import describe_output, facts
from i2i.spec import MapInfo, Measurement, ModelSpec


def test_inspect_tells_what_a_model_takes_and_gives(
    tiny_labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--layers", str(tiny_labels)]) == 0
    told = capsys.readouterr().out
    assert "labels: ground, leaf, sky" in told
    assert "multiply-adds per input pixel" in told
    assert f"folder       {tiny_labels}\n" in told


def test_inspect_gives_the_spec_as_json(
    tiny_labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--json", str(tiny_labels)]) == 0
    spec: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert spec["name"] == "tiny-labels"
    assert next(iter(spec)) == "schema_version"


def test_long_facts_are_wrapped_on_a_terminal_and_in_a_line_for_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["inspect", "nuclei"]) == 0
    piped = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["inspect", "nuclei"]) == 0
    wrapped = capsys.readouterr().out
    assert wrapped.split() == piped.split()
    assert any(line.startswith(" " * 13) for line in wrapped.splitlines())
    assert all(len(line) <= 60 for line in wrapped.splitlines() if not line.startswith("folder"))


def test_the_shipped_models_are_listed_with_their_versions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from i2i import shipped_models

    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_models())


DEPTHS = ModelSpec(
    name="depths", kind="map", task="dense-map", net={}, map=MapInfo("m", -0.5, 80), margin=96
)


def test_a_map_is_told_with_its_range_and_unit() -> None:
    assert describe_output(DEPTHS) == "map: -0.5 to 80 m (dense-map)"


def test_the_price_of_the_margin_is_told() -> None:
    assert dict(facts(DEPTHS))["margin"] == "96 pixels (exact): 4.00 × the work without it"
    whole = dict(facts(replace(DEPTHS, tiling="whole", max_pixels=1_000_000)))
    assert whole["margin"] == "96 pixels (exact)"
    assert whole["windows"] == "none: a picture as a whole, up to 1,000,000 pixels"


def test_heads_that_only_trained_are_told() -> None:
    assert "trained with" not in dict(facts(DEPTHS))
    config = {"net": {"class_path": "Autoencoder", "init_args": {"auxiliary": [0, 1]}}}
    told = dict(facts(replace(DEPTHS, provenance={"config": config})))
    assert told["trained with"].startswith("auxiliary heads at stages 0, 1 of the decoder")


def test_a_set_of_pictures_called_as_a_fact_hides_none() -> None:
    spec = replace(DEPTHS, scores={"margin": Measurement(7, {"mae": 0.5}, {})})
    margins = [value for name, value in facts(spec) if name == "margin"]
    assert margins == [dict(facts(DEPTHS))["margin"], "mae 0.5 (7 pictures)"]
