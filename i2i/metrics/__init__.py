"""How good an output is: the measures of the papers, as pure functions on tensors.

Evaluation, validation steps and reports share them. They come in two kinds: scores of each picture,
whose mean is a set's; and tables (`confusion_matrix`, `reliability`, `map_errors`) that add up over
all pictures, and are scored once.
"""

from i2i.metrics.boundaries import boundary_f1
from i2i.metrics.calibration import calibration_error, reliability
from i2i.metrics.labels import (
    accuracy,
    confusion_matrix,
    dice,
    image_iou,
    iou,
    mean_accuracy,
    mean_iou,
    precision,
    recall,
)
from i2i.metrics.maps import (
    delta_accuracy,
    map_errors,
    mean_absolute_error,
    root_mean_square_error,
)
from i2i.metrics.objects import object_f1
from i2i.metrics.pictures import luma, ms_ssim, psnr, psnr_y, round_to_8_bit, ssim, ssim_y

__all__ = [
    "accuracy",
    "boundary_f1",
    "calibration_error",
    "confusion_matrix",
    "delta_accuracy",
    "dice",
    "image_iou",
    "iou",
    "luma",
    "map_errors",
    "mean_absolute_error",
    "mean_accuracy",
    "mean_iou",
    "ms_ssim",
    "object_f1",
    "precision",
    "psnr",
    "psnr_y",
    "recall",
    "reliability",
    "root_mean_square_error",
    "round_to_8_bit",
    "ssim",
    "ssim_y",
]
