"""ModelSpec: what a trained model takes and gives, as plain data.

Written by the export, read by the predictor, the command line and the service; it is the meaning
beside the graph, so that none of them needs the code the model was trained with.
"""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import re
import sys
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA_VERSION = 1
# It is a part of addresses and of paths.
_NAME = re.compile("[a-z0-9][a-z0-9.-]*")

Kind = Literal["image", "labels", "map"]
Tiling = Literal["windows", "whole"]
MarginKind = Literal["exact", "measured"]

# Fields of a spec's plain data that tell where a model comes from and how good it is; the others
# decide what it answers, and are part of its digest.
ABOUT = ("digest", "version", "protocol", "scores", "provenance")

# What the graph of each kind gives, by name and in this order.
OUTPUTS: dict[Kind, tuple[str, ...]] = {
    "image": ("image",),
    "labels": ("labels", "confidence"),
    "map": ("map",),
}


class _Typed:
    """Of dataclasses: every field is of its type, from JSON as from Python."""

    def __post_init__(self) -> None:
        """Floats that were given as whole numbers become floats, and lists the tuples they are.

        They are read back from model.json as such, and the digest tells 1 and 1.0 apart.

        Raises:
            ValueError: a value is of another type, or none of the choices there are.
        """
        types_of = typing.get_type_hints(type(self))
        for name, value in list(vars(self).items()):
            object.__setattr__(self, name, _build(types_of[name], value, name))


@dataclass(frozen=True)
class ClassInfo(_Typed):
    """A class of a segmentation model: its name, and the (red, green, blue) it is drawn in."""

    name: str
    colour: tuple[int, int, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= value <= 255 for value in self.colour):
            raise ValueError(f"colour: expected three of 0 to 255, got {self.colour}")


@dataclass(frozen=True)
class MapInfo(_Typed):
    """What the values of a dense map mean: unit, and the range it is drawn in."""

    unit: str
    low: float
    high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low, high: expected finite, low < high, got {self.low}, {self.high}")


@dataclass(frozen=True)
class Graph(_Typed):
    """Names in graph.onnx and the operator set it was written in."""

    input: str = "input"
    outputs: tuple[str, ...] = ("image",)
    opset: int = 20


@dataclass(frozen=True)
class Measurement(_Typed):
    """Scores on one set of pictures, beside those of the trivial answer.

    Attributes:
        pictures: how many.
        scores: of the model, by name.
        baseline: of the trivial answer.
        monitor: the score that chose the checkpoint, where this is the validation.
        exported: that score through each engine.
        engine: what measured it, and in which precision.
        command: how to measure it again.
        intervals: ends of the 95 % interval of scores, by bootstrap over the pictures.
        protocol: digest of how it was measured; others of the same may be compared.
    """

    pictures: int
    scores: dict[str, float]
    baseline: dict[str, float]
    monitor: str = ""
    exported: dict[str, float] = field(default_factory=dict)
    engine: str = ""
    command: str = ""
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    protocol: str = ""


@dataclass(frozen=True)
class ModelSpec(_Typed):
    """What a model takes, gives, costs and scored.

    Attributes:
        name: lower-case letters, digits, '-' and '.'; what the service addresses the model by. Its
            folder may be called otherwise, as two versions of a model lie beside each other.
        task: what it was trained for, as the task calls itself: super-resolution, denoise, …
        kind: `image` gives a picture of scale x the size, `labels` a class for every pixel with its
            confidence, `map` a float for every pixel.
        scale: output pixels per input pixel along each axis.
        input_channels: 1 (gray) or 3 (RGB).
        size_multiple: the sides of a window are multiples of this, in pixels.
        margin: outputs this many input pixels away from a window's cuts are valid.
        margin_kind: `exact` by interval arithmetic, or `measured` on validation pictures.
        tiling: pictures are cut into windows, or predicted `whole` up to `max_pixels`.
        window: largest side of a window, in input pixels.
        max_pixels: of a picture, with tiling `whole`; None with windows.
        classes: name and colour of each label, with kind `labels`.
        map: unit and range of the values, with kind `map`.
        graph: names of the inputs and outputs of graph.onnx.
        tolerance: largest difference from the float32 reference, by engine and precision, in output
            values ([0, 1]; for labels: of the confidence).
        temperature: the class scores were divided by this before the softmax (in the graph).
        net: class of `i2i.nets` and its arguments.
        protocol: how the scores were measured.
        scores: what was measured, by the name of the set.
        provenance: config, seed, budget, data digest, licence, versions, commit.
        digest: SHA-256 over all that decides a prediction, in hex: `i2i.model_folder.digest_of`.
        schema_version: of this class; others are refused.
    """

    name: str
    kind: Kind
    task: str
    net: dict[str, Any]
    scale: int = 1
    input_channels: int = 3
    size_multiple: int = 1
    margin: int = 0
    margin_kind: MarginKind = "exact"
    tiling: Tiling = "windows"
    window: int = 384
    max_pixels: int | None = None
    classes: tuple[ClassInfo, ...] = ()
    map: MapInfo | None = None
    temperature: float = 1.0
    graph: Graph = field(default_factory=Graph)
    tolerance: dict[str, dict[str, float]] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Measurement] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version: expected {SCHEMA_VERSION}, got {self.schema_version}; "
                "export the model again, or install the i2i that wrote it"
            )
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                "name: expected lower-case letters and digits, then '-' and '.' too, "
                f"got {self.name!r}"
            )
        for name in ("scale", "size_multiple", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.tiling == "windows" and self.window % self.size_multiple:
            raise ValueError(
                f"window: expected a multiple of size_multiple {self.size_multiple}, "
                f"got {self.window}"
            )
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"temperature: expected a finite number above 0, got {self.temperature}"
            )
        if self.input_channels not in (1, 3):
            raise ValueError(f"input_channels: expected 1 or 3, got {self.input_channels}")
        if self.margin < 0 or self.margin % self.size_multiple:
            raise ValueError(
                f"margin: expected a multiple of size_multiple {self.size_multiple}, "
                f"got {self.margin}"
            )
        if self.tiling == "windows" and self.window <= 2 * self.margin:
            raise ValueError(
                f"window: expected more than twice the margin {self.margin}, got {self.window}"
            )
        if self.tiling == "whole" and self.max_pixels is None:
            raise ValueError("max_pixels: expected a number with tiling 'whole', got none")
        if self.tiling == "windows" and self.max_pixels is not None:
            raise ValueError(f"max_pixels: expected none with windows, got {self.max_pixels}")
        if self.max_pixels is not None and self.max_pixels < 1:
            raise ValueError(f"max_pixels: expected at least 1, got {self.max_pixels}")
        self._check_kind()

    def _check_kind(self) -> None:
        """Classes belong to labels, which are of the picture's size; unit and range to a map."""
        if self.kind == "labels" and not 2 <= len(self.classes) <= 256:
            raise ValueError(f"classes: expected 2 to 256 for labels, got {len(self.classes)}")
        if self.kind == "labels" and self.scale != 1:
            raise ValueError(f"scale: expected 1 for labels, got {self.scale}")
        if self.kind != "labels" and self.classes:
            raise ValueError(f"classes: expected none for {self.kind}, got {len(self.classes)}")
        if self.kind == "map" and self.map is None:
            raise ValueError("map: expected unit, low and high with kind 'map', got none")
        if self.kind != "map" and self.map is not None:
            raise ValueError(f"map: expected none for {self.kind}, got {self.map}")

    @property
    def version(self) -> str:
        """First 12 hex digits of the digest."""
        return self.digest[:12]

    @property
    def address(self) -> str:
        """`name@version`, which names this very model."""
        return f"{self.name}@{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, `schema_version` first and `version` beside the digest."""
        data = _plain(self)
        data.pop("schema_version")
        return {
            "schema_version": self.schema_version,
            "name": data.pop("name"),
            "version": self.version,
            "digest": data.pop("digest"),
            **data,
        }

    def to_json(self) -> str:
        """`to_dict` as JSON.

        Raises:
            ValueError: a score or another number is NaN or infinite.
        """
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelSpec:
        """The spec that `to_dict` wrote.

        Raises:
            ValueError: a key is unknown or missing, or a value is of another type or out of range.
        """
        if not isinstance(data, dict):
            raise ValueError(f"expected a JSON object, got {type(data).__name__}")
        # The version before all else: another schema may well have other keys.
        if data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"schema_version: expected {SCHEMA_VERSION}, got {data.get('schema_version')!r}; "
                "export the model again, or install the i2i that wrote it"
            )
        data = {key: value for key, value in data.items() if key != "version"}
        spec: ModelSpec = _build(cls, data, "spec")
        return spec

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The spec that `to_json` wrote.

        Raises:
            ValueError: as of `from_dict`; or a number is not finite, a text no Unicode, or all
                too deeply nested.
        """
        try:
            spec = cls.from_dict(json.loads(text, parse_constant=_finite, parse_float=_finite))
            # What cannot be written again could not be told to anybody.
            spec.to_json().encode()
        except RecursionError as error:
            raise ValueError("expected lists and objects of a few levels, got too many") from error
        return spec


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"expected finite numbers, got {number}")
    return value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _build(expected: Any, value: Any, where: str) -> Any:
    """`value` (plain JSON data, or what was made of it) as the type `expected`.

    Raises:
        ValueError: it is of another type; naming the place.
    """
    if expected is Any:
        return value
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        if isinstance(value, expected):
            return value
        return _build_dataclass(expected, value, where)
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where}: expected one of {', '.join(arguments)}, got {value!r}")
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _build(next(a for a in arguments if a is not type(None)), value, where)
    if origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is Ellipsis:
            return tuple(_build(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(value) == len(arguments):
            pairs = zip(arguments, value, strict=True)
            return tuple(_build(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(pairs))
    if origin is dict and isinstance(value, dict):
        return {key: _build(arguments[1], v, f"{where}.{key}") for key, v in value.items()}
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # A whole number may be larger than any float.
    if expected is float and is_number and not sys.float_info.max < abs(value) < math.inf:
        return float(value)
    if isinstance(expected, type) and type(value) is expected:
        return value
    name = expected.__name__ if isinstance(expected, type) else str(expected)
    raise ValueError(f"{where}: expected {name}, got {value!r}")


def _build_dataclass(expected: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object, got {value!r}")
    types_of = typing.get_type_hints(expected)
    fields = {f.name: f for f in dataclasses.fields(expected)}
    if unknown := sorted(set(value) - set(fields)):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; expected {', '.join(fields)}")
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in required if name not in value]:
        raise ValueError(f"{where}: key {missing[0]!r} is missing")
    return expected(**{k: _build(types_of[k], v, f"{where}.{k}") for k, v in value.items()})
