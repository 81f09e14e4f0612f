"""i2i: image-to-image models, from bytes to bytes.

Examples:
    >>> import i2i
    >>> sorted(i2i.__all__)[:3]
    ['ImageError', 'ModelError', 'ModelSpec']
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from i2i.image import ImageError, Picture, decode, encode, read
    from i2i.model_folder import ModelError, shipped_models
    from i2i.predictor import Prediction, Predictor, load
    from i2i.spec import ModelSpec

    __version__: str

__all__ = [
    "ImageError",
    "ModelError",
    "ModelSpec",
    "Picture",
    "Prediction",
    "Predictor",
    "decode",
    "encode",
    "load",
    "read",
    "shipped_models",
]

_HOME = {
    "ImageError": "i2i.image",
    "Picture": "i2i.image",
    "decode": "i2i.image",
    "encode": "i2i.image",
    "read": "i2i.image",
    "ModelError": "i2i.model_folder",
    "shipped_models": "i2i.model_folder",
    "Prediction": "i2i.predictor",
    "Predictor": "i2i.predictor",
    "load": "i2i.predictor",
    "ModelSpec": "i2i.spec",
}


def __getattr__(name: str) -> Any:
    """Imports a public name or module at its first use, so that `import i2i` does no work."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "__version__":
        return _version()
    # Such as i2i.image, without an import of its own.
    if not name.startswith("_") and find_spec(f"i2i.{name}") is not None:
        return import_module(f"i2i.{name}")
    raise AttributeError(f"module 'i2i' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Of completion: the public names, before and after their import."""
    return [*__all__, "__version__"]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("i2i")
    except PackageNotFoundError:  # the library comes as files, without what an install notes
        return "unknown"
