"""The Dagster UI as a person uses it: look at the graph, materialize, backfill, mend what is stale."""

from __future__ import annotations

import json
import math
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.conftest import COMMAND, SMALL, SmallHome
from tests.pipeline.test_graph import DEPENDENCIES, GROUPS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
SEEN = 0.5  # seconds until others see a record
LAST = SMALL.start + timedelta(days=SMALL.days - 1)


@dataclass(frozen=True)
class Ui:
    """A running UI with its daemon, and the home that it shows."""

    home: SmallHome
    url: str

    def graphql(self, query: str) -> dict:
        body = json.dumps({"query": query}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)
        return json.load(urllib.request.urlopen(request, timeout=60))["data"]

    def runs(self, told: str = "status") -> list[str]:
        """What is told of every run, the newest first."""
        found = self.graphql(f"{{ runsOrError {{ ... on Runs {{ results {{ {told} }} }} }} }}")
        return [run[told.split()[0]] for run in found["runsOrError"]["results"]]

    def backfills(self) -> list[str]:
        query = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { status } } } }"
        return [b["status"] for b in self.graphql(query)["partitionBackfillsOrError"]["results"]]

    def ticks(self) -> list[tuple[float, float]]:
        """When the newest ticks of the automation sensor began and ended; ∞ where one goes on."""
        told = "ticks(limit: 50) { timestamp endTimestamp }"
        sensors = f"sensors {{ name sensorState {{ {told} }} }}"
        query = f"{{ repositoriesOrError {{ ... on RepositoryConnection {{ nodes {{ {sensors} }} }} }} }}"
        (place,) = self.graphql(query)["repositoriesOrError"]["nodes"]
        (automation,) = (one for one in place["sensors"] if one["name"] == "automation")
        ticks = automation["sensorState"]["ticks"]
        return [(tick["timestamp"], tick["endTimestamp"] or math.inf) for tick in ticks]

    def recorded(self, asset: str, run: str) -> tuple[float, float]:
        """When the first and the last of a run's records of an asset were made."""
        told = "assetMaterializations(limit: 100) { runId timestamp }"
        query = f'{{ assetNodes(assetKeys: [{{ path: ["{asset}"] }}]) {{ {told} }} }}'
        found = self.graphql(query)["assetNodes"][0]["assetMaterializations"]
        times = [int(one["timestamp"]) / 1000 for one in found if one["runId"] == run]
        return min(times), max(times)

    def stale(self, asset: str, day: date) -> str:
        key = f'{{ path: ["{asset}"] }}'
        query = f'{{ assetNodes(assetKeys: [{key}]) {{ staleStatus(partition: "{day}") }} }}'
        return self.graphql(query)["assetNodes"][0]["staleStatus"]

    def wait_for_rest(self, seconds: float) -> None:
        """Waits until every backfill and every run has ended well."""

        def ended() -> bool:
            assert not {"FAILURE", "CANCELED"} & set(self.runs())
            assert "COMPLETED_FAILED" not in self.backfills()
            return set(self.backfills()) <= {"COMPLETED_SUCCESS"} and set(self.runs()) == {
                "SUCCESS"
            }

        wait(ended, seconds)


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    """The UI on a home whose log has landed, under a profile whose log ends with it."""
    home = SmallHome(tmp_path_factory.mktemp("ui"))
    home.land()
    profile = home.profile_ending(LAST)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**home.environment, "EXIT_EXECUTOR": "in_process"}
    process = subprocess.Popen(
        [*COMMAND, "ui", "--profile", str(profile), "--port", str(port)],
        env=environment, cwd=home.root, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    wait(lambda: reachable(url), 120)
    yield Ui(home, url)
    end(process)


def end(process: subprocess.Popen) -> None:
    """Asks the UI to end; what has not ended by then, such as a run it started, is killed."""
    parent = psutil.Process(process.pid)
    everyone = [parent, *parent.children(recursive=True)]
    process.terminate()
    _, alive = psutil.wait_procs(everyone, timeout=20)
    for one in alive:
        one.kill()
    process.wait(20)


@pytest.fixture(scope="module")
def page(ui):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=CHROMIUM
        )
        page = browser.new_page(viewport={"width": 2400, "height": 1900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def reachable(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/server_info", timeout=2).status == 200
    except OSError:
        return False


def wait(ready, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(1)


def materialize(page, ui: Ui, asset: str, days: str | None = None) -> None:
    """Presses «Materialize» on an asset's page, and picks days if it has some."""
    page.goto(f"{ui.url}/assets/{asset}")
    page.get_by_role("button", name="Materialize").first.click()
    if days:
        page.get_by_placeholder(re.compile("^ex:")).fill(days)
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Launch").last.click()


def test_the_graph_shows_every_asset_in_its_group(ui, page):
    expanded = "%2C".join(f"global%40global%3A{group}" for group in GROUPS)
    page.goto(f"{ui.url}/asset-groups?expanded={expanded}")
    for asset in DEPENDENCIES:
        page.get_by_text(asset, exact=True).first.wait_for()
    page.screenshot(path=ui.home.root / "graph.png")


def test_materializing_all(ui, page):
    page.goto(f"{ui.url}/asset-groups")
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name="Launch backfill").click()
    wait(lambda: ui.backfills(), 180)
    ui.wait_for_rest(900)
    # No sensor took a stage that the backfill had not reached yet for one that was left behind.
    assert set(ui.runs("jobName")) == {"__ASSET_JOB"}
    assert len(ui.home.lake.days("training_set")) == SMALL.days - 1
    query = (
        "{ assetNodes { assetKey { path } staleStatus assetMaterializations(limit: 1) { runId } } }"
    )
    for node in ui.graphql(query)["assetNodes"]:
        assert node["assetMaterializations"], node
        assert node["staleStatus"] == "FRESH", node


def test_a_backfill_of_several_days_that_changes_nothing_sets_nothing_off(ui, page):
    hashes = ui.home.hashes()
    assert any(backfilled_alone(ui, page) for _ in range(3)), ui.runs("assetSelection { path }")
    assert ui.home.hashes() == hashes
    page.goto(f"{ui.url}/assets/impressions?view=partitions")
    page.get_by_text("2026-01-05").first.wait_for()
    page.screenshot(path=ui.home.root / "partitions.png")


def backfilled_alone(ui: Ui, page) -> bool:
    """Backfills the impressions of four days; whether no other run came of it.

    One may come of a tick between Dagster's record of the run and those of its days, which sees a
    version of neither (docs/decisions.md), and of nothing else.
    """
    before = len(ui.runs())
    materialize(page, ui, "impressions", f"[{SMALL.start}...{SMALL.start + timedelta(days=3)}]")
    wait(lambda: len(ui.runs()) > before, 180)
    ui.wait_for_rest(300)
    rest = time.time()
    wait(lambda: any(began > rest and ended < math.inf for began, ended in ui.ticks()), 120)
    new = ui.runs("runId")[:-before]
    if len(new) == 1:
        return True
    first, last = ui.recorded("impressions", new[-1])
    between = [tick for tick in ui.ticks() if tick[0] <= last + SEEN and tick[1] >= first]
    assert between, ("set off, though no tick fell between", first, last, ui.ticks())
    ui.wait_for_rest(300)
    return False


def test_a_single_stale_day_is_mended(ui, page):
    day = SMALL.start + timedelta(days=2)
    raise_prices(ui.home.lake.home.landing / "items")
    before = ui.home.lake.days("item_features")[day]
    materialize(page, ui, "items")
    wait(lambda: ui.stale("item_features", day) == "STALE", 300)
    materialize(page, ui, "item_features", str(day))
    wait(lambda: ui.stale("item_features", day) == "FRESH", 300)
    ui.wait_for_rest(400)
    assert ui.home.lake.days("item_features")[day] != before


def raise_prices(folder: Path) -> None:
    (file,) = folder.glob("*.parquet")
    table = pq.read_table(file)
    dearer = pc.add(table["price"], 1.0)
    pq.write_table(table.set_column(table.schema.get_field_index("price"), "price", dearer), file)
