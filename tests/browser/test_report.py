"""The transfer report as it is read: on a phone, at a desk, by night."""

from __future__ import annotations

import shutil

import pytest

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
# How far text of charts reaches over the right edge of the window.
OVER = """() => Math.max(...[...document.querySelectorAll('svg text')]
    .map(text => text.getBoundingClientRect().right)) - window.innerWidth"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM
        )
        yield launched
        launched.close()


@pytest.mark.parametrize(
    ("width", "scheme"), [(375, "light"), (1280, "light"), (1280, "dark")], ids=str
)
def test_it_fits_its_window_and_fetches_nothing(browser, small_home, tmp_path, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    file = small_home.lake.home.reports / "transfer" / "v1.html"
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVER) <= 0
    assert page.get_by_role("heading", name="What transfers where").is_visible()
    assert page.locator("figure svg").count() >= 4
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)


def test_every_table_is_printed(browser, small_home):
    page = browser.new_page(viewport={"width": 720, "height": 900}, color_scheme="dark")
    page.goto((small_home.lake.home.reports / "transfer" / "v1.html").as_uri())
    hidden = page.locator("details table").first
    assert not hidden.is_visible()
    page.emulate_media(media="print")
    assert hidden.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
