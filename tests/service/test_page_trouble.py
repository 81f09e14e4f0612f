"""The page where something beside it goes wrong: the browser, the service, the connection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import i2i
from tests.service.browser import CANCELLED, LABELLING, SCALING

pytestmark = pytest.mark.browser

# Waits of seconds take no time.
HURRY = "const later = setTimeout; window.setTimeout = (go, ms) => later(go, ms / 50);"


@pytest.fixture
def as_job(tmp_path: Path) -> Path:
    """A small picture that goes as a job, for what follows it in the file."""
    path = tmp_path / "scan.tiff"
    data = i2i.encode(i2i.Picture(np.full((5, 7, 3), 90, np.uint8)), "tiff")
    path.write_bytes(data.ljust(4_100_000, b"\0"))
    return path


@pytest.mark.parametrize("model", [SCALING, LABELLING])
def test_what_the_browser_cannot_draw_is_downloaded_all_the_same(
    page, picture, tmp_path_factory, model
):
    page.open(model)
    page.run("""
        const real = fetch;
        window.fetch = async (path, options) => {
          const reply = await real(path, options);
          if (!path.includes("/predict")) return reply;
          // A header that claims more than any browser draws.
          const bytes = new Uint8Array(await reply.arrayBuffer());
          new DataView(bytes.buffer).setUint32(16, 24000);
          new DataView(bytes.buffer).setUint32(20, 24400);
          return new Response(bytes, { headers: reply.headers });
        };""")
    page.predict(picture)
    assert page["after"].text.startswith("This browser cannot show it")
    assert "24000 × 24400" in page["facts"].text
    assert page.run("return document.getElementById('curl').textContent")
    assert page.download(tmp_path_factory.mktemp("downloads")).startswith(b"\x89PNG")


def test_what_is_busy_beside_the_result_is_not_told(page, cells):
    page.open(LABELLING)
    page.run("""
        const real = fetch;
        window.sent = 0;
        window.fetch = async (path, options) => {
          if (!path.includes("confidence") || window.sent++) return real(path, options);
          const headers = { "Retry-After": 1 };
          return new Response('{"code": "queue_full"}', { status: 503, headers });
        };
        window.said = [];
        const status = document.getElementById("status");
        new MutationObserver(() => window.said.push(status.textContent))
          .observe(status, { childList: true });""")
    page.predict(cells)
    page.until(lambda: page.run("return window.sent") == 2)
    assert page.status.startswith("Done")
    assert [text[:4] for text in page.run("return window.said")] == ["Pred", "Done"]


def test_a_page_that_is_left_stops_its_job(page, large):
    before = page.counted(CANCELLED)
    page.choose(large)
    page["run"].click()
    page.until(lambda: page.counted("i2i_jobs_running") == 1)
    page.until(lambda: "%" in page.status)
    page.driver.get("about:blank")
    page.until(lambda: page.counted(CANCELLED) == before + 1)


def test_a_job_whose_answer_was_lost_is_sent_again_and_is_the_same(page, as_job):
    page.run(
        HURRY
        + """
        const real = fetch;
        window.jobs = [];
        window.fetch = async (path, options) => {
          const reply = await real(path, options);
          if (options?.method !== "POST") return reply;
          window.jobs.push(reply.headers.get("Location"));
          if (window.jobs.length === 1) throw new TypeError("the connection was lost");
          return reply;
        };"""
    )
    page.predict(as_job)
    first, second = page.run("return window.jobs")
    assert first == second


LISTING = (
    HURRY
    + """
    const real = fetch;
    window.asked = 0;
    window.fetch = async (path, options) => {
      if (path !== "/readyz" || window.loaded) return real(path, options);
      window.asked++;
      return new Response('{"loading": ["another"]}', { status: 503 });
    };
    document.querySelector("#model option").seen = true;
    document.getElementById("key").dispatchEvent(new Event("change"));"""
)


def test_while_models_load_the_page_goes_on_with_what_there_is(page, picture):
    page.run(LISTING)
    page.until(lambda: page.status == "The models are being loaded …")
    page.predict(picture)
    asked = page.run("return window.asked")
    page.until(lambda: page.run("return window.asked") > asked + 2)
    assert page.status.startswith("Done")
    assert page.run("return document.querySelector('#model option').seen")
    page.run("window.loaded = true")


def test_a_list_of_models_that_comes_after_a_later_one_is_left_out(page):
    page.run("""
        const real = fetch;
        const held = new Promise((go) => { window.answer = go; });
        window.fetch = async (path, options) => {
          if (path !== "/v1/models" || window.held) return real(path, options);
          window.held = true;
          await held;
          window.came = true;
          return new Response('{"models": []}');
        };
        const key = document.getElementById("key");
        key.dispatchEvent(new Event("change"));
        key.dispatchEvent(new Event("change"));""")
    page.run("window.answer()")
    page.until(lambda: page.run("return window.came"))
    page.run("return new Promise((go) => setTimeout(go, 100))")
    assert SCALING in page["model"].text
    assert not page["problem"].is_displayed()


def test_a_class_of_a_long_name_fits_a_phone(page, cells):
    page.emulate(360, 740)
    page.open(LABELLING)
    page.predict(cells)
    page.run("document.querySelector('#legend button').lastChild.data = 'x'.repeat(57)")
    assert page.run("return document.documentElement.scrollWidth") <= 360
