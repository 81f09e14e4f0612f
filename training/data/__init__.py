"""Where training pictures come from."""

from training.data.embedded import EmbeddedPhotos, EmbeddedShapes
from training.data.module import ImageData, Masks, Photos

__all__ = ["EmbeddedPhotos", "EmbeddedShapes", "ImageData", "Masks", "Photos"]
