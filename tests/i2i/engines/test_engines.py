from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from i2i import shipped_models
from i2i.engines import Engine, open_engine
from i2i.engines.engine import EngineName, available_cpus
from i2i.engines.torch import TorchEngine
from i2i.model_folder import ModelError, ModelFolder
from i2i.nets.description import build
from i2i.predictor import Predictor, load

ENGINES = ("openvino", "torch")
MODELS = ("tiny-x2", "tiny-labels")


@pytest.fixture(params=MODELS)
def folder(request: pytest.FixtureRequest, tiny_models: Path) -> ModelFolder:
    return ModelFolder.open(tiny_models / request.param)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test has not the machine's I2I_… settings, nor the next test its threads."""
    for name in ("I2I_ENGINE", "I2I_PRECISION", "I2I_THREADS"):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def windows(folder: ModelFolder, batch: int = 1) -> NDArray[np.float32]:
    side = 8 * folder.spec.size_multiple
    return np.random.default_rng(0).random((batch, 3, side, side + 8), np.float32)


def has_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_engines_agree_within_the_tolerance_of_the_spec(
    folder: ModelFolder, precision: str
) -> None:
    reference = open_engine(folder, "torch", "f32", 1).run(windows(folder))
    for name in ENGINES:
        if (name, precision) == ("openvino", "bf16") and not has_bf16():
            continue
        outputs = open_engine(folder, name, precision, 1).run(windows(folder))
        assert set(outputs) == set(folder.spec.graph.outputs)
        measured = "image" if folder.spec.kind == "image" else "confidence"
        assert outputs[measured].dtype == np.float32
        got, expected = np.asarray(outputs[measured], float), np.asarray(reference[measured], float)
        difference = np.abs(got - expected).max()
        assert difference <= (1e-5 if precision == "f32" else folder.spec.tolerance[name]["bf16"])


def test_engines_give_the_same_labels_where_these_are_clear(tiny_labels: Path) -> None:
    folder = ModelFolder.open(tiny_labels)
    one, other = (open_engine(folder, name, "f32", 1).run(windows(folder)) for name in ENGINES)

    clear = np.asarray(one["confidence"], float) > 0.5 + 1e-4
    assert clear.mean() > 0.2
    assert one["labels"].dtype == other["labels"].dtype == np.uint8
    np.testing.assert_array_equal(one["labels"][clear], other["labels"][clear])


def test_a_saved_net_loads_to_the_same_bits(tiny_models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = ModelFolder.open(tiny_models / "tiny-labels")
    net = build(folder.spec.net)
    net.load_state_dict(load_file(folder.weights))
    save_file(net.state_dict(), tmp_path / "again.safetensors")
    again = build(folder.spec.net)
    again.load_state_dict(load_file(tmp_path / "again.safetensors"))

    image = windows(folder)
    expected = TorchEngine.open(folder, "f32", 1).run(image)
    got = TorchEngine(again, folder.spec).run(image)
    for name in folder.spec.graph.outputs:
        np.testing.assert_array_equal(got[name], expected[name])


@pytest.mark.parametrize("name", ENGINES)
def test_a_batch_gives_what_its_windows_give(folder: ModelFolder, name: str) -> None:
    engine = open_engine(folder, name, "f32", 1)
    batch = windows(folder, batch=3)
    together = {key: np.array(value) for key, value in engine.run(batch).items()}

    for i in range(3):
        for key, value in engine.run(batch[i : i + 1]).items():
            np.testing.assert_allclose(value[0], together[key][i], atol=1e-5)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_gave_its_memory_back_answers_as_before(
    folder: ModelFolder, name: str
) -> None:
    engine = open_engine(folder, name, "f32", 1)
    before = engine.run(windows(folder))

    engine.release_memory()
    after = engine.run(windows(folder))

    assert all(np.array_equal(before[output], after[output]) for output in before)


@pytest.mark.parametrize("name", ENGINES)
def test_an_output_outlives_the_next_run(folder: ModelFolder, name: str) -> None:
    engine = open_engine(folder, name, "f32", 1)
    kept = engine.run(windows(folder))
    copies = {key: np.array(value) for key, value in kept.items()}

    engine.run(1 - windows(folder))
    for key, value in kept.items():
        np.testing.assert_array_equal(value, copies[key])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("tensorflow", None, None), "engine: expected openvino or torch, got 'tensorflow'"),
        ((None, "f16", None), "precision: expected f32, bf16 or auto, got 'f16'"),
        ((None, None, 0), "threads: expected a number from 1 to 1024, got 0"),
        ((None, None, -2), "threads: expected a number from 1 to 1024, got -2"),
        ((None, None, 10**11), "threads: expected a number from 1 to 1024, got 100000000000"),
    ],
)
def test_a_wrong_choice_is_refused(
    folder: ModelFolder, arguments: tuple[str | None, str | None, int | None], complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        open_engine(folder, *arguments)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("I2I_ENGINE", "tensorflow", "I2I_ENGINE: expected .* got 'tensorflow'"),
        ("I2I_PRECISION", "int4", "I2I_PRECISION: expected .* got 'int4'"),
        ("I2I_THREADS", "many", "I2I_THREADS: expected a number from 1 to 1024, got 'many'"),
    ],
)
def test_a_wrong_setting_is_refused(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ModelError, match=complaint):
        open_engine(folder)


def chosen(engine: Engine) -> tuple[str, str]:
    return engine.name, engine.precision


def test_arguments_come_before_settings_and_these_before_the_machine(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("I2I_THREADS", "1")
    monkeypatch.setenv("I2I_ENGINE", "torch")
    monkeypatch.setenv("I2I_PRECISION", "bf16")

    assert chosen(open_engine(folder)) == ("torch", "bf16")
    assert torch.get_num_threads() == 1
    assert chosen(open_engine(folder, "openvino", "f32", 1)) == ("openvino", "f32")
    monkeypatch.setenv("I2I_PRECISION", "auto")
    assert chosen(open_engine(folder)) == ("torch", "f32")
    for name in ("I2I_ENGINE", "I2I_PRECISION", "I2I_THREADS"):
        monkeypatch.setenv(name, "")
    assert open_engine(folder).precision == "f32"


def test_a_machine_without_a_gpu_runs_openvino(folder: ModelFolder) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert open_engine(folder).name == "openvino"


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_is_not_installed_is_named_with_its_remedy(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ModelError, match=rf"{name} is not installed; pip install {name}"):
        open_engine(folder, name)


def test_memory_that_torch_cannot_get_is_a_memory_error(folder: ModelFolder) -> None:
    engine = open_engine(folder, "torch", "f32", 1)
    shape = 1, folder.spec.input_channels, 1 << 21, 1 << 21
    endless = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), shape, (0, 0, 0, 0))
    with pytest.raises(MemoryError, match="expected memory on cpu"):
        engine.run(endless)


def test_torch_multiplies_whole_numbers_and_leaves_the_programs_own_choice(
    folder: ModelFolder,
) -> None:
    engine = open_engine(folder, "torch", "f32", 1)
    switch = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    assert isinstance(engine, TorchEngine)
    seen: list[str] = []
    engine._net.register_forward_hook(lambda *_: seen.append(switch.fp32_precision))
    before = switch.fp32_precision
    engine.run(windows(folder))
    assert (seen, switch.fp32_precision) == (["ieee"], before)
    assert before != "ieee"


def test_a_call_that_ends_earlier_leaves_another_its_whole_numbers(folder: ModelFolder) -> None:
    first, second = (open_engine(folder, "torch", "f32", 1) for _ in range(2))
    switch = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    assert isinstance(first, TorchEngine)
    assert isinstance(second, TorchEngine)
    before, seen = switch.fp32_precision, []
    within, may_end = threading.Event(), threading.Event()
    later = threading.Thread(target=first.run, args=[windows(folder)])

    def wait_for_the_other(*_: object) -> None:
        within.set()
        may_end.wait(60)
        seen.append(switch.fp32_precision)

    def begin_the_other(*_: object) -> None:
        later.start()
        within.wait(60)

    first._net.register_forward_hook(wait_for_the_other)
    second._net.register_forward_hook(begin_the_other)
    second.run(windows(folder))
    may_end.set()
    later.join()

    assert (seen, switch.fp32_precision) == (["ieee"], before)


@pytest.mark.parametrize("name", ENGINES)
def test_a_call_that_fails_does_not_answer_as_the_one_before(
    folder: ModelFolder, name: EngineName
) -> None:
    engine = open_engine(folder, name, "f32", 1)
    channels = folder.spec.input_channels
    engine.run(np.zeros((1, channels, 64, 64), np.float32))

    with pytest.raises(RuntimeError):
        engine.run(np.zeros((1, channels + 1, 64, 64), np.float32))


MEMORY = """
import resource, sys
import numpy as np
from i2i import load
engine = load(sys.argv[1], engine="openvino", threads=1).engine
engine.run(np.zeros((1, 3, 352, 352), np.float32))
engine.release_memory()
size = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (size + 2**23, resource.RLIM_INFINITY))
try:
    engine.run(np.ones((1, 3, 352, 352), np.float32))
except MemoryError as error:
    print(error)
"""


def test_memory_that_openvino_cannot_get_is_a_memory_error() -> None:
    model = str(shipped_models()["super-resolution-x4"])
    said = subprocess.check_output([sys.executable, "-c", MEMORY, model], text=True)
    assert said == "expected memory for (1, 3, 352, 352), got too little\n"


STOPPED = """
import signal, sys
from i2i import load
signal.signal(signal.SIGTERM, lambda *_: print("stops in its own time"))
first, second = (load(model, engine="openvino", threads=1) for model in sys.argv[1:])
del first
del second
signal.raise_signal(signal.SIGTERM)
"""


def test_a_process_that_let_two_models_go_can_still_be_stopped(tiny_models: Path) -> None:
    models = [str(tiny_models / name) for name in MODELS]
    said = subprocess.check_output([sys.executable, "-c", STOPPED, *models], text=True)
    assert said == "stops in its own time\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"own": "0::/a/b\n", "a/cpu.max": "100000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1),
        ({"own": "0::/a/b\n", "a/b/cpu.max": "100000 100000\n"}, 1),
        ({"own": "0::/a\n", "b/cpu.max": "100000 100000\n"}, None),
        (
            {
                "own": "5:memory:/\n4:cpu,cpuacct:/a:b\n",
                "cpu/a:b/cpu.cfs_quota_us": "100000\n",
                "cpu/a:b/cpu.cfs_period_us": "100000\n",
            },
            1,
        ),
        # A container that is told its name outside.
        ({"own": "0::/docker/5\n", "cpu.max": "100000 100000\n"}, 1),
        ({}, None),
    ],
)
def test_the_quota_of_a_control_group_bounds_the_threads(
    files: dict[str, str],
    expected: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert available_cpus(tmp_path, tmp_path / "own") == (expected or 2)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_gpu_gives_what_the_processor_gives(folder: ModelFolder, precision: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    predictor = load(folder.path, precision=precision)

    assert isinstance(predictor, Predictor)
    assert isinstance(predictor.engine, TorchEngine)
    assert predictor.engine.device.type == "cuda"
    predictor.check_golden()


def test_opening_openvino_reports_nothing_to_its_makers(tmp_path):
    code = "import i2i.engines.openvino, openvino.tools.ovc as ovc; print(ovc.telemetry.__module__)"
    home = os.environ | {"HOME": str(tmp_path), "CI": "", "TF_BUILD": ""}
    output = subprocess.check_output([sys.executable, "-c", code], env=home, text=True)
    assert output == "openvino.tools.ovc.telemetry_stub\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_that_lacks_memory_is_not_called_broken(
    tiny_x2: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"{engine}: {words}")

    if engine == "openvino":
        import openvino

        words = "Exception from src: Resource temporarily unavailable"
        monkeypatch.setattr(openvino.Core, "compile_model", fail)
    else:
        words = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        monkeypatch.setattr(torch.nn.Conv2d, "__init__", fail)
    with pytest.raises(MemoryError, match="expected memory for it, got too little"):
        load(tiny_x2, engine=engine)
