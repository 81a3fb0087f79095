"""The report of a version that the graph trained: written, kept with the version, the same again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from dagster import AssetKey

from assets.instance import open_instance
from exit_pipeline.errors import ProfileError, RegistryError
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.registry import Registry
from exit_pipeline.report import build_report, write_report
from exit_pipeline.settings import load_settings
from tests.unit.test_report import Page


def test_the_graph_writes_a_page_that_needs_nothing_else(small_home):
    with open_instance(small_home.lake.home) as instance:
        told = instance.get_latest_materialization_event(AssetKey("transfer_report"))
    metadata = told.asset_materialization.metadata
    page = Path(metadata["page"].value)
    assert page == small_home.lake.home.reports / "transfer" / "v1.html"
    read = Page(page.read_text("utf-8"))
    assert read.stack == []
    assert read.outside == []
    assert "version 1" in read.text
    assert "| search |" in metadata["preview"].value


def test_the_command_writes_it_and_the_version_keeps_a_copy(small_home):
    told = json.loads(small_home.ask("report", "1", "--json"))
    assert told["version"] == 1
    assert "interest carry over to feed" in told["headline"]
    registry = Registry(small_home.lake.home, "simulated")
    run_id = registry.client.get_model_version(registry.name, "1").run_id
    kept = registry.client.download_artifacts(run_id, "transfer/v1.html")
    assert Path(kept).read_bytes() == Path(told["page"]).read_bytes()


def test_the_same_version_gives_the_same_bytes_and_figures_of_its_evaluation_days(
    small_home, simulated
):
    lake, settings = small_home.lake, load_settings(home=small_home.root)
    reports = [build_report(settings, lake, simulated, 1) for _ in range(2)]
    first, second = (write_report(lake, report).read_bytes() for report in reports)
    assert first == second
    report = reports[0]
    shown = report.scored["model"].shown
    assert {m.source: m.whole.rows for m in report.maps} == shown
    for found in report.maps:
        ratio, whole = report.scored["model"].transfer[found.source], found.whole
        assert (whole.label == 0) == (ratio is None)
        assert ratio is None or whole.learned == pytest.approx(ratio * whole.label, rel=1e-3)


def test_a_policy_changes_what_is_said_of_rules_and_nothing_that_was_learned(small_home, simulated):
    lake, settings = small_home.lake, load_settings(home=small_home.root)

    def build(*rules):
        spec = simulated.spec.model_copy(update={"policy": rules})
        return build_report(settings, lake, replace(simulated, spec=spec), 1)

    free, ruled = build(), build(RuleSpec(source="search", cap=0.1, reason="a test"))
    assert free.cost is None
    assert ruled.cost.governed == ruled.cost.rows == ruled.cost.rules[0].rows
    assert ruled.cost.under["expected"] != ruled.cost.without["expected"]
    for found, before in zip(ruled.maps, free.maps, strict=True):
        effects = {cell.ruled for cell in found.cells.values()}
        assert effects == ({"capped"} if found.source == "search" else {""})
        none = {"governed": 0, "effects": (), "rules": ()}
        plain = {key: replace(cell, **none) for key, cell in found.cells.items()}
        assert plain == {key: replace(cell, **none) for key, cell in before.cells.items()}
    with pytest.raises(ProfileError, match="did you mean 'novels'"):
        build(RuleSpec(unit="novel", forbid=True, reason="a test"))


def test_a_version_that_is_not_there_is_named(small_home):
    with pytest.raises(RegistryError, match="no version or alias '99'"):
        small_home.ask("report", "99")
