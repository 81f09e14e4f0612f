"""Networks: plain modules on (N, C, H, W). A model folder may name the classes listed here only."""

from i2i.nets.autoencoder import Autoencoder
from i2i.nets.backbones import TorchvisionEncoder
from i2i.nets.decoder import Decoder
from i2i.nets.encoder import Encoder
from i2i.nets.heads import ClassHead, PictureHead
from i2i.nets.lenet import LeNet

__all__ = [
    "Autoencoder",
    "ClassHead",
    "Decoder",
    "Encoder",
    "LeNet",
    "PictureHead",
    "TorchvisionEncoder",
]
