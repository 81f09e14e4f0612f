"""How far a net's output looks: by interval arithmetic over its layers; tests prove it by a NaN.

The margin of the law of prediction is the largest extent of dependence over all output phases: a
strided net treats neighbouring pixels differently, so one phase may look further than the next.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.fx
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from i2i.nets.autoencoder import Autoencoder
from i2i.nets.convolutions import (
    ExtendedConvTranspose2d,
    PartialConv2d,
    PartialConvTranspose2d,
    ReflectConv2d,
)
from i2i.nets.heads import BicubicEnlargement
from i2i.nets.norms import LayerNorm2d

# Layers whose output at a pixel depends on that pixel of the input alone.
_POINTWISE: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SiLU,
    nn.GELU,
    nn.Tanh,
    nn.Identity,
    nn.Dropout2d,
    nn.BatchNorm2d,
    LayerNorm2d,
)
# Indices pick channels, or a feature of a list.
_POINTWISE_FUNCTIONS = (
    operator.add,
    operator.iadd,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.getitem,
    torch.cat,
    torch.tanh,
    torch.logit,
    F.relu,
)
_POINTWISE_METHODS = ("float", "expand", "clamp", "sigmoid")
_POOLS = (F.max_pool2d, torch.max_pool2d, F.avg_pool2d)
# Layers of ours that are not traced into: what they do depends on sizes.
_LEAVES = (
    BicubicEnlargement,
    ExtendedConvTranspose2d,
    LayerNorm2d,
    PartialConv2d,
    PartialConvTranspose2d,
    ReflectConv2d,
)


@dataclass(frozen=True)
class Interval:
    """First and last pixels, along one axis, that outputs depend on: one of each for an output."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]

    def __or__(self, other: Interval | None) -> Interval:
        if other is None:
            return self
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


def margin(net: Autoencoder) -> int:
    """Extent of dependence in input pixels, on the wider axis, rounded up to `size_multiple`.

    Raises:
        ValueError: the net holds a layer whose extent is not known here.
    """
    reach = max(max(extents(net, axis)) for axis in (0, 1))
    return math.ceil(reach / net.size_multiple) * net.size_multiple


def extents(net: Autoencoder, axis: int = 0) -> tuple[int, int]:
    """How many input pixels an output looks up (left) and down (right), over all output phases."""
    graph = _Tracer().trace(net)
    modules = dict(net.named_modules())
    outputs = _phases(net)
    seen = _input_interval(graph, modules, Interval(outputs, outputs), axis)
    own = outputs // net.scale
    return max(0, int((own - seen.low).max())), max(0, int((seen.high - own).max()))


def receptive_fields(net: Autoencoder) -> dict[str, tuple[int, int]]:
    """Input pixels, (rows, columns), that a unit of each layer depends on at most, by its name."""
    graph = _Tracer().trace(net)
    modules = dict(net.named_modules())
    units = _phases(net)
    fields: dict[str, tuple[int, int]] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            sides = []
            for axis in (0, 1):
                seen = _input_interval(graph, modules, Interval(units, units), axis, node)
                sides.append(int((seen.high - seen.low).max()) + 1)
            fields[str(node.target)] = (sides[0], sides[1])
    return fields


def _phases(net: Autoencoder) -> NDArray[np.intp]:
    """Output pixels of which each is unlike the others; those after them repeat the first."""
    return np.arange(net.size_multiple * net.scale)


def _input_interval(
    graph: torch.fx.Graph,
    modules: dict[str, nn.Module],
    output: Interval,
    axis: int,
    end: torch.fx.Node | None = None,
) -> Interval:
    """Walks the graph from its output, or the node `end`, to its input, widening what is needed."""
    needed = {} if end is None else {end: output}
    for node in reversed(graph.nodes):
        if node.op == "output":
            if end is not None:
                continue
            before = output
        elif node.op == "placeholder":
            return needed[node]
        elif node not in needed:
            continue
        elif node.op == "call_module":
            before = _before(modules[str(node.target)], needed[node], axis)
        else:
            before = _before_call(node, needed[node], axis)
        for source in node.all_input_nodes:
            needed[source] = before | needed.get(source)
    raise AssertionError("a traced net has a placeholder")


def _before(layer: nn.Module, interval: Interval, axis: int) -> Interval:
    """The input pixels that a layer's output pixels `interval` depend on."""
    if isinstance(layer, nn.Conv2d):
        return _before_window(
            interval, axis, layer.kernel_size, layer.stride, layer.padding, layer.dilation
        )
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return _before_window(interval, axis, layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, nn.ConvTranspose2d):
        # An extended input is cropped by as much: the pixels are those of a padded one.
        return _before_transposed(
            interval, layer.kernel_size[axis], layer.stride[axis], _side(layer.padding, axis)
        )
    if isinstance(layer, BicubicEnlargement):
        taps, scale = layer.kernel.shape[-1], layer.scale
        return _before_transposed(interval, taps, scale, (taps - scale) // 2)
    if isinstance(layer, nn.Upsample) and layer.mode == "nearest":
        scale = _side(layer.scale_factor, axis)
        return Interval(interval.low // scale, interval.high // scale)
    if isinstance(layer, nn.ZeroPad2d):
        # (left, right, top, bottom)
        before = layer.padding[2 - 2 * axis]
        return Interval(interval.low - before, interval.high - before)
    if isinstance(layer, _POINTWISE):
        return interval
    raise ValueError(
        f"the extent of {type(layer).__name__} is not known; add it to i2i.nets.margin"
    )


def _before_call(node: torch.fx.Node, interval: Interval, axis: int) -> Interval:
    """The same for what a module calls in its forward."""
    if node.op == "get_attr" or node.target in (*_POINTWISE_FUNCTIONS, *_POINTWISE_METHODS):
        return interval
    if node.target in _POOLS:
        names = ("input", "kernel_size", "stride", "padding")
        given: dict[str, Any] = dict(zip(names, node.args, strict=False)) | node.kwargs
        kernel = given["kernel_size"]
        stride = given.get("stride") or kernel
        return _before_window(interval, axis, kernel, stride, given.get("padding", 0))
    raise ValueError(f"the extent of {node.target} is not known; add it to i2i.nets.margin")


def _before_window(
    interval: Interval,
    axis: int,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
) -> Interval:
    """A window of `kernel` pixels that moves by `stride`; each number for both axes or a pair."""
    first = _side(padding, axis)
    reach = _side(dilation, axis) * (_side(kernel, axis) - 1)
    step = _side(stride, axis)
    return Interval(interval.low * step - first, interval.high * step - first + reach)


def _before_transposed(interval: Interval, kernel: int, stride: int, padding: int) -> Interval:
    first = -(-(interval.low + padding - kernel + 1) // stride)
    return Interval(first, (interval.high + padding) // stride)


def _side(value: Any, axis: int) -> int:
    return int(value[axis] if isinstance(value, tuple) else value)


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _LEAVES) or super().is_leaf_module(m, module_qualified_name)
