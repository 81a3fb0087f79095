"""The ranking page as a person uses it: picks a user, turns a scene, by keys, on a phone, locked out."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import uvicorn
from pydantic import SecretStr

from exit_pipeline.profile import load_profile
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.service import Options, Service
from tests.serving.conftest import standing  # noqa: F401

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
HERE = "user=u0000001&k=10&a.place=home&b.place=work&a.hour_band=evening&b.hour_band=evening"


@contextmanager
def served(service: Service) -> Iterator[str]:
    """The service on a port of its own; connections wait in the socket until it is up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(service), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture(scope="module")
def url(standing):  # noqa: F811
    with served(standing.service(Options(examples=True, shadow="2"))) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser):
    """A window that notes what it asks for and what it complains of."""
    found = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    found.set_default_timeout(60_000)
    found.asked, found.complaints = [], []
    found.on("request", lambda request: found.asked.append(request.url))
    found.on("console", lambda message: found.complaints.append(message.text))
    found.on("pageerror", lambda error: found.complaints.append(str(error)))
    yield found
    found.close()


def opened(page, address: str):
    page.goto(address)
    page.locator("ol.items li").first.wait_for()
    settled(page)
    return page


def settled(page) -> None:
    page.locator("body:not([aria-busy])").wait_for()


def items(page, side: str) -> list[str]:
    return page.locator(f"[data-side={side}] ol > li").evaluate_all(
        "all => all.map(li => li.dataset.item)"
    )


def test_it_begins_with_an_example_and_two_scenes_and_asks_nobody_else(page, url):
    opened(page, url)
    assert page.complaints == []
    assert {re.match(r"https?://[^/]+", asked)[0] for asked in page.asked} == {url}
    examples = page.locator("#users option").count()
    assert 1 <= examples <= 20
    assert page.get_by_label("User").input_value() == page.locator(
        "#users option"
    ).first.get_attribute("value")
    assert "From home to work: " in page.get_by_role("heading", level=1).text_content()
    assert len(items(page, "a")) == len(items(page, "b")) == 10
    assert "#user=u" in page.url
    assert "version 1 · interest as of" in page.locator("[data-side=a] .made").text_content()


def test_turning_the_scene_moves_items_and_says_how(page, url):
    opened(page, f"{url}/#{HERE}")
    home, work = items(page, "a"), items(page, "b")
    assert home != work
    for place, item in enumerate(home, 1):
        told = page.locator(f"[data-side=a] [data-item={item}] .move").text_content()
        if item in work:
            there = work.index(item) + 1
            assert told == ("= in the same place in B" if there == place else
                            f"{'▲ up' if there < place else '▼ down'} {abs(there - place)} to #{there} in B")  # fmt: skip
    page.locator("[id='b.place']").select_option("home")
    page.get_by_role("heading", name="A and B ask the same").wait_for()
    assert items(page, "b") == home
    assert "b.place=home" in page.url
    page.go_back()
    page.get_by_role("heading", name="From home to work").wait_for()
    assert items(page, "b") == work


def test_a_bar_is_as_long_as_the_score_and_its_parts_are_told(page, url):
    opened(page, f"{url}/#{HERE}")
    # Both scenes are asked for at once, and either may be answered first.
    asked = lambda answer: '"home"' in (answer.request.post_data or "")  # noqa: E731
    with page.expect_response(asked) as answer:
        page.get_by_role("button", name="Ask again").click()
    item = answer.value.json()["items"][0]
    settled(page)
    for li in page.locator("ol.items > li").all()[:6]:
        score = float(li.locator(".score").text_content().rstrip(" %"))
        own, *lifts = re.findall(r"[\d.]+(?= %)", li.locator(".bar").get_attribute("aria-label"))
        assert float(own) + sum(map(float, lifts)) == pytest.approx(score, abs=0.16)
        widths = li.locator(".bar i").evaluate_all(
            "all => all.map(i => i.getBoundingClientRect().width)"
        )
        full = li.locator(".bar").evaluate("bar => bar.getBoundingClientRect().width")
        scale = float(re.search(r"[\d.]+", page.locator("#scale").text_content())[0])
        assert sum(widths) / full == pytest.approx(score / scale, abs=0.01)
    numbers = page.locator(f"[data-item={item['item_id']}] details").first
    numbers.locator("summary").click()
    assert f"{item['score']:.4f}" in numbers.text_content()


def test_by_keys_alone(page, url):
    opened(page, f"{url}/#{HERE}")
    before = items(page, "a")
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if reached[-1] == "a.place":
            break
    assert reached[:2] == ["user", "k"]
    page.keyboard.press("ArrowDown")
    page.get_by_role("heading", name="A and B ask the same").wait_for()
    assert items(page, "a") != before
    assert page.evaluate("document.activeElement.id") == "a.place"


def test_champion_against_challenger(page, url):
    opened(page, f"{url}/#{HERE.replace('work', 'home')}&b=challenger")
    page.get_by_role("heading", name="From version 1 to 2").wait_for()
    assert page.locator("[data-side=b] .made").text_content().startswith("challenger, version 2")
    assert items(page, "a") == items(page, "b")  # they differ in a constant
    first = [page.locator(f"[data-side={side}] .score").first.text_content() for side in "ab"]
    assert first[0] != first[1]


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")], ids=str)
def test_it_fits_its_window(page, url, tmp_path, width, scheme):
    page.set_viewport_size({"width": width, "height": 700})
    page.emulate_media(color_scheme=scheme)
    opened(page, f"{url}/#{HERE}")
    page.locator("ol.items summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    page.screenshot(path=tmp_path / f"{width}.png", full_page=True)


def test_what_a_policy_forbids_says_so(page, standing):  # noqa: F811
    profile = load_profile("simulated")
    rule = RuleSpec(source="search", forbid=True, reason="health is <b>private</b>")
    ruled = replace(profile, spec=profile.spec.model_copy(update={"policy": [rule]}))
    with served(Service(standing.settings, ruled, Options())) as url:
        opened(page, f"{url}/#{HERE}")
        told = page.locator("ol.items .rule").first.text_content()
    assert told == "Rule: search is forbidden. health is <b>private</b> (policy.0)"


def test_no_champion_is_said_in_words(page, standing, tmp_path):  # noqa: F811
    with served(standing.service(home=tmp_path)) as url:
        page.goto(url)
        told = page.get_by_role("alert").locator("p").text_content()
    assert told.startswith(
        "There is no champion yet (exit-simulated): «exit-pipeline run» trains one"
    )


def test_what_the_service_refuses_is_said_in_words(page, url):
    page.goto(f"{url}/#{HERE.replace('home', 'moon')}")
    told = page.get_by_role("alert").locator("p").text_content()
    assert told == "No such value (place=moon): one of home, work, out."
    page.locator("[data-side=b] ol > li").first.wait_for()


def test_with_a_key_the_page_asks_for_it(page, standing):  # noqa: F811
    service = standing.service(Options(), api_key=SecretStr("a key of ours"))
    with served(service) as url:
        page.goto(f"{url}/#{HERE}")
        page.get_by_label("API key").fill("a key of ours")
        page.keyboard.press("Enter")
        page.locator("ol.items li").first.wait_for()
        assert page.get_by_role("alert").text_content() == ""
        assert "key" not in page.url
