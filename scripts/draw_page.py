"""Takes the pictures of the service's page in docs/: a real browser, a real service.

python -m scripts.draw_page     Needs chromium and chromedriver on the PATH.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from i2i.image import write_bytes
from scripts.serving import serving
from training.data.embedded import photographs

ROOT = Path(__file__).parents[1]
MODEL = "super-resolution-x2"
# Name, width, height, photograph, zoom, and where the page is scrolled to.
SHOTS = (
    ("page-desktop", 1120, 800, "chelsea", "4", 0),
    ("page-phone", 390, 844, "coffee", "0", 60),
)


def main() -> None:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as folder:
        environment, log = {"I2I_LOAD": MODEL}, Path(folder, "log")
        with serving("service.service:I2I", environment, log) as address:
            driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
            for shot in SHOTS:
                draw(driver, address, *shot)
            driver.quit()


def draw(
    driver: Any, address: str, name: str, width: int, height: int, photo: str, zoom: str, top: int
) -> None:
    """Predicts a photograph and keeps what the browser shows of it as docs/`name`.png."""
    wait = WebDriverWait(driver, 60)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(address)
    wait.until(lambda _: MODEL in driver.find_element("id", "model").text)
    driver.execute_script(
        "const model = document.getElementById('model'); model.value = arguments[0];"
        "model.dispatchEvent(new Event('change'))",
        MODEL,
    )
    driver.find_element("id", "file").send_keys(str(photographs((photo,))[0]))
    wait.until(lambda _: driver.find_element("id", "run").is_enabled())
    driver.find_element("id", "run").click()
    wait.until(lambda _: driver.find_element("id", "status").text.startswith("Done"))
    driver.execute_script(
        "const zoom = document.getElementById('zoom'); zoom.value = arguments[0];"
        "zoom.dispatchEvent(new Event('change')); window.scrollTo(0, arguments[1])",
        zoom,
        top,
    )
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    write_bytes(ROOT / "docs" / f"{name}.png", base64.b64decode(shot["data"]))
    print(f"docs/{name}.png")


if __name__ == "__main__":
    main()
