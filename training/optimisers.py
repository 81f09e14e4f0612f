"""What moves the weights: an optimiser of torch or of a library, and the rate of each parameter.

A config names one by `model.optimizer`: `AdamW`, `Muon`, `SGD`, `Lion`, or the class path of a
subclass of `Optimiser`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from i2i.nets import Autoencoder
from training.muon import MuonWithAdamW

Group = dict[str, Any]


class Optimiser(ABC):
    """An optimiser to be, with what it does otherwise than at one rate for all.

    Parameters that need no gradient (a frozen encoder) get none.

    Args:
        encoder_rate: the encoder's rate as a share of the rest's; below 1 for trained weights.
        depth_decay: share of the rate from one part of the encoder to the one before it, so that
            the first layers move least (Clark et al., arXiv 2003.10555).
        decay_vectors: whether weight decay takes norms and biases too.
    """

    def __init__(
        self, encoder_rate: float = 1.0, depth_decay: float = 1.0, decay_vectors: bool = True
    ) -> None:
        for name, share in (("encoder_rate", encoder_rate), ("depth_decay", depth_decay)):
            if not 0 < share <= 1:
                raise ValueError(f"{name}: expected a share above 0, at most 1, got {share}")
        self.encoder_rate, self.depth_decay = encoder_rate, depth_decay
        self.decay_vectors = decay_vectors

    @abstractmethod
    def build(self, groups: list[Group]) -> torch.optim.Optimizer:
        """The optimiser of these groups, each with its `lr` and `weight_decay`."""

    def groups(self, net: Autoencoder, rate: float, weight_decay: float) -> list[Group]:
        """The net's trained parameters by rate and weight decay, in the net's order.

        Raises:
            ValueError: no parameter is trained.
        """
        parts = encoder_parts(net.encoder)
        shares = {
            id(parameter): self.encoder_rate * self.depth_decay ** (len(parts) - 1 - depth)
            for depth, part in enumerate(parts)
            for parameter in part.parameters()
        }
        groups: dict[tuple[float, float], Group] = {}
        for parameter in net.parameters():
            if not parameter.requires_grad:
                continue
            decay = weight_decay if self.decay_vectors or parameter.ndim > 1 else 0.0
            lr = rate * shares.get(id(parameter), 1.0)
            empty = {"params": [], "lr": lr, "weight_decay": decay}
            groups.setdefault((lr, decay), empty)["params"].append(parameter)
        if not groups:
            raise ValueError(
                "net: expected parameters to train, got a net that is frozen as a whole"
            )
        return list(groups.values())


def encoder_parts(encoder: nn.Module) -> list[nn.Module]:
    """The encoder's parts in the order of its depth: its children, lists taken apart."""
    parts: list[nn.Module] = []
    for child in encoder.children():
        parts.extend(child if isinstance(child, nn.ModuleList) else [child])
    return parts


def _check_momentum(**given: float | Sequence[float]) -> None:
    """Raises ValueError for a momentum, or a pair of betas, outside of [0, 1)."""
    for name, value in given.items():
        shares = value if isinstance(value, Sequence) else (value,)
        if not all(0 <= share < 1 for share in shares):
            raise ValueError(f"{name}: expected at least 0 and less than 1, got {value}")


class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101)."""

    def __init__(self, betas: tuple[float, float] = (0.9, 0.999), **rates: Any) -> None:
        super().__init__(**rates)
        _check_momentum(betas=betas)
        self.betas = betas

    def build(self, groups: list[Group]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, betas=self.betas)


class Muon(Optimiser):
    """Orthogonal steps for convolutions, AdamW for the rest (Jordan et al., 2024).

    Its rate is AdamW's.
    """

    def __init__(
        self, momentum: float = 0.95, betas: tuple[float, float] = (0.9, 0.999), **rates: Any
    ) -> None:
        super().__init__(**rates)
        _check_momentum(momentum=momentum, betas=betas)
        self.momentum, self.betas = momentum, betas

    def build(self, groups: list[Group]) -> torch.optim.Optimizer:
        return MuonWithAdamW(groups, self.betas, self.momentum)


class SGD(Optimiser):
    """Stochastic gradient descent with momentum; its rate is about a hundred times AdamW's."""

    def __init__(self, momentum: float = 0.9, nesterov: bool = True, **rates: Any) -> None:
        super().__init__(**rates)
        _check_momentum(momentum=momentum)
        self.momentum, self.nesterov = momentum, nesterov
        if nesterov and momentum == 0:
            raise ValueError("nesterov: expected false where momentum is 0, got true")

    def build(self, groups: list[Group]) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov)


class Lion(Optimiser):
    """Steps by the sign of the momentum (Chen et al., arXiv 2302.06675), of lion-pytorch.

    Its rate is a third to a tenth of AdamW's, its weight decay as many times larger.
    """

    def __init__(self, betas: tuple[float, float] = (0.9, 0.99), **rates: Any) -> None:
        super().__init__(**rates)
        _check_momentum(betas=betas)
        self.betas = betas

    def build(self, groups: list[Group]) -> torch.optim.Optimizer:
        try:
            import lion_pytorch
        except ImportError as error:
            raise ValueError(
                "optimizer: expected the package lion-pytorch for Lion, got none; "
                "pip install lion-pytorch"
            ) from error
        optimiser: torch.optim.Optimizer = lion_pytorch.Lion(groups, betas=self.betas)
        return optimiser
