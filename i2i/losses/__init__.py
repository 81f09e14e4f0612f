"""What training lowers: modules that a config names by class path and builds with its arguments.

Each takes (output, target) and gives one number. The mean absolute and squared errors are torch's
own `torch.nn.L1Loss` and `torch.nn.MSELoss`; here is what torch lacks or gives NaN for.
"""

from i2i.losses.classes import BinaryCrossEntropy, CrossEntropy, Focal, Ohem
from i2i.losses.combined import Sum, with_auxiliary
from i2i.losses.maps import MaskedHuber, MaskedL1, ScaleInvariantLog
from i2i.losses.perceptual import Perceptual
from i2i.losses.pictures import Charbonnier, FrequencyL1, Luma, Ssim
from i2i.losses.regions import Boundary, Dice, GeneralizedDice, Lovasz, Tversky

__all__ = [
    "BinaryCrossEntropy",
    "Boundary",
    "Charbonnier",
    "CrossEntropy",
    "Dice",
    "Focal",
    "FrequencyL1",
    "GeneralizedDice",
    "Lovasz",
    "Luma",
    "MaskedHuber",
    "MaskedL1",
    "Ohem",
    "Perceptual",
    "ScaleInvariantLog",
    "Ssim",
    "Sum",
    "Tversky",
    "with_auxiliary",
]
