"""A page in a real browser, from a real service with shipped models."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import i2i

SCALING, LABELLING = "super-resolution-x2", "nuclei"
PATIENCE_S = 60
CANCELLED = 'i2i_jobs_total{state="cancelled"}'

# Without a window, without a sandbox (there is none in a container), and calling nobody by itself.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Page:
    """The page in a browser. A method that looks for a thing waits for it."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, model: str = SCALING) -> None:
        self.driver.get(self.address)
        self.until(lambda: model in self["model"].text)
        self.until(lambda: "loaded" not in self.status)
        self.run("document.getElementById('model').value = arguments[0]", model)

    def __getitem__(self, id: str) -> Any:
        return self.driver.find_element("id", id)

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], object]) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: condition())

    @property
    def status(self) -> str:
        return self["status"].text

    def choose(self, file: Path) -> None:
        self["file"].send_keys(str(file))
        self.until(self["run"].is_enabled)

    def predict(self, file: Path) -> None:
        self.choose(file)
        self["run"].click()
        self.until(lambda: self.status.startswith("Done"))

    def problem_of(self, file: Path) -> str:
        self.choose(file)
        self["run"].click()
        self.until(self["problem"].is_displayed)
        return str(self["problem"].text)

    def counted(self, name: str) -> float:
        """The value of the metric that has this name and these labels."""
        text = httpx.get(f"{self.address}/metrics").text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def download(self, folder: Path) -> bytes:
        """What a click on the link saves."""
        behaviour = {"behavior": "allow", "downloadPath": str(folder)}
        self.driver.execute_cdp_cmd("Page.setDownloadBehavior", behaviour)
        self["download"].click()
        self.until(lambda: [path for path in folder.iterdir() if path.suffix == ".png"])
        (path,) = folder.iterdir()
        return path.read_bytes()

    def emulate(self, width: int, height: int, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    binary, driver_binary = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver_binary:
        pytest.skip("needs chromium and chromedriver on the PATH")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(driver_binary))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(
    browser: Any,
    server: Any,
    environment_at: Any,
    wait_until: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    if not {SCALING, LABELLING} <= set(i2i.shipped_models()):
        pytest.skip(f"needs the shipped models {SCALING} and {LABELLING}")
    folder = tmp_path_factory.mktemp("server")
    with server("service.service:I2I", environment_at(folder), folder / "log") as (_, client):
        wait_until(lambda: client.get("/readyz").is_success)
        yield str(client.base_url)


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    """The page, which in the end has asked nobody else and broken none of its own rules."""
    page = Page(browser, address)
    page.emulate(1280, 900)
    page.open()
    yield page
    complaints = [entry for entry in browser.get_log("browser") if entry["source"] != "network"]
    assert complaints == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    asked = [e["request"]["url"] for e in sent if e["documentURL"].startswith(address)]
    assert asked
    assert [url for url in asked if not url.startswith((address, f"blob:{address}"))] == []


@pytest.fixture
def page_at(browser: Any) -> Callable[[str], Page]:
    """`page_at(address)`: the page of another service, not opened yet."""
    return lambda address: Page(browser, address)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file whose name a shell would take apart."""
    pixels = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    path = tmp_path / "it's a $(picture).png"
    path.write_bytes(i2i.encode(i2i.Picture(pixels)))
    return path


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """The sample that the model of nuclei was proved with."""
    path = tmp_path / "cells.png"
    path.write_bytes((i2i.shipped_models()[LABELLING] / "golden-input.png").read_bytes())
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A picture that goes as a job, and takes many seconds to be enlarged."""
    path = tmp_path / "large.png"
    path.write_bytes(i2i.encode(i2i.Picture(np.full((2048, 2048, 3), 90, np.uint8))))
    return path
