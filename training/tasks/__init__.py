"""Tasks: a new one is one file here and one YAML in configs/."""

from training.tasks.depixelate import Depixelate
from training.tasks.segmentation import Segmentation
from training.tasks.super_resolution import SuperResolution
from training.tasks.task import Sample, Task

__all__ = ["Depixelate", "Sample", "Segmentation", "SuperResolution", "Task"]
