"""Where training pictures come from."""

from training.data.embedded import EmbeddedPhotos, EmbeddedShapes
from training.data.listed import Listed
from training.data.masks import Masks
from training.data.module import ImageData
from training.data.pairs import Pairs
from training.data.photos import Photos
from training.data.splits import Fraction, NamesFile, Split
from training.data.torchvision_sets import Cityscapes, OxfordPets, PascalVOC

__all__ = [
    "Cityscapes",
    "EmbeddedPhotos",
    "EmbeddedShapes",
    "Fraction",
    "ImageData",
    "Listed",
    "Masks",
    "NamesFile",
    "OxfordPets",
    "Pairs",
    "PascalVOC",
    "Photos",
    "Split",
]
