"""Tasks: a new one is one file here and one YAML in configs/."""

from training.tasks.colourisation import Colourisation
from training.tasks.dense_map import DenseMap
from training.tasks.depixelate import Depixelate
from training.tasks.paired import Paired
from training.tasks.reconstruction import Reconstruction
from training.tasks.restoration import Restoration
from training.tasks.segmentation import Segmentation
from training.tasks.super_resolution import SuperResolution
from training.tasks.task import Sample, Task

__all__ = [
    "Colourisation",
    "DenseMap",
    "Depixelate",
    "Paired",
    "Reconstruction",
    "Restoration",
    "Sample",
    "Segmentation",
    "SuperResolution",
    "Task",
]
