"""The whole graph on a small log: what it ends in, again and again, whatever happens between."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from dagster import AssetKey, AssetRecordsFilter

from assets.instance import open_instance
from exit_pipeline.errors import LakeError
from exit_pipeline.lock import exclusive
from exit_pipeline.validation.verdicts import failed_checks
from tests.conftest import SMALL, SmallHome
from tests.pipeline.test_graph import DEPENDENCIES, GROUPS, UNPARTITIONED


def test_ends_with_a_registered_model_and_features_online(small_home):
    versions = json.loads(small_home.ask("models", "--json"))["versions"]
    assert versions[0]["decision"] in ("promoted", "refused")
    assert versions[0]["reason"]
    assert set(versions[0]) >= {"version", "aliases", "metrics", "decision", "reason"}
    assert (small_home.lake.home.feast / "online.db").exists()


def test_rows_are_accounted_for(small_home, simulated):
    read = sum(
        ds.dataset(small_home.lake.home.landing / "events" / f"ds={day}").count_rows()
        for day in small_home.lake.days("events")
    )
    stored = sum(s.rows for s in small_home.lake.days("events").values())
    broken = sum(s.rows for s in small_home.lake.days("quarantine").values())
    assert 0 < broken < 0.01 * read
    assert 0 < read - stored - broken < 0.01 * read  # the planted repeats


def test_labels_find_the_planted_truth(small_home):
    late = [("ds", ">=", SMALL.start + timedelta(days=SMALL.days - 4))]  # with some history
    labels = ds.dataset(small_home.lake.files("icl_labels", late)).to_table()
    truth = ds.dataset(small_home.lake.home.landing / "truth" / "exposures").to_table()
    at = pc.index_in(labels["event_id"], truth["event_id"].combine_chunks())
    assert at.null_count == 0
    carried = np.asarray(truth.take(at)["transfer_search"])
    shown = np.asarray(labels["ys_search"]) == 1
    lift = np.asarray(labels["lift_search"].to_numpy())
    known = shown & np.isfinite(lift)
    assert lift[known & (carried > 0.5)].mean() > 1.2 * lift[known & (carried < 0.1)].mean()


def test_running_again_changes_no_table(small_home):
    before = {name: small_home.lake.version(name) for name in small_home.hashes()}
    hashes = small_home.hashes()
    small_home.run("run", "--select", "group:ingest, group:labels")
    assert small_home.hashes() == hashes
    assert {name: small_home.lake.version(name) for name in hashes} == before


def test_each_day_has_its_content_as_data_version_and_every_column_its_lineage(small_home):
    with open_instance(small_home.lake.home) as instance:
        for table in (set(DEPENDENCIES) - UNPARTITIONED) | {"items", "users"}:
            told = instance.get_latest_materialization_event(AssetKey(table)).asset_materialization
            columns = {c.name for c in told.metadata["dagster/column_schema"].schema.columns}
            if table not in GROUPS["ingest"]:
                lineage = told.metadata["dagster/column_lineage"].value.deps_by_column
                assert set(lineage) == columns, table
                read = {dep.asset_key.path[-1] for deps in lineage.values() for dep in deps}
                assert read <= DEPENDENCIES[table], table
            for day, state in small_home.lake.days(table).items():
                if table not in UNPARTITIONED:
                    seen = AssetRecordsFilter(AssetKey(table), asset_partitions=[day.isoformat()])
                    (record,) = instance.fetch_materializations(seen, limit=1).records
                    version = record.asset_materialization.tags["dagster/data_version"]
                    assert version == state.hash, (table, day)


def test_two_runs_at_a_time_are_refused(small_home):
    with exclusive(small_home.lake.home.dagster / "run.lock", 0, LakeError("busy")):
        said = small_home.run("run", code=1)
    assert "another run is going on" in said
    assert "mend:" in said


@pytest.mark.slow
def test_a_missing_day_holds_up_what_it_would_mature_until_it_lands(tmp_path, simulated):
    home = SmallHome(tmp_path)
    home.land()
    missing = SMALL.start + timedelta(days=4)
    folder = home.lake.home.landing / "events" / f"ds={missing}"
    away = folder.rename(tmp_path / "away")
    home.run("run", "--select", "group:ingest, impressions")
    days = [SMALL.start + timedelta(days=n) for n in range(SMALL.days)]
    assert sorted(home.lake.days("events")) == [day for day in days if day != missing]
    assert max(home.lake.days("impressions")) == days[2]
    away.rename(folder)
    home.run("run", "--from", str(missing), "--to", str(missing), "--select",
             "group:ingest, impressions")  # fmt: skip
    assert sorted(home.lake.days("impressions")) == days[:-1]
    # Days after it were read again; what validation said of them is of their content now.
    said = [told for told in failed_checks(home.lake, simulated.spec) if told.startswith("events:")]
    assert said == []


def test_a_selection_that_matches_nothing_is_wrong_use(small_home):
    assert "no asset matches" in small_home.run("run", "--select", "nosuch", code=2)


def test_a_run_that_trains_nothing_tells_of_no_model(small_home):
    told = json.loads(small_home.run("run", "--select", "items", "--json"))
    days = f"{SMALL.start} … {SMALL.start + timedelta(days=SMALL.days - 1)}"
    assert told == {"profile": "simulated", "stages": [f"items · {days}"], "model": None}
