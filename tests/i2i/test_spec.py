from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i.spec import SCHEMA_VERSION, ClassInfo, Graph, Kind, MapInfo, Measurement, ModelSpec, Tiling

numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=12)
scraps = st.dictionaries(words, numbers | words | st.none() | st.lists(st.integers()), max_size=3)
colours = st.tuples(*[st.integers(0, 255)] * 3)
ranges = st.lists(numbers, min_size=2, max_size=2, unique=True).map(sorted)
maps = st.builds(lambda unit, limits: MapInfo(unit, *limits), words, ranges)


measurements = st.builds(
    Measurement,
    st.integers(1, 1000),
    st.dictionaries(words, numbers, max_size=2),
    st.dictionaries(words, numbers, max_size=2),
    words,
    st.dictionaries(words, numbers, max_size=2),
)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Specs of every kind and tiling."""
    kind: Kind = draw(st.sampled_from(["image", "labels", "map"]))
    tiling: Tiling = draw(st.sampled_from(["windows", "whole"]))
    multiple, kept = draw(st.integers(1, 32)), draw(st.integers(1, 9))
    margin = multiple * draw(st.integers(0, 9))
    classes = st.lists(st.builds(ClassInfo, words, colours), min_size=2, max_size=5)
    return ModelSpec(
        name=draw(st.from_regex(r"[a-z0-9][a-z0-9.-]{0,9}", fullmatch=True)),
        kind=kind,
        task=draw(words),
        net={"class": draw(words), "arguments": draw(scraps)},
        scale=1 if kind == "labels" else draw(st.integers(1, 8)),
        input_channels=draw(st.sampled_from([1, 3])),
        size_multiple=multiple,
        margin=margin,
        margin_kind=draw(st.sampled_from(["exact", "measured"])),
        tiling=tiling,
        window=2 * margin + kept * multiple,
        max_pixels=draw(st.integers(1, 10**9)) if tiling == "whole" else None,
        classes=tuple(draw(classes)) if kind == "labels" else (),
        map=draw(maps) if kind == "map" else None,
        temperature=draw(st.floats(0.01, 100)),
        graph=draw(st.builds(Graph, words, st.lists(words).map(tuple), st.integers(1, 30))),
        tolerance=draw(st.dictionaries(words, st.dictionaries(words, numbers), max_size=2)),
        protocol=draw(scraps),
        scores=draw(st.dictionaries(words, measurements, max_size=2)),
        provenance=draw(scraps),
        digest=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
    )


@given(specs())
def test_a_spec_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert ModelSpec.from_json(spec.to_json()).to_json() == spec.to_json()


@pytest.fixture
def data() -> dict[str, Any]:
    """The plain data of a segmentation model."""
    classes = (ClassInfo("ground", (0, 0, 0)), ClassInfo("leaf", (0, 200, 0)))
    fields: dict[str, Any] = {
        "margin": 16,
        "size_multiple": 8,
        "classes": classes,
        "digest": "ab" * 32,
    }
    spec = ModelSpec(name="leaves", kind="labels", task="test", net={"class": "Net"}, **fields)
    return spec.to_dict()


def test_the_version_comes_first_and_names_the_digest(data: dict[str, Any]) -> None:
    assert list(data)[:4] == ["schema_version", "name", "version", "digest"]
    assert data["version"] == data["digest"][:12]
    assert ModelSpec.from_dict(data).address == "leaves@abababababab"


def test_plain_data_holds_every_field(data: dict[str, Any]) -> None:
    assert set(data) == {f.name for f in dataclasses.fields(ModelSpec)} | {"version"}
    assert json.loads(json.dumps(data)) == data


def test_what_is_left_out_has_its_default() -> None:
    spec = ModelSpec.from_dict(
        {"schema_version": SCHEMA_VERSION, "name": "x", "kind": "image", "task": "t", "net": {}}
    )

    assert spec == ModelSpec(name="x", kind="image", task="t", net={})


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("name", 5, "spec.name: expected str, got 5"),
        ("tolerance", {"torch": {"f32": 10**400}}, "spec.tolerance.torch.f32: expected float"),
        ("name", "", "name: expected lower-case letters and digits, .* got ''"),
        ("name", "..", "name: .* got '..'"),
        ("name", "Upper", "name: .* got 'Upper'"),
        ("name", "a/b", "name: .* got 'a/b'"),
        ("name", "new\n", r"name: .* got 'new\\n'"),
        ("name", "\u0665", "name: .* got"),  # a digit, but not one of an address
        ("kind", "video", "spec.kind: expected one of image, labels, map, got 'video'"),
        ("kind", ["image"], r"spec.kind: expected one of .*, got \['image'\]"),
        ("task", None, "spec.task: expected str, got None"),
        ("net", "Autoencoder", "spec.net: expected .*dict.*, got 'Autoencoder'"),
        ("scale", 0, "scale: expected at least 1, got 0"),
        ("scale", 2.0, "spec.scale: expected int, got 2.0"),
        ("scale", True, "spec.scale: expected int, got True"),
        ("input_channels", 4, "input_channels: expected 1 or 3, got 4"),
        ("size_multiple", -8, "size_multiple: expected at least 1, got -8"),
        ("margin", -8, "margin: expected a multiple of size_multiple 8, got -8"),
        ("margin", 12, "margin: expected a multiple of size_multiple 8, got 12"),
        ("margin_kind", "guessed", "spec.margin_kind: expected one of exact, measured, got"),
        ("tiling", "rows", "spec.tiling: expected one of windows, whole, got 'rows'"),
        ("tiling", "whole", "max_pixels: expected a number with tiling 'whole', got none"),
        ("window", 0, "window: expected at least 1, got 0"),
        ("window", 32, "window: expected more than twice the margin 16, got 32"),
        ("window", 100, "window: expected a multiple of size_multiple 8, got 100"),
        ("max_pixels", 10, "max_pixels: expected none with windows, got 10"),
        ("max_pixels", "many", "spec.max_pixels: expected int, got 'many'"),
        ("classes", [], "classes: expected 2 to 256 for labels, got 0"),
        ("scale", 2, "scale: expected 1 for labels, got 2"),
        ("kind", "image", "classes: expected none for image, got 2"),
        ("map", {"unit": "m", "low": 0, "high": 1}, "map: expected none for labels, got MapInfo"),
        ("classes", {"a": 1}, "spec.classes: expected .*tuple.*, got {'a': 1}"),
        ("classes", ["leaf"], r"spec.classes\[0\]: expected an object, got 'leaf'"),
        ("classes", [{"name": "a"}] * 2, r"spec.classes\[0\]: key 'colour' is missing"),
        (
            "classes",
            [{"name": "a", "colour": [1, 2]}] * 2,
            r"spec.classes\[0\].colour: expected .*tuple.*, got \[1, 2\]",
        ),
        (
            "classes",
            [{"name": "a", "colour": [1, 2, 256]}] * 2,
            r"colour: expected three of 0 to 255, got \(1, 2, 256\)",
        ),
        ("map", {"unit": "m", "low": 0}, "spec.map: key 'high' is missing"),
        ("map", {"unit": "m", "low": 0, "high": "x"}, "spec.map.high: expected float, got 'x'"),
        ("temperature", 0, "temperature: expected a finite number above 0, got 0"),
        ("temperature", float("nan"), "temperature: .* got nan"),
        ("temperature", "warm", "spec.temperature: expected float, got 'warm'"),
        ("graph", None, "spec.graph: expected an object, got None"),
        ("graph", {"outputs": "image"}, "spec.graph.outputs: expected .*, got 'image'"),
        ("graph", {"inputs": "image"}, "spec.graph: unknown key 'inputs'; expected input, outp"),
        ("tolerance", {"openvino": 1}, "spec.tolerance.openvino: expected .*dict.*, got 1"),
        (
            "tolerance",
            {"openvino": {"f32": "small"}},
            "spec.tolerance.openvino.f32: expected float, got 'small'",
        ),
        ("protocol", [], r"spec.protocol: expected .*dict.*, got \[\]"),
        ("scores", 1, "spec.scores: expected .*dict.*, got 1"),
        ("provenance", "me", "spec.provenance: expected .*dict.*, got 'me'"),
        ("digest", 0, "spec.digest: expected str, got 0"),
        ("schema_version", 2, "schema_version: expected 1, got 2; export the model again"),
        ("schema_version", "1", "schema_version: expected 1, got '1'"),
        ("colour", "red", "spec: unknown key 'colour'; expected name, kind"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    data: dict[str, Any], field: str, value: object, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        ModelSpec.from_dict({**data, field: value})


def test_a_limit_of_pixels_is_at_least_one(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="max_pixels: expected at least 1, got 0"):
        ModelSpec.from_dict({**data, "tiling": "whole", "max_pixels": 0})


def test_what_json_does_not_know_is_not_written() -> None:
    spec = ModelSpec(name="x", kind="image", task="t", net={}, protocol={"psnr": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        spec.to_json()


@pytest.mark.parametrize("field", ["name", "kind", "task", "net"])
def test_a_missing_key_is_named(data: dict[str, Any], field: str) -> None:
    del data[field]

    with pytest.raises(ValueError, match=f"spec: key '{field}' is missing"):
        ModelSpec.from_dict(data)


def test_another_schema_is_told_before_its_unknown_keys(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=re.escape("schema_version: expected 1, got 7")):
        ModelSpec.from_dict({**data, "schema_version": 7, "new_field": 1})
    with pytest.raises(ValueError, match="schema_version: expected 1, got 7"):
        ModelSpec(name="x", kind="image", task="t", net={}, schema_version=7)


@pytest.mark.parametrize("text", ["[]", "null", '"spec"', "3"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a JSON object, got"):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(
    ("provenance", "complaint"),
    [
        ('{"loss": 1e999}', "expected finite numbers, got 1e999"),
        ('{"loss": NaN}', "expected finite numbers, got NaN"),
        ('{"root": "\\udcff"}', "surrogates not allowed"),
        ("[" * 600 + "]" * 600, "levels, got too many"),
    ],
)
def test_what_could_not_be_told_to_anybody_is_refused(provenance: str, complaint: str) -> None:
    spec = ModelSpec(name="x", kind="image", task="t", net={}, provenance={"of": "here"})
    text = spec.to_json().replace('"here"', provenance)
    with pytest.raises(ValueError, match=complaint):
        ModelSpec.from_json(text)


def test_a_map_has_a_unit_and_a_range() -> None:
    with pytest.raises(ValueError, match="map: expected unit, low and high with kind 'map', got n"):
        ModelSpec(name="x", kind="map", task="t", net={})


def test_whole_numbers_are_written_as_they_are_read() -> None:
    score = Measurement(1, {"psnr": 30}, {"psnr": 28}, intervals={"psnr": (29, 31)})
    spec = ModelSpec(
        name="x",
        kind="map",
        task="t",
        net={},
        map=MapInfo("m", 0, 10),
        temperature=1,
        tolerance={"openvino": {"f32": 0}},
        scores={"set": score},
    )

    assert ModelSpec.from_json(spec.to_json()).to_json() == spec.to_json()
    assert spec.to_dict()["tolerance"] == {"openvino": {"f32": 0.0}}
    assert json.dumps(spec.to_dict()["map"]) == '{"unit": "m", "low": 0.0, "high": 10.0}'
    assert json.dumps(spec.temperature) == "1.0"


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("kind", "video", "^kind: expected one of image, labels, map, got 'video'"),
        ("tiling", "tiles", "^tiling: expected one of windows, whole, got 'tiles'"),
        ("margin_kind", "guessed", "^margin_kind: expected one of exact, measured, got 'guessed'"),
        ("window", 384.5, "^window: expected int, got 384.5"),
        ("temperature", "warm", "^temperature: expected float, got 'warm'"),
        ("tolerance", {"torch": {"f32": True}}, "^tolerance.torch.f32: expected float, got True"),
    ],
)
def test_a_wrong_value_is_refused_in_python_too(field: str, value: Any, complaint: str) -> None:
    fields = {"name": "x", "kind": "image", "task": "t", "net": {}, field: value}
    with pytest.raises(ValueError, match=complaint):
        ModelSpec(**fields)


def test_a_colour_has_three_values() -> None:
    with pytest.raises(ValueError, match=r"colour: expected .*, got \(1, 2\)"):
        ClassInfo("leaf", (1, 2))  # type: ignore[arg-type]
    assert ClassInfo("leaf", [1, 2, 3]).colour == (1, 2, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)])
def test_the_range_of_a_map_has_two_ends(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low, high: expected finite, low < high"):
        MapInfo("m", low, high)
