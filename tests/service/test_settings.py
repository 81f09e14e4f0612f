import logging
import sys
from pathlib import Path

import pytest

from service.settings import Settings


def test_an_empty_environment_gives_the_documented_defaults():
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.max_body == 256 * 1024 * 1024
    assert (settings.max_pixels, settings.max_output_pixels) == (60_000_000, 240_000_000)
    assert (settings.deadline_s, settings.queue_s) == (300, 30)
    assert settings.inflight_bytes == 1024**3


def test_every_setting_is_read(tmp_path: Path):
    keys_file = tmp_path / "keys"
    keys_file.touch()
    environment = {
        "I2I_MODELS": str(tmp_path),
        "I2I_ENGINE": "torch",
        "I2I_PRECISION": "bf16",
        "I2I_THREADS": "3",
        "I2I_MAX_BODY": "4",
        "I2I_MAX_PIXELS": "5",
        "I2I_MAX_OUTPUT_PIXELS": "6",
        "I2I_DEADLINE_S": "7.5",
        "I2I_QUEUE_S": "8",
        "I2I_INFLIGHT_BYTES": "9",
        "I2I_KEYS_FILE": str(keys_file),
        "I2I_METRICS_KEY": "for-prometheus",
        "I2I_CORS_ORIGINS": "https://a.example, http://localhost:8080",
        "I2I_LOAD": "nuclei, depixelate",
        "I2I_WATCH": "off",
        "I2I_DRAIN_S": "10",
        "HOME": "/root",
    }
    assert Settings.from_environment(environment) == Settings(
        models=tmp_path,
        engine="torch",
        precision="bf16",
        threads=3,
        max_body=4,
        max_pixels=5,
        max_output_pixels=6,
        deadline_s=7.5,
        queue_s=8.0,
        inflight_bytes=9,
        keys_file=keys_file,
        metrics_key="for-prometheus",
        cors_origins=("https://a.example", "http://localhost:8080"),
        load=("nuclei", "depixelate"),
        watch=False,
        drain_s=10.0,
    )


def test_all_models_can_be_named_by_one_word():
    assert Settings.from_environment({"I2I_LOAD": "all"}) == Settings()


def test_the_settings_do_not_show_the_key_of_the_metrics():
    assert "for-prometheus" not in repr(Settings(metrics_key="for-prometheus"))


def test_the_key_of_the_metrics_loses_the_end_of_its_line():
    settings = Settings.from_environment({"I2I_METRICS_KEY": "for-prometheus\n"})
    assert settings.metrics_key == "for-prometheus"


@pytest.mark.parametrize(
    ("key", "got"),
    [("schlüssel", "a key with other characters"), (" \n", "white space alone")],
)
def test_a_key_of_the_metrics_that_no_header_holds_is_refused_without_being_shown(key, got):
    with pytest.raises(ValueError, match=f"expected a key of ASCII.* makes one, got {got}$") as no:
        Settings.from_environment({"I2I_METRICS_KEY": key})
    assert key not in str(no.value)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("I2I_MODELS", "/no/such/folder", "an existing folder"),
        ("I2I_ENGINE", "tensorflow", "one of openvino, torch"),
        ("I2I_PRECISION", "fp8", "one of f32, bf16, auto"),
        ("I2I_THREADS", "0", "a whole number of threads in digits, 1 to 1024"),
        ("I2I_THREADS", "5000", "a whole number of threads in digits, 1 to 1024"),
        ("I2I_MAX_BODY", "256 MiB", "a whole number of bytes in digits, at least 1"),
        ("I2I_MAX_PIXELS", "-1", "a whole number of pixels in digits, at least 1"),
        ("I2I_INFLIGHT_BYTES", "1e9", "a whole number of bytes in digits, at least 1"),
        ("I2I_DEADLINE_S", "nan", "a number of seconds above 0"),
        ("I2I_QUEUE_S", "soon", "a number of seconds above 0"),
        ("I2I_KEYS_FILE", "/no/such/file", "an existing file"),
        ("I2I_CORS_ORIGINS", "https://a.example/", "\\* or origins as https://host:port"),
        ("I2I_CORS_ORIGINS", "a.example", "\\* or origins as https://host:port"),
        ("I2I_LOAD", "a,,b", "all, or names with commas between them"),
        ("I2I_WATCH", "yes", "one of on, off"),
    ],
)
def test_an_error_names_variable_bound_and_value(variable: str, value: str, expected: str):
    with pytest.raises(ValueError, match=rf"{variable}: expected {expected}.*, got '{value}'"):
        Settings.from_environment({variable: value})


def test_a_model_folder_is_no_folder_of_model_folders(tiny_models: Path):
    with pytest.raises(ValueError, match="I2I_MODELS: expected the folder above it, for this is a"):
        Settings.from_environment({"I2I_MODELS": str(tiny_models / "tiny-x2")})


def test_an_engine_that_is_not_installed_ends_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match="I2I_ENGINE: expected an engine that is installed here"):
        Settings.from_environment({"I2I_ENGINE": "torch"})


def test_the_settings_of_jobs_and_cache_are_read(tmp_path: Path):
    environment = {
        "I2I_JOBS_DIR": str(tmp_path),
        "I2I_JOB_MAX_PIXELS": "1",
        "I2I_JOB_TTL_S": "2.5",
        "I2I_JOBS_BYTES": "3",
        "I2I_CACHE_BYTES": "4",
    }
    assert Settings.from_environment(environment) == Settings(
        jobs_dir=tmp_path, job_max_pixels=1, job_ttl_s=2.5, jobs_bytes=3, cache_bytes=4
    )
    with pytest.raises(ValueError, match="I2I_JOBS_DIR: expected an existing folder that can be"):
        Settings.from_environment({"I2I_JOBS_DIR": str(tmp_path / "none")})


def test_an_empty_value_counts_as_not_set():
    assert Settings.from_environment({"I2I_MAX_BODY": ""}) == Settings()


def test_an_unknown_setting_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        assert Settings.from_environment({"I2I_MAX_BODDY": "3"}) == Settings()
    assert "I2I_MAX_BODDY" in caplog.text


def test_what_kubernetes_sets_for_a_service_called_i2i_is_not_ours(
    caplog: pytest.LogCaptureFixture,
):
    environment = {"I2I_SERVICE_HOST": "10.0.0.1", "I2I_PORT": "tcp://10.0.0.1:3000"}
    with caplog.at_level(logging.WARNING):
        assert Settings.from_environment(environment) == Settings()
    assert not caplog.text
