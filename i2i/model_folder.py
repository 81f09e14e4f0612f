"""The model folder: a trained model on disk, the one thing that crosses from training to service.

model.json            the spec
weights.safetensors   the weights; the graph refers to them here
graph.onnx            the operations
golden-input.png      a picture, and golden-output.npz, what the model answered at export
README.md             the model card
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from i2i.image import Picture, read
from i2i.spec import ABOUT, OUTPUTS, ModelSpec

SPEC = "model.json"
WEIGHTS = "weights.safetensors"
GRAPH = "graph.onnx"
GOLDEN_INPUT = "golden-input.png"
GOLDEN_OUTPUT = "golden-output.npz"
CARD = "README.md"

# The files that decide a prediction, with the meaning in the spec.
DIGESTED = (WEIGHTS, GRAPH, GOLDEN_INPUT, GOLDEN_OUTPUT)

_SHIPPED = Path(__file__).parent / "models"


class ModelError(ValueError):
    """A model folder that cannot be used; the message names folder, expected, got and remedy."""


@dataclass(frozen=True)
class ModelFolder:
    """An opened model folder, complete and undamaged."""

    path: Path
    spec: ModelSpec

    @classmethod
    def open(cls, path: Path) -> ModelFolder:
        """Reads the spec and checks every file against its digest.

        Raises:
            ModelError: no model folder, a file is missing or changed, or the spec is of another
                schema.
        """
        if not (path / SPEC).is_file():
            within = ", ".join(sorted(str(spec.parent) for spec in path.glob(f"*/{SPEC}")))
            remedy = f"in it are {within}" if within else "`python -m training export` writes one"
            raise ModelError(f"{path}: expected a model folder with {SPEC}, got none; {remedy}")
        try:
            spec = ModelSpec.from_json((path / SPEC).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{path / SPEC}: {error}") from error
        if tuple(spec.graph.outputs) != tuple(OUTPUTS[spec.kind]):
            raise ModelError(
                f"{path / SPEC}: expected the graph outputs {', '.join(OUTPUTS[spec.kind])} of "
                f"kind {spec.kind!r}, got {', '.join(spec.graph.outputs)}; export again"
            )
        for name in DIGESTED:
            if not (path / name).is_file():
                raise ModelError(f"{path}: expected the file {name}, got none; export again")
        digest = digest_of(path, spec.to_dict())
        if digest != spec.digest:
            raise ModelError(
                f"{path}: expected the digest {spec.digest[:12]}, got {digest[:12]}; "
                "a file was changed after the export: copy the folder again, or export again"
            )
        return cls(path, spec)

    @property
    def graph(self) -> Path:
        return self.path / GRAPH

    @property
    def weights(self) -> Path:
        return self.path / WEIGHTS

    def golden(self) -> tuple[Picture, dict[str, NDArray[np.generic]]]:
        """The golden sample: a picture, and each output of the model for it, by name.

        Raises:
            ModelError: the sample cannot be read.
        """
        try:
            # Opened here: np.load leaves a file open that is no archive.
            with (self.path / GOLDEN_OUTPUT).open("rb") as file:
                entries = np.load(file, allow_pickle=False).items()
                # An entry that is no array comes as its bytes.
                outputs = {name: value for name, value in entries if isinstance(value, np.ndarray)}
            picture = read(self.path / GOLDEN_INPUT)
        except Exception as error:
            # np.load raises what zipfile, zlib and its own reader meet: there is no common class.
            raise ModelError(
                f"{self.path}: the golden sample cannot be read; export again"
            ) from error
        names = self.spec.graph.outputs
        if set(outputs) != set(names):
            raise ModelError(
                f"{self.path / GOLDEN_OUTPUT}: expected the outputs {', '.join(names)}, "
                f"got {', '.join(outputs) or 'none'}; export again"
            )
        return picture, outputs


def digest_of(path: Path, spec: dict[str, Any]) -> str:
    """SHA-256, in hex, over all that decides a prediction.

    That is the names and contents of the digested files, and the spec (as plain data) but for what
    it says about the model's origin and scores, which may be measured again.
    """
    meaning = {name: value for name, value in spec.items() if name not in ABOUT}
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
    for name in DIGESTED:
        content = (path / name).read_bytes()
        digest.update(json.dumps([name, len(content)]).encode())
        digest.update(content)
    return digest.hexdigest()


def shipped_models() -> dict[str, Path]:
    """Name → folder of the models that ship with the library."""
    return models_in(_SHIPPED)


def models_in(root: Path) -> dict[str, Path]:
    """Name → folder of each model folder directly in `root`; hidden ones are left out."""
    folders = [spec.parent for spec in sorted(root.glob(f"*/{SPEC}"))]
    return {folder.name: folder for folder in folders if not folder.name.startswith(".")}


def find_model(model: str | Path) -> Path:
    """The folder of a shipped model's name, or of a path.

    Raises:
        ModelError: neither a name nor a folder.
    """
    path, shipped = Path(model), shipped_models()
    # A folder of pictures may be called as a model is.
    if (path / SPEC).is_file() or (path.is_dir() and str(model) not in shipped):
        return path
    if str(model) in shipped:
        return shipped[str(model)]
    raise ModelError(
        f"expected a model folder or one of {', '.join(shipped) or 'no shipped models'}, "
        f"got {model}"
    )
