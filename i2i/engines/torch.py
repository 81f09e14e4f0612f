"""PyTorch: the engine of a GPU, and of a processor without OpenVINO. It needs no graph.onnx."""

from __future__ import annotations

import threading
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from i2i.engines.engine import EngineName, Outputs, Precision
from i2i.model_folder import ModelFolder
from i2i.nets.description import lacks_memory
from i2i.nets.last_step import LastStep
from i2i.nets.loading import load_net
from i2i.spec import ModelSpec


class TorchEngine:
    """Runs a net on the GPU, or on the processor where there is none."""

    name: EngineName = "torch"

    def __init__(self, net: nn.Module, spec: ModelSpec, precision: Precision = "f32") -> None:
        self.precision: Precision = precision
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # torch's own annotations of Module.to leave memory_format out.
        self._net = net.eval().to(  # type: ignore[call-overload]
            self.device, memory_format=torch.channels_last
        )
        self._last = LastStep(spec.kind, spec.temperature, spec.map)
        self._outputs = spec.graph.outputs

    @classmethod
    def open(cls, folder: ModelFolder, precision: Precision, threads: int) -> TorchEngine:
        """Builds the net that the spec names, and loads its weights.

        `threads` are those of torch in this whole process.

        Raises:
            ModelError: the spec names no class of `i2i.nets`, or the weights are not its weights.
            MemoryError: there is too little memory for the model now.
        """
        torch.set_num_threads(threads)
        net = load_net(folder)
        try:
            return cls(net, folder.spec, precision)
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            raise MemoryError(f"{folder.path}: expected memory for it, got too little") from error

    def run(self, image: NDArray[np.float32]) -> Outputs:
        try:
            outputs = self._forward(image)
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            outputs = None
        if outputs is None:
            # Outside of the handler nothing of the failed call is held any more.
            torch.cuda.empty_cache()
            raise MemoryError(f"expected memory on {self.device} for {image.shape}, got too little")
        return {
            name: output.cpu().numpy() for name, output in zip(self._outputs, outputs, strict=True)
        }

    def release_memory(self) -> None:
        torch.cuda.empty_cache()

    def _forward(self, image: NDArray[np.float32]) -> tuple[torch.Tensor, ...]:
        batch = torch.from_numpy(image).to(self.device, memory_format=torch.channels_last)
        with (
            _WHOLE_FACTORS,
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            outputs: tuple[torch.Tensor, ...] = self._last(self._net(batch).float())
        return outputs


class _WholeFactors:
    """While any thread is within: cuDNN rounds no convolution's factors to TF32.

    The plan of windows would show. Afterwards the program's own choice is in force again.
    """

    def __init__(self) -> None:
        self._owner: object = torch.backends.cudnn
        self._name, self._whole = "allow_tf32", cast(object, False)
        if hasattr(torch.backends.cudnn, "conv"):  # since torch 2.9, which wants the two not mixed
            self._owner = torch.backends.cudnn.conv
            self._name, self._whole = "fp32_precision", "ieee"
        self._changing = threading.Lock()
        self._within = 0

    def __enter__(self) -> None:
        with self._changing:
            if self._within == 0:
                self._before = getattr(self._owner, self._name)
                setattr(self._owner, self._name, self._whole)
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._changing:
            self._within -= 1
            if self._within == 0:
                setattr(self._owner, self._name, self._before)


_WHOLE_FACTORS = _WholeFactors()
