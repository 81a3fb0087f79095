"""The assets fill their tables with the engine of the settings."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

from dagster import materialize

from assets import run
from assets.features import ASSETS as FEATURES
from assets.labels import ASSETS as LABELS
from assets.plan import Stage
from assets.resources import Pipeline
from exit_pipeline.lake import table
from exit_pipeline.settings import load_settings
from tests.logs import DAY, SmallLog, at, event


def test_spark_is_started_once_for_all_stages_of_a_run(tmp_path, monkeypatch, simulated):
    told = []

    @contextmanager
    def engine(self):
        told.append("started")
        yield
        told.append("stopped")

    for name, pipeline in {
        name: Pipeline(load_settings(home=tmp_path, engine=name), simulated)
        for name in ("duckdb", "spark")
    }.items():
        monkeypatch.setattr(run, "PIPELINE", pipeline)
        monkeypatch.setattr(Pipeline, "engine", engine)
        monkeypatch.setattr(run, "_materialize", lambda stage, instance: told.append(stage.assets))
        told.append(name)
        for tables in (("item_features", "icl_labels"), ("items", "users")):
            plan = [Stage((table,)) for table in tables]
            run._run(plan, set(tables), lambda stage: None)
    filled, others = [("item_features",), ("icl_labels",)], [("items",), ("users",)]
    by_spark = ["started", *filled, "stopped", *others]
    assert told == ["duckdb", *filled, *others, "spark", *by_spark]


def test_labels_and_features_of_a_day_are_filled_by_spark(spark, tmp_path, monkeypatch):
    log = SmallLog(tmp_path / "log")
    for day in range(4):
        log.land(
            day, [event(f"e{day}", at(day)), event(f"s{day}", at(day), "click", domain="search")]
        )
    log.ingest(0, 3)
    handed = []
    in_duckdb = table.in_duckdb
    monkeypatch.setattr(
        table, "in_duckdb", lambda engine, name: handed.append(engine) or in_duckdb(engine, name)
    )
    pipeline = Pipeline(log.settings.model_copy(update={"engine": "spark"}), log.profile)
    for asset in (*LABELS, *FEATURES):
        if asset.key.path[-1] in ("impressions", "item_features"):
            day = str(DAY + timedelta(days=1))
            assert materialize([asset], partition_key=day, resources={"pipeline": pipeline}).success
    assert [type(engine).__name__ for engine in handed] == ["SparkEngine", "SparkEngine"]
    assert [row["event_id"] for row in log.rows("impressions")] == ["e1"]
    assert len(log.rows("item_features")) == len(log.items)
