from __future__ import annotations

import io
import json
import math
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from i2i.engines import open_engine
from i2i.image import Picture
from i2i.model_folder import (
    DIGESTED,
    GOLDEN_INPUT,
    GOLDEN_OUTPUT,
    GRAPH,
    SPEC,
    WEIGHTS,
    ModelError,
    ModelFolder,
    digest_of,
    find_model,
    models_in,
    shipped_models,
)
from i2i.predictor import load


@pytest.fixture
def folder(tiny_x2: Path, tmp_path: Path) -> Path:
    """A model folder to spoil."""
    return Path(shutil.copytree(tiny_x2, tmp_path / "tiny-x2"))


def rewrite(folder: Path, **fields: Any) -> None:
    """Other fields in the spec, and a digest that fits."""
    spec = json.loads((folder / SPEC).read_text())
    changed = {**spec, **fields}
    digest = fields.get("digest", digest_of(folder, changed))
    (folder / SPEC).write_text(json.dumps({**changed, "digest": digest}))


def test_an_exported_folder_opens(folder: Path) -> None:
    opened = ModelFolder.open(folder)

    assert opened.spec.name == "tiny-x2"
    assert (opened.graph, opened.weights) == (folder / GRAPH, folder / WEIGHTS)
    picture, outputs = opened.golden()
    assert picture.pixels.shape == (21, 34, 3)
    assert outputs["image"].shape == (42, 68, 3)


def test_outputs_in_another_order_are_refused(tiny_labels: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_labels, tmp_path / "tiny-labels")
    graph = json.loads((folder / SPEC).read_text())["graph"]
    rewrite(folder, graph={**graph, "outputs": ["confidence", "labels"]})
    with pytest.raises(ModelError, match=r"outputs labels, confidence of .*, got confidence"):
        ModelFolder.open(folder)


@pytest.mark.parametrize("name", DIGESTED)
def test_a_changed_file_is_told_by_its_digest(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(ModelError, match=r"tiny-x2: expected the digest [0-9a-f]{12}, got .* copy"):
        ModelFolder.open(folder)


@pytest.mark.parametrize("name", DIGESTED)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(ModelError, match=f"tiny-x2: expected the file {name}, got none"):
        ModelFolder.open(folder)


def test_bytes_moved_between_files_change_the_digest(folder: Path) -> None:
    before = digest_of(folder, {})
    first, second = (folder / name for name in DIGESTED[:2])
    joined = first.read_bytes() + second.read_bytes()
    first.write_bytes(joined[:-1])
    second.write_bytes(joined[-1:])

    assert digest_of(folder, {}) != before


@pytest.mark.parametrize("field", ["scale", "margin", "window", "classes", "temperature", "name"])
def test_another_meaning_is_another_version(tiny_labels: Path, field: str) -> None:
    spec = json.loads((tiny_labels / SPEC).read_text())

    assert digest_of(tiny_labels, spec) == spec["digest"]
    assert digest_of(tiny_labels, {**spec, field: "other"}) != spec["digest"]


def test_scores_measured_again_keep_the_version(tiny_labels: Path) -> None:
    spec = json.loads((tiny_labels / SPEC).read_text())

    assert digest_of(tiny_labels, {**spec, "scores": {"new": 1}}) == spec["digest"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "model.json: Expecting value"),
        (b"{", "model.json: Expecting property name"),
        (b"\xff\xfe", "model.json: 'utf-8' codec can't decode"),
        (b"[" * 200_000, "model.json: "),
        (b"[]", "model.json: expected a JSON object, got list"),
        (b"{}", "model.json: schema_version: expected 1, got None"),
        (b'{"schema_version": 2}', "schema_version: expected 1, got 2; export the model again"),
        (b'{"schema_version": 1, "colour": 1}', "model.json: spec: unknown key 'colour'"),
    ],
)
def test_a_spec_that_cannot_be_read_is_refused(folder: Path, text: bytes, complaint: str) -> None:
    (folder / SPEC).write_bytes(text)

    with pytest.raises(ModelError, match=complaint):
        ModelFolder.open(folder)


def test_a_folder_without_a_spec_is_no_model(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ModelError, match=r"with model\.json, got none"):
            ModelFolder.open(path)


def test_of_a_folder_of_models_those_in_it_are_named(folder: Path) -> None:
    with pytest.raises(ModelError, match=f"got none; in it are {folder}"):
        ModelFolder.open(folder.parent)


def test_a_graph_without_the_outputs_of_its_kind_is_refused(folder: Path) -> None:
    rewrite(folder, graph={"outputs": ["picture"]})

    with pytest.raises(ModelError, match=r"expected the graph outputs image .* got picture"):
        ModelFolder.open(folder)


@pytest.mark.parametrize(
    ("net", "complaint"),
    [
        ({"class": "torch.nn.Linear", "arguments": {}}, "expected one of .* got 'torch.nn.Linear'"),
        ({"class": "os.system", "arguments": {"command": "true"}}, "expected .* got 'os.system'"),
        ({"class": "build", "arguments": {}}, "expected .* got 'build'"),
        ({"class": "__all__"}, "expected .* got '__all__'"),
        ({"class": ["Autoencoder"]}, r"expected .* got \['Autoencoder'\]"),
        ({}, "net class: expected one of .* got None"),
        ({"class": "Encoder", "arguments": {"widths": [4], "depths": [0]}}, "an Autoencoder, got"),
        ({"class": "Autoencoder", "arguments": [1]}, "expected arguments by name"),
        ({"class": "Autoencoder", "arguments": {"size": 1}}, "unexpected keyword argument 'size'"),
        (
            {"class": "Autoencoder", "arguments": dict.fromkeys(["encoder", "decoder", "head"], 1)},
            "net Autoencoder: 'int' object has no attribute",
        ),
        (
            {"class": "Autoencoder", "arguments": {"encoder": {"class": "subprocess.run"}}},
            "net class: expected .* got 'subprocess.run'",
        ),
    ],
)
def test_only_classes_of_our_nets_are_built(
    folder: Path, net: dict[str, Any], complaint: str
) -> None:
    rewrite(folder, net=net)

    with pytest.raises(ModelError, match=complaint):
        open_engine(ModelFolder.open(folder), "torch", "f32", 1)


def test_weights_of_another_net_are_refused(folder: Path, tiny_labels: Path) -> None:
    shutil.copy(tiny_labels / WEIGHTS, folder / WEIGHTS)
    rewrite(folder)

    with pytest.raises(ModelError, match=r"tiny-x2: Error.* in loading state_dict"):
        open_engine(ModelFolder.open(folder), "torch", "f32", 1)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_weights_and_graph_that_are_none_are_refused(folder: Path, engine: str) -> None:
    for name in (WEIGHTS, GRAPH):
        (folder / name).write_bytes(b"no such thing")
    rewrite(folder)

    with pytest.raises(ModelError, match="tiny-x2"):
        open_engine(ModelFolder.open(folder), engine, "f32", 1)


class Bomb:
    """What a pickle can do when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle of the model folder was run",))


def archive(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr(name, content)
    return file.getvalue()


def array_of_objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Bomb()], object), allow_pickle=True)
    return archive("image.npy", file.getvalue())


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (array_of_objects(), "the golden sample cannot be read; export again"),
        (pickle.dumps(Bomb()), "the golden sample cannot be read"),
        (archive("image.npy", pickle.dumps(Bomb())), "expected the outputs image, got none"),
        (b"", "the golden sample cannot be read"),
        (b"PK\x03\x04 and no more", "the golden sample cannot be read"),
        (array(), "the golden sample cannot be read"),
        (archive("picture.npy", array()), "expected the outputs image, got picture"),
    ],
    ids=["objects", "pickle", "zipped pickle", "empty", "cut", "array", "other name"],
)
def test_a_golden_output_that_is_no_plain_array_is_refused(
    folder: Path, content: bytes, complaint: str
) -> None:
    (folder / GOLDEN_OUTPUT).write_bytes(content)
    rewrite(folder)

    with pytest.raises(ModelError, match=complaint):
        ModelFolder.open(folder).golden()


def test_a_golden_input_that_is_no_picture_is_refused(folder: Path) -> None:
    (folder / GOLDEN_INPUT).write_bytes(b"not a picture")
    rewrite(folder)

    with pytest.raises(ModelError, match="the golden sample cannot be read"):
        ModelFolder.open(folder).golden()


def test_models_are_found_in_a_folder_by_name(tiny_models: Path, tmp_path: Path) -> None:
    assert models_in(tiny_models) == {
        name: tiny_models / name for name in ("tiny-labels", "tiny-x2")
    }
    assert models_in(tmp_path) == {}


def test_a_model_that_was_put_aside_under_a_hidden_name_is_left_alone(
    tiny_x2: Path, tmp_path: Path
) -> None:
    for name in (".old", "new"):
        shutil.copytree(tiny_x2, tmp_path / name)
    assert models_in(tmp_path) == {"new": tmp_path / "new"}


def test_a_model_is_a_shipped_name_or_a_path(tiny_x2: Path) -> None:
    assert find_model(tiny_x2) == find_model(str(tiny_x2)) == tiny_x2
    for name, path in shipped_models().items():
        assert find_model(name) == path
    with pytest.raises(ModelError, match=r"a model folder or one of .*, got no-such-model"):
        find_model("no-such-model")


def test_a_folder_of_pictures_does_not_hide_the_model_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(shipped_models()))
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model(name) == shipped_models()[name]


@pytest.mark.parametrize("name", shipped_models())
def test_what_is_shipped_opens(name: str) -> None:
    assert ModelFolder.open(shipped_models()[name]).spec.name == name


def test_a_scale_that_is_not_the_graphs_is_an_error_with_words(folder: Path) -> None:
    rewrite(folder, scale=3)

    with pytest.raises(ModelError, match="scale 3, got"):
        load(folder, engine="openvino").predict(Picture(np.zeros((8, 8, 3), np.uint8)))


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [({"a": 1}, "spec.scores.a: expected an object"), ({"a": math.nan}, "finite numbers, got NaN")],
)
def test_scores_of_another_shape_are_named(folder: Path, scores: Any, complaint: str) -> None:
    rewrite(folder, scores=scores)

    with pytest.raises(ModelError, match=complaint):
        ModelFolder.open(folder)
