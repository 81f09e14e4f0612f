"""Looking inside a trained net: what its stages answer, what an answer rests on, what it looks for.

All of it takes an `Autoencoder` and pictures as it takes them, float32 (N, C, H, W) with sRGB in
[0, 1]. `i2i.nets.loading.load_net` opens a model folder as a net; `python -m training explain`
shows all of it on one page. Needs torch.
"""

from i2i.explain.attribution import (
    Attribution,
    Region,
    amount,
    attribution,
    detail,
    diffusion_index,
    evidence,
    saliency,
)
from i2i.explain.class_activation import class_activation
from i2i.explain.effective_field import effective_field, radius
from i2i.explain.exemplars import Exemplar, exemplars
from i2i.explain.kernels import drawn_by_head, first_kernels
from i2i.explain.maximize import maximize
from i2i.explain.stages import Stage, activations, find_stage, stages

__all__ = [
    "Attribution",
    "Exemplar",
    "Region",
    "Stage",
    "activations",
    "amount",
    "attribution",
    "class_activation",
    "detail",
    "diffusion_index",
    "drawn_by_head",
    "effective_field",
    "evidence",
    "exemplars",
    "find_stage",
    "first_kernels",
    "maximize",
    "radius",
    "saliency",
    "stages",
]
