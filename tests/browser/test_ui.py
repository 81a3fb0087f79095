"""The Dagster UI as a person uses it: look at the graph, materialize, backfill, mend what is stale."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import COMMAND, SMALL, SmallHome

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    """The UI with its daemon on a home whose log has landed; runs are in one process."""
    home = SmallHome(tmp_path_factory.mktemp("ui"))
    home.land()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**home.environment, "EXIT_EXECUTOR": "in_process"}
    process = subprocess.Popen(
        [*COMMAND, "ui", "--port", str(port)], env=environment, cwd=home.root,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    wait(lambda: reachable(url), 120)
    yield home, url
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def page(ui):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=ARGUMENTS
        )
        yield browser.new_page(viewport={"width": 1900, "height": 1000})
        browser.close()


def reachable(url):
    try:
        return urllib.request.urlopen(f"{url}/server_info", timeout=2).status == 200
    except OSError:
        return False


def wait(ready, seconds):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.5)


def graphql(url, query):
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=30))["data"]


def finished(url):
    runs = graphql(url, "{ runsOrError { ... on Runs { results { status } } } }")
    states = [run["status"] for run in runs["runsOrError"]["results"]]
    assert "FAILURE" not in states
    return states and all(state == "SUCCESS" for state in states)


def test_the_graph_is_there(ui, page):
    _, url = ui
    page.goto(f"{url}/asset-groups")
    for group in ("ingest", "labels", "features", "model", "online"):
        page.get_by_text(group, exact=True).first.wait_for(timeout=60_000)


def launch(page, url, asset, confirm="Launch"):
    page.goto(f"{url}/assets/{asset}")
    page.get_by_role("button", name="Materialize").first.click(timeout=60_000)


def test_materializing_a_backfill_of_every_day_and_a_single_day(ui, page):
    home, url = ui
    for asset in ("items", "users"):
        launch(page, url, asset)
        wait(lambda asset=asset: home.lake.exists(asset), 120)
    launch(page, url, "events")
    first, last = SMALL.start, SMALL.start + timedelta(days=3)
    page.get_by_test_id("add-partition-link").or_(page.get_by_role("textbox")).first.wait_for(
        timeout=30_000
    )
    page.get_by_role("textbox").first.fill(f"[{first}...{last}]")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Launch").last.click(timeout=30_000)
    wait(lambda: len(home.lake.days("events")) == 4, 180)
    wait(lambda: finished(url), 120)
    screenshot(page, url, home.root)


def screenshot(page, url, folder: Path):
    page.goto(f"{url}/assets/events?view=partitions")
    page.wait_for_timeout(2_000)
    page.screenshot(path=folder / "events.png")
    assert (folder / "events.png").stat().st_size > 10_000
