"""OpenVINO: the engine of a processor. It needs graph.onnx and its weights, and no torch."""

from __future__ import annotations

import numpy as np
import openvino
import openvino.properties as properties
import openvino.properties.hint as hints
from numpy.typing import NDArray

from i2i.engines.engine import EngineName, Outputs, Precision
from i2i.model_folder import ModelError, ModelFolder

# How OpenVINO says that it gets no memory, or no thread.
_NO_MEMORY = (
    "Failed to allocate",
    "can't alloc",
    "bad_alloc",
    "Cannot allocate memory",
    "Resource temporarily unavailable",
)
_TYPES = {"f32": openvino.Type.f32, "bf16": openvino.Type.bf16}

# One for all models, that never goes: a core lends the thread that first uses it a stack for
# signals, and of two that go in the order they came the second leaves one behind that is gone. The
# next signal that Python handles would end the process.
_CORE = openvino.Core()
# Mapped weights would change, or end the process, when the folder is written again.
_CORE.set_property({properties.enable_mmap: False})


class OpenVINOEngine:
    """Runs graph.onnx on the processor.

    Raises:
        ModelError: the graph cannot be read, or the processor cannot compute in this precision.
        MemoryError: there is too little memory for the model now.
    """

    name: EngineName = "openvino"

    def __init__(self, folder: ModelFolder, precision: Precision, threads: int) -> None:
        self.precision: Precision = precision
        if precision == "bf16" and "BF16" not in _CORE.get_property(
            "CPU", properties.device.capabilities
        ):
            raise ModelError("precision: this processor has no bf16; use f32")
        try:
            model = _CORE.read_model(folder.graph)
            compiled = _CORE.compile_model(
                model,
                "CPU",
                {
                    hints.inference_precision: _TYPES[precision],
                    hints.performance_mode: hints.PerformanceMode.LATENCY,
                    properties.inference_num_threads: threads,
                    # A pinned thread waits for its own core, while another core may be idle.
                    hints.enable_cpu_pinning: False,
                },
            )
        except RuntimeError as error:
            if _lacks_memory(error):
                raise MemoryError(
                    f"{folder.path}: expected memory for it, got too little"
                ) from error
            raise ModelError(
                f"{folder.graph}: OpenVINO cannot read the graph; export again"
            ) from error
        self._outputs = folder.spec.graph.outputs
        self._request = compiled.create_infer_request()

    def run(self, image: NDArray[np.float32]) -> Outputs:
        try:
            # `infer` raises nothing when it fails: it gives the outputs of the call before.
            self._request.start_async([image], share_inputs=True)
            self._request.wait()
        except RuntimeError as error:
            if _lacks_memory(error):
                raise MemoryError(f"expected memory for {image.shape}, got too little") from error
            raise
        results = self._request.results
        return {name: results[name].copy() for name in self._outputs}

    def release_memory(self) -> None:
        self._request.get_compiled_model().release_memory()


def _lacks_memory(error: RuntimeError) -> bool:
    return any(words in str(error) for words in _NO_MEMORY)
