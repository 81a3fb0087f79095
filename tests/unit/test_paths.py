"""Homes with odd names: what the engines take for URLs, patterns and columns is only a name."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FileSource, RepoConfig

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.scan import scan_sql
from exit_pipeline.features.build import FEATURE_TABLES, build_features
from exit_pipeline.lake.paths import exact, hive_value
from tests.logs import DAY, SmallLog, at, event

HOMES = ["a b", "ü", "a#b", "100%", "it's", "a*b", "user_id=zzz", "ds=2020-01-01"]


def labels(log: SmallLog) -> list[dict]:
    return log.run({
        0: [event("s", at(0), "click", domain="search"), event("e", at(0, "13:00"))],
        1: [event("c", at(1, "11:00"), "click"), event("late", at(0, "12:30"))],
        2: [],
    })  # fmt: skip


def tables(log: SmallLog) -> tuple:
    return labels(log), [
        build_features(log.connect(), log.lake, log.profile, DAY, DAY, table=table)
        for table in FEATURE_TABLES
    ]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple:
    return tables(SmallLog(tmp_path_factory.mktemp("plain")))


@pytest.mark.parametrize("name", HOMES)
def test_a_home_of_any_name_gives_the_same_labels_and_features(tmp_path, plain, name):
    if name == "a*b":
        labels(SmallLog(tmp_path / "axb" / "log"))  # what it would match too
    assert tables(SmallLog(tmp_path / name / "log")) == plain


@pytest.mark.parametrize("name", ["a?b", "a[b", "a]b", "a|b", "a^b", "a\\b", "a%20b"])
def test_a_home_that_delta_cannot_open_is_refused_before_anything_is_done(tmp_path, name):
    with pytest.raises(LakeError, match="no table or registry can lie in this folder"):
        SmallLog(tmp_path / name)


def test_patterns_and_partition_values():
    assert exact("/a[1]*/b?.parquet") == "/a[[]1][*]/b[?].parquet"
    assert hive_value("/ds=2020-01-01/t/ds=2026-01-05/p.parquet", "ds") == "2026-01-05"
    assert hive_value("/t/dds=1/ds=", "ds") is None
    assert hive_value("/t/ds=__HIVE_DEFAULT_PARTITION__/p.parquet", "ds") is None


@pytest.mark.parametrize("below", ["", "*.parquet", "f.parquet"])
def test_a_parquet_source_in_a_folder_whose_name_looks_like_a_pattern(tmp_path, below):
    for number, name in enumerate(("a[1]*=1", "a1=1")):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"x": [number]}), tmp_path / name / "f.parquet")
    source = FileSource(name="s", path=str(tmp_path / "a[1]*=1" / below), timestamp_field="x")
    config = RepoConfig(project="test", provider="local", registry="r", repo_path=tmp_path,
                        entity_key_serialization_version=3)  # fmt: skip
    assert duckdb.sql(scan_sql(source, config)).fetchall() == [(0,)]
