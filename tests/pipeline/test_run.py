"""The whole graph on a small log: what it ends in, again and again, whatever happens between."""

from __future__ import annotations

import json
import signal
import time
from copy import copy
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterRunStatus

from assets.instance import open_instance
from exit_pipeline.errors import LakeError, RegistryError, UsageError
from exit_pipeline.evaluation.metrics import auc
from exit_pipeline.features import input_spec, unit_input
from exit_pipeline.lake import Lake, connect
from exit_pipeline.lock import exclusive
from exit_pipeline.ranking.rank import Ranker
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.registry import CHAMPION, Registry
from exit_pipeline.settings import Home, load_settings
from exit_pipeline.training import split_days, train_model
from exit_pipeline.validation.verdicts import unfit
from tests.conftest import SMALL, SmallHome
from tests.pipeline.test_graph import DEPENDENCIES, GROUPS, UNPARTITIONED

# Stage, and seconds into it: each stage once, ingestion and training twice.
KILLS = [(0, 0.2), (0, 1.0), (1, 0.4), (2, 0.4), (3, 0.3), (4, 0.3), (5, 0.5), (6, 0.4), (6, 6.0)]


def champion(home: SmallHome) -> dict:
    return Registry(home.lake.home, "simulated").get("challenger").lineage


def test_ends_with_a_registered_model_and_features_online(small_home):
    versions = json.loads(small_home.run("models", "--json"))["versions"]
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


@pytest.mark.slow
def test_a_run_killed_at_each_stage_ends_as_a_run_left_alone(small_home, tmp_path):
    home = SmallHome(tmp_path)
    home.land()
    for stage, seconds in KILLS:
        process = home.start("run")
        titles = (line for line in process.stdout if line.strip())
        for _ in range(stage + 1):  # each line is the title of a stage that begins
            assert next(titles)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    home.run("run")
    with open_instance(home.lake.home) as instance:  # what died is not shown as going on
        states = {run.status for run in instance.get_runs()}
    assert states == {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE}
    assert home.hashes() == small_home.hashes()
    assert champion(home)["sha256"] == champion(small_home)["sha256"]


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
    said = [told for told in unfit(home.lake, simulated.spec) if told.startswith("events:")]
    assert said == []


def test_a_selection_that_matches_nothing_is_wrong_use(small_home):
    assert "no asset matches" in small_home.run("run", "--select", "nosuch", code=2)


@pytest.fixture(scope="module")
def ranker(small_home, simulated):
    registry = Registry(small_home.lake.home, "simulated")
    if registry.find(CHAMPION) is None:
        registry.force(1, "these tests need a champion")
    return Ranker(load_settings(home=small_home.root), small_home.lake, simulated)


OLD = timedelta(days=30)  # the TTL
USERS = ("u0000001", "u0000007", "u0000100", "nobody")


@pytest.mark.parametrize("later", [timedelta(0), OLD, OLD + timedelta(microseconds=1)])
def test_the_scorers_inputs_are_equal_offline_and_online(ranker, simulated, later):
    at = ranker.newest() + later
    items = [*ranker.catalogue()[:40], "nothing"]
    scene = {"hour_band": "night", "day_kind": "weekday", "place": "home"}
    for user in USERS:
        online, flags = ranker.rows(user, items, scene, at)
        assert ("unknown user: defaults are used" in flags) == (user == "nobody")
        offline = offline_rows(ranker, simulated, user, online, at)
        spec = input_spec(simulated.spec)
        for column in spec.columns:
            ours, theirs = (
                rows.column(column).cast(
                    pa.string() if column in spec.categorical else pa.float64()
                )
                for rows in (online, offline)
            )
            assert ours.to_pylist() == theirs.to_pylist(), column
        assert (ranker.scorer.score(online).score == ranker.scorer.score(offline).score).all()
        known = online.column("item_shown").null_count < len(items)
        assert known == (later <= OLD)


def test_rankings_at_the_edges(ranker, small_home, simulated, tmp_path):
    some = ranker.rank("u0000001", {"place": "out", "hour_band": "evening"}, k=3)
    assert [item.rank for item in some.items] == [1, 2, 3]
    everything = ranker.rank("u0000001", {}, k=10_000)
    assert sorted(item.item_id for item in everything.items) == ranker.catalogue()
    twice = ranker.rank("u0000001", {}, candidates=["i000001", "i000001", "nothing"])
    assert sorted(item.item_id for item in twice.items) == ["i000001", "nothing"]
    assert "1 unknown items: defaults are used" in twice.flags
    none = ranker.rank("u0000001", {}, candidates=[])
    assert (none.items, none.flags) == ([], ["there is no item to rank"])
    stranger = ranker.rank("nobody", {}, k=2)
    assert len(stranger.items) == 2
    assert stranger.flags == [
        "the scene has no place: taken as unknown",
        "unknown user: defaults are used",
    ]
    for scene, words in (({"place": "moon"}, "no such value"), ({"mood": "good"}, "no such scene")):
        with pytest.raises(UsageError, match=words):
            ranker.rank("u0000001", scene)
    with pytest.raises(UsageError, match="0 items"):
        ranker.rank("u0000001", {}, k=0)
    with pytest.raises(RegistryError, match="champion"):
        Ranker(ranker.settings, Lake(load_settings(home=tmp_path).home_of("new")), simulated)


def test_a_catalogue_of_no_items(ranker, small_home, simulated, tmp_path):
    empty = Lake(Home(tmp_path))
    with connect(ranker.settings, empty.home) as connection:
        small_home.lake.view(connection, "item_features")
        connection.execute("create temp table none as from item_features limit 0")
        day = small_home.lake.days("item_features")
        empty.replace(connection, "item_features", "none", [max(day)])
    nothing = copy(ranker)
    nothing.lake = empty
    ranking = nothing.rank("u0000001", {})
    assert (ranking.items, ranking.flags) == ([], ["there is no item to rank"])


def offline_rows(ranker, profile, user, online, at):
    """The same rows by the training set's point-in-time join."""
    from exit_pipeline.features.training_set import state_features

    context = ["hour_band", "day_kind", *profile.spec.context]
    entity = pa.table(
        {
            **{name: online.column(name) for name in ("user_id", "item_id", "unit", *context)},
            "cell": pa.array(["night|home"] * online.num_rows),
            "event_timestamp": pa.array([at] * online.num_rows, pa.timestamp("us", "UTC")),
        }
    )
    job = ranker.store.get_historical_features(
        entity_df=entity.to_pandas(), features=ranker.store.get_feature_service("ranking")
    )
    batch = job.to_arrow().combine_chunks().to_batches()[0]
    for name, values in state_features(batch, profile.spec).items():
        batch = batch.append_column(name, values)
    return batch


@pytest.fixture(scope="module")
def parts(small_home, simulated):
    return parts_of(small_home, simulated)


def parts_of(home: SmallHome, profile) -> dict[str, pa.Table]:
    """The training set's parts, by name."""
    days = [day for day, state in home.lake.days("training_set").items() if state.rows]
    split = split_days(days, profile.spec.split, 1)
    tables = {}
    for part in ("train", "validation", "calibration"):
        chosen = getattr(split, part)
        files = home.lake.files("training_set", [("ds", ">=", chosen[0]), ("ds", "<=", chosen[-1])])
        tables[part] = ds.dataset(files).to_table()
    return tables


def validation_auc(tables, spec, folder):
    files = {}
    for part, table in tables.items():
        file = folder / f"{part}.parquet"
        pq.write_table(table, file)
        files[part] = [str(file)]
    model = train_model(
        "exit", input_spec(spec), files, unit_input(spec),
        spec.model, spec.training.model_copy(update={"epochs": 3}), scratch=folder / "rows",
    )  # fmt: skip
    score = Scorer(model).score(tables["validation"]).score
    return auc(np.asarray(tables["validation"]["y"]).astype(float), score)


def test_a_shuffled_target_teaches_nothing(parts, simulated, tmp_path):
    rng = np.random.default_rng(0)
    shuffled = {
        part: table.set_column(
            table.schema.get_field_index("y"), "y",
            pa.array(rng.permutation(np.asarray(table["y"]))),
        )
        for part, table in parts.items()
    }  # fmt: skip
    found = validation_auc(shuffled, simulated.spec, tmp_path)
    positives = int(np.asarray(shuffled["validation"]["y"]).sum())
    assert abs(found - 0.5) < 3 * 0.29 / positives**0.5


def test_a_planted_future_signal_does_not_lift_auc(small_home, parts, simulated, tmp_path):
    """A search click right after each exposure that was clicked, in the log of every day."""
    home = SmallHome(tmp_path / "home")
    home.land()
    clicks = clicked_exposures(small_home)
    for folder in (home.lake.home.landing / "events").glob("ds=*"):
        plant(folder / "part-0.parquet", clicks)
    home.run("run", "--select", "group:ingest, group:labels, group:features")
    planted = parts_of(home, simulated)
    told = np.asarray(planted["validation"]["ahead_search"]).astype(float)
    y = np.asarray(planted["validation"]["y"]).astype(float)
    assert auc(y, told) > 0.9  # who looked ahead would know
    before = validation_auc(parts, simulated.spec, tmp_path)
    assert validation_auc(planted, simulated.spec, tmp_path) < before + 0.03


def clicked_exposures(home: SmallHome) -> pa.Table:
    impressions = ds.dataset(home.lake.files("impressions")).to_table()
    return impressions.filter(pc.equal(impressions["y_click"], 1)).select(["event_id"])


def plant(file, clicks):
    """Adds to a landing file a search click a second after each of its clicked exposures."""
    table = pq.read_table(file, partitioning=None)
    at = pc.is_in(table["event_id"], clicks["event_id"].combine_chunks())
    shown = table.filter(pc.and_(at, pc.equal(table["event_type"], "impression")))
    n = shown.num_rows
    columns = {
        "event_id": pc.binary_join_element_wise("spy", shown["event_id"], "-"),
        "ts": pc.add(shown["ts"], pa.scalar(1_000_000, pa.duration("us"))),
        "domain": pa.array(["search"] * n),
        "event_type": pa.array(["click"] * n),
        "request_id": pa.nulls(n, pa.string()),
    }
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        shown = shown.set_column(index, name, values)
    pq.write_table(pa.concat_tables([table, shown.cast(table.schema)]), file)
