"""The page as its users see it: a real browser, a real service, shipped models."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest

import i2i
from tests.service.browser import CANCELLED, LABELLING, SCALING

FILES = sorted((Path(__file__).parents[2] / "service" / "page").iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_the_page_is_served_with_its_policy_and_kept_by_the_browser(client, path):
    address = "/" if path.name == "index.html" else f"/page/{path.name}"
    reply = client.get(address)
    assert reply.content == path.read_bytes()
    assert "default-src 'none'; script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-cache"
    again = client.get(address, headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.browser
def test_the_download_is_the_services_answer_and_so_is_the_command_below_it(
    page, picture, tmp_path_factory
):
    page.predict(picture)
    assert page["download"].get_attribute("download") == "it's a $(picture)-super-resolution-x2.png"
    assert "128 × 96" in page["facts"].text
    answer = httpx.post(
        f"{page.address}/v1/models/{SCALING}/predict", content=picture.read_bytes(), timeout=60
    )
    assert page.download(tmp_path_factory.mktemp("downloads")) == answer.content
    command = page["curl"].text
    subprocess.run(["sh", "-ec", command], cwd=picture.parent, check=True, capture_output=True)
    assert (picture.parent / "prediction.png").read_bytes() == answer.content


@pytest.mark.browser
def test_everything_is_done_from_the_keyboard(page, picture):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(key: str) -> str:
        ActionChains(page.driver).send_keys(key).perform()
        return page.run("return document.activeElement.id")

    page.choose(picture)
    page.run("document.activeElement.blur(); getSelection().collapse(document.body, 0)")
    assert [press(Keys.TAB) for _ in range(3)] == ["model", "file", "run"]
    press(Keys.ENTER)
    page.until(lambda: page.status.startswith("Done"))
    assert [press(Keys.TAB) for _ in range(4)] == ["split", "zoom", "download", "copy"]
    for _ in range(3):
        ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).perform()
    ActionChains(page.driver).key_up(Keys.SHIFT).perform()
    before = page["after"].value_of_css_property("clip-path")
    assert press(Keys.ARROW_RIGHT) == "split"
    assert page["split"].get_attribute("value") == "51"
    assert page["after"].value_of_css_property("clip-path") != before


@pytest.mark.browser
def test_the_divider_is_dragged_and_the_picture_enlarged(page, picture):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import Select

    page.predict(picture)
    width = page["pair"].rect["width"]
    ActionChains(page.driver).drag_and_drop_by_offset(page["divider"], width // 4, 0).perform()
    assert 73 <= float(page["split"].get_attribute("value")) <= 77
    Select(page["zoom"]).select_by_value("8")
    assert page["pair"].rect["width"] == 8 * 128
    view = "const v = document.getElementById('view'); return v.scrollTop + v.clientHeight / 2"
    assert abs(page.run(view) - 8 * 48) <= 1, "the middle stays in the middle"


@pytest.mark.browser
def test_classes_are_told_by_legend_and_under_the_pointer(page, cells):
    from selenium.webdriver.common.action_chains import ActionChains

    page.open(LABELLING)
    page.predict(cells)
    expected = i2i.load(LABELLING).predict(i2i.decode(cells.read_bytes())).labels
    shares = [float(share) for share in re.findall(r"([\d.]+) %", page["legend"].text)]
    assert shares == pytest.approx([100 * np.mean(expected == id) for id in (0, 1)], abs=0.06)

    width = expected.shape[1]
    aside = int(page["pair"].rect["width"]) // 4

    def told() -> bool:
        for offset in (aside - 1, aside):
            point = ActionChains(page.driver, duration=0)
            point.move_to_element_with_offset(page["frame"], offset, 0).perform()
        return "% sure" in page["pixel"].text  # known a moment after the classes

    page.until(told)
    x, y, name = re.match(r"\((\d+), (\d+)\): (\w+)", page["pixel"].text).groups()
    assert abs(int(x) - 0.75 * width) <= 2
    assert name == ("background", "nucleus")[expected[int(y), int(x)]]

    nucleus = page["legend"].find_elements("tag name", "button")[1]
    drawn = """
        const canvas = document.querySelector("#after canvas");
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, i) => i % 4 === 3 && value > 0).length"""
    assert page.run(drawn) == np.count_nonzero(expected)
    nucleus.click()
    assert nucleus.get_attribute("aria-pressed") == "false"
    assert page.run(drawn) == 0


@pytest.mark.browser
@pytest.mark.parametrize(
    "event",
    [
        "new ClipboardEvent('paste', { clipboardData: items })",
        "new DragEvent('drop', { dataTransfer: items, cancelable: true })",
    ],
)
def test_a_picture_is_pasted_and_dropped(page, picture, event):
    data = base64.b64encode(picture.read_bytes()).decode()
    page.run(
        f"""
        const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));
        const items = new DataTransfer();
        items.items.add(new File([bytes], "held.png", {{ type: "image/png" }}));
        dispatchEvent({event});""",
        data,
    )
    page.until(lambda: page["chosen"].text == "held.png, 64 × 48 pixels")
    page.until(lambda: page.status == "held.png, 64 × 48 pixels")  # which is heard
    assert page.run("return document.getElementById('file').files[0].name") == "held.png"
    page["run"].click()
    page.until(lambda: page.status.startswith("Done"))


@pytest.mark.browser
def test_what_went_wrong_is_said_in_words(page, picture, tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    assert page.problem_of(text).startswith("The file is of no format that is read here")

    page.driver.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        assert page.problem_of(picture) == "The service cannot be reached. Is it running?"
    finally:
        page.driver.delete_network_conditions()
    page["run"].click()
    page.until(lambda: page.status.startswith("Done"))
    assert not page["problem"].is_displayed()


@pytest.mark.browser
@pytest.mark.parametrize("size", [1_000, 4_100_000], ids=["at once", "as a job"])
def test_while_a_model_is_loaded_the_picture_is_sent_again(page, tmp_path, pixels, size):
    tiff = tmp_path / "scan.tiff"
    tiff.write_bytes(i2i.encode(i2i.Picture(pixels), "tiff").ljust(size, b"\0"))
    page.run("""
        const real = fetch;
        const headers = { "Retry-After": 1 };
        const busy = () => new Response('{"code": "queue_full"}', { status: 503, headers });
        window.sent = 0;
        window.fetch = async (path, options) =>
          options?.method === "POST" && ++window.sent < 3 ? busy() : real(path, options);""")
    page.choose(tiff)
    page["run"].click()
    page.until(lambda: page.status.startswith("The service is busy"))
    page.until(lambda: page.status.startswith("Done"))
    assert page.run("return window.sent") == 3


@pytest.mark.browser
def test_what_is_said_and_what_the_fields_mean_can_be_heard(page):
    status = "return getComputedStyle(document.getElementById('status')).display"
    assert page.status == ""
    assert page.run(status) == "block", "a live region that is not shown is not heard"
    for field, text in (("model", "about"), ("file", "chosen")):
        assert page[field].get_attribute("aria-describedby") == text
        assert page[text].text


@pytest.mark.browser
def test_a_prediction_is_cancelled_and_another_one_begun(page, picture, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(i2i.encode(i2i.Picture(np.zeros((1500, 1500, 3), np.uint8))))
    page.choose(large)
    page["run"].click()
    page.until(page["cancel"].is_displayed)
    page["cancel"].click()
    page.until(lambda: page.status == "Cancelled.")
    assert page.run("return document.activeElement.id") == "run"
    page.predict(picture)


@pytest.mark.browser
def test_the_picture_that_was_chosen_last_counts(page, picture, tmp_path):
    large = tmp_path / "large.png"
    large.write_bytes(i2i.encode(i2i.Picture(np.zeros((6000, 6000, 3), np.uint8))))
    page.choose(large)
    page.run("window.large = document.getElementById('file').files[0]")
    page.choose(picture)
    page.until(lambda: page["chosen"].text.endswith("64 × 48 pixels"))
    page.run("return createImageBitmap(window.large).then(() => true)")
    assert page["chosen"].text.endswith("64 × 48 pixels")


@pytest.mark.browser
@pytest.mark.parametrize("size", [1_000, 4_100_000], ids=["at once", "as a job"])
def test_what_the_browser_cannot_show_is_predicted_all_the_same(page, tmp_path, pixels, size):
    tiff = tmp_path / "scan.tiff"
    # What follows the picture in the file makes it one that is sent as a job.
    tiff.write_bytes(i2i.encode(i2i.Picture(pixels), "tiff").ljust(size, b"\0"))
    page.predict(tiff)
    assert ("run" in page["facts"].text) == (size < 4_000_000), "a job tells no phases"
    assert "not shown by this browser" in page["facts"].text
    assert "14 × 10" in page["facts"].text


@pytest.mark.browser
def test_a_large_picture_shows_how_far_its_job_is(page, large):
    page.open(LABELLING)
    page.choose(large)
    page["run"].click()
    shares: list[float] = []

    def is_done() -> bool:
        # Not `get_attribute`, which gives 0 where there is no share yet.
        share = page["progress"].get_dom_attribute("value")
        if share is not None:
            shares.append(float(share))
            assert "%" in page.status or page.status.startswith("Done")
        return page.status.startswith("Done")

    page.until(is_done)
    assert shares == sorted(shares)
    assert len({share for share in shares if 0 < share < 1}) > 1
    assert "2048 × 2048" in page["facts"].text
    assert f"/v1/models/{LABELLING}/jobs" in page["curl"].text


@pytest.mark.browser
def test_a_job_is_cancelled_while_the_page_waits_to_ask_again(page, large):
    before = page.counted(CANCELLED)
    page.choose(large)
    page["run"].click()
    page.until(lambda: "%" in page.status)
    page.run("window.setTimeout = () => 0")  # every wait from now on is without end
    page.until(lambda: page.counted("i2i_jobs_running") == 1)
    # Let the request under way end, and the wait without end begin.
    page.run("return fetch('/livez').then((reply) => reply.text())")
    page["cancel"].click()
    page.until(lambda: page.status == "Cancelled.")
    page.until(lambda: page.counted(CANCELLED) == before + 1)


@pytest.mark.browser
def test_a_job_whose_answer_is_still_awaited_is_stopped_once_it_has_come(page, large):
    before = page.counted(CANCELLED)
    page.run("""
        const real = fetch;
        const answered = new Promise((go) => { window.answer = go; });
        window.fetch = async (path, options) => {
          const reply = await real(path, options);
          if (path.endsWith("/jobs")) await answered;
          return reply;
        };""")
    page.choose(large)
    page["run"].click()
    page.until(lambda: page.counted("i2i_jobs_running") == 1)
    page["cancel"].click()
    page.until(lambda: page.status == "Cancelled.")
    page.run("window.answer()")
    page.until(lambda: page.counted(CANCELLED) == before + 1)


@pytest.mark.browser
def test_what_is_asked_beside_the_result_ends_with_another_picture(page, cells, picture):
    page.open(LABELLING)
    page.run("""
        const real = fetch;
        window.fetch = (path, options) => {
          if (!path.includes("confidence")) return real(path, options);
          window.confidence = options.signal;
          return new Promise(() => {});
        };""")
    page.predict(cells)
    assert page.run("return window.confidence.aborted") is False
    page.choose(picture)
    assert page.run("return window.confidence.aborted") is True


@pytest.mark.browser
def test_a_large_picture_is_worked_out_once(page, large):
    page.open(LABELLING)
    page.run("""
        const real = fetch;
        window.sent = [];
        window.fetch = (path, options) => {
          if (options?.method === "POST") window.sent.push(path);
          return real(path, options);
        };""")
    page.predict(large)
    assert page.run("return window.sent") == [f"/v1/models/{LABELLING}/jobs"]


@pytest.mark.browser
def test_the_key_is_asked_for_where_there_are_keys(
    browser, page_at, server, environment_at, wait_until, tmp_path, picture
):
    keys = tmp_path / "keys"
    keys.write_text(f"{hashlib.sha256(b'open sesame').hexdigest()} reader\n")
    environment = environment_at(tmp_path) | {"I2I_KEYS_FILE": str(keys)}
    with server("service.service:I2I", environment, tmp_path / "log") as (_, client):
        wait_until(lambda: client.get("/readyz").is_success)
        page = page_at(str(client.base_url))
        browser.get(page.address)
        page.until(page["key"].is_displayed)
        page["key"].send_keys("let me in\n")
        page.until(lambda: "key" in page["problem"].text.lower())
        page["key"].clear()
        page["key"].send_keys("open sesame\n")
        page.until(lambda: SCALING in page["model"].text)
        page.until(lambda: "loaded" not in page.status)
        page.predict(picture)
        assert '-H "Authorization: Bearer $KEY"' in page["curl"].text
        assert "open sesame" not in page["curl"].text
    browser.get_log("browser")  # the refusals


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(360, 740, "light"), (390, 844, "light"), (1280, 900, "dark")],
)
def test_it_fits_a_phone_and_is_dark_where_that_is_liked(page, picture, width, height, scheme):
    page.emulate(width, height, scheme)
    page.predict(picture)
    assert page.run("return document.documentElement.scrollWidth") <= width
    channels = re.findall(
        r"\d+", page.run("return getComputedStyle(document.body).backgroundColor")
    )
    assert (int(channels[0]) < 64) == (scheme == "dark")
