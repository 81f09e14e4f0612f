"""graph.onnx: the net and its last step as ONNX, whose weights are those of weights.safetensors.

The graph refers to the weights by their place in that file (ONNX external data), so a model folder
holds one set of weights, and no engine can run another.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import onnx
import torch
from onnx.external_data_helper import set_external_data
from torch import Tensor, nn

from i2i.model_folder import GRAPH, WEIGHTS
from i2i.nets import Autoencoder
from i2i.nets.last_step import LastStep
from i2i.spec import OUTPUTS, Graph, Kind, MapInfo

OPSET = 20
# Sides of the sample, in multiples of the net's: more than a padding reflects. The graph keeps no
# bound, and the exporter computes with shapes alone.
LEAST = 32
# Not "image", which is the name of an output: ONNX gives each name to one value.
INPUT = "input"


class _Deployed(nn.Module):
    """The net with what a prediction needs at its end."""

    def __init__(self, net: nn.Module, last: LastStep) -> None:
        super().__init__()
        self.net, self.last = net, last

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.last(self.net(image))
        return outputs


def write_graph(
    net: Autoencoder, kind: Kind, temperature: float, folder: Path, map: MapInfo | None = None
) -> Graph:
    """Writes `folder`/graph.onnx for any batch and any multiple of the net's size_multiple.

    `folder`/weights.safetensors holds the net's weights already.
    """
    multiple = net.size_multiple
    # A batch of 1 or a side of one multiple would be taken as a constant.
    sample = torch.rand(2, net.encoder.input_channels, (LEAST + 1) * multiple, LEAST * multiple)
    sizes = {0: torch.export.Dim("batch")}
    for axis, name in ((2, "h"), (3, "w")):
        sizes[axis] = multiple * torch.export.Dim(name, min=LEAST)
    with warnings.catch_warnings():
        # The exporter warns of its own internals.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Deployed(net, LastStep(kind, temperature, map)).eval(),
            (sample.contiguous(),),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS[kind]),
            dynamic_shapes={"image": sizes},
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    # Stack traces of this machine: they hold its paths, and nobody reads them.
    for node in model.graph.node:
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    _point_to_weights(model, folder / WEIGHTS)
    onnx.save(model, folder / GRAPH)
    onnx.checker.check_model(folder / GRAPH)
    return Graph(INPUT, OUTPUTS[kind], OPSET)


def _point_to_weights(model: onnx.ModelProto, weights: Path) -> None:
    """Replaces each weight's values in the graph by their place in the safetensors file."""
    content = weights.read_bytes()
    header_length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + header_length])
    for tensor in model.graph.initializer:
        place = header.get(tensor.name.removeprefix("net."))
        if place is None:
            continue
        begin, end = (8 + header_length + offset for offset in place["data_offsets"])
        if tensor.raw_data != content[begin:end]:
            raise AssertionError(f"the exporter changed the weight {tensor.name}")
        set_external_data(tensor, weights.name, begin, end - begin)
        tensor.ClearField("raw_data")
