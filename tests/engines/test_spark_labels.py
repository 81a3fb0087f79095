"""Spark makes the label tables that DuckDB makes, row for row and to the last bit."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from exit_pipeline.cli.main import app
from exit_pipeline.labels import (
    build_group_consistency,
    build_icl_labels,
    build_impressions,
    build_source_interest,
)
from exit_pipeline.lake import Lake
from exit_pipeline.settings import Home
from exit_pipeline.simulator import SimulationConfig, simulate
from tests.logs import DAY, PROFILE, SmallLog
from tests.unit.test_labels_oracle import random_log

DAYS = 8
BUILDS = (build_impressions, build_source_interest, build_group_consistency, build_icl_labels)
TABLES = ("impressions", "source_interest", "group_sums", "group_consistency", "icl_labels")


# The definition `rate` here, as the command below labels by `lift`; the lifts are columns in both.
RULE = """
labels:
  interest_hours: 36
  consistency: {definition: rate, min_rate_support: 3, own_response_days: 5}
landing: {broken_share: 0.1}
"""


def copy_of(lake: Lake, home: Home, tables: tuple[str, ...]) -> Lake:
    """A lake with some of another's tables."""
    other = Lake(home)
    for table in tables:
        shutil.copytree(lake.folder(table), other.folder(table))
    return other


def test_label_tables_of_a_random_log_are_equal(spark, tmp_path):
    log = SmallLog(tmp_path / "log", PROFILE.replace("[search, channel]", "[search]") + RULE)
    log.run(random_log(1, DAYS, 400, ("search",)))
    other = copy_of(log.lake, Home(tmp_path / "other"), ("events", "items", "users"))
    last = DAY + timedelta(days=DAYS - 2)
    for build in BUILDS:
        build(spark, other, log.profile, DAY, last)
    for table in TABLES:
        assert other.columns(table) == log.lake.columns(table)
        assert other.days(table) == log.lake.days(table), table


@pytest.mark.slow
def test_the_command_labels_a_simulated_log_alike_on_spark(spark, tmp_path):
    landing, out = tmp_path / "landing", tmp_path / "a b" / "100% {x}"
    simulate(SimulationConfig(days=6, users=60, items=40, seed=3), landing)
    out.mkdir(parents=True)
    inputs = [f"--{table}={landing / table}" for table in ("events", "items", "users")]
    for engine in ("duckdb", "spark"):
        arguments = ["labels", *inputs, f"--out={out / engine}", f"--engine={engine}", "--json"]
        told = CliRunner().invoke(app, arguments)
        assert told.exit_code == 0, told.output
        assert json.loads(told.stdout)["rows"] > 500
    files = sorted(file.name for file in (out / "duckdb").iterdir())
    assert files == sorted(file.name for file in (out / "spark").iterdir())
    for name in files:
        assert pq.read_table(out / "spark" / name).equals(pq.read_table(out / "duckdb" / name))
    assert sorted(path.name for path in out.iterdir()) == ["duckdb", "spark"]
