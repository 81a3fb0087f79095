"""The offline store: point-in-time joins on rows that can be checked by eye, and against Feast's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int64, String
from feast.value_type import ValueType

from exit_pipeline.errors import LakeError, UsageError
from exit_pipeline.feast_stores import offline
from exit_pipeline.feast_stores.join import View, make_views
from exit_pipeline.feast_stores.scan import scan_sql
from exit_pipeline.feast_stores.source import DeltaSource
from exit_pipeline.lake import Lake, connect
from exit_pipeline.lock import exclusive
from exit_pipeline.settings import load_settings
from tests.logs import give_deletion_vectors

OURS = {"type": "exit_pipeline.feast_stores.offline.DuckDBAsofOfflineStore"}
T0 = datetime(2026, 1, 5, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)


def hours(n: float, us: int = 0) -> datetime:
    return T0 + timedelta(hours=n, microseconds=us)


def open_store(folder, views, offline=OURS) -> FeatureStore:
    config = RepoConfig(
        project="test", provider="local", repo_path=folder,
        registry={"registry_type": "file", "path": str(folder / f"registry-{offline['type'][:6]}.db")},
        offline_store=offline, entity_key_serialization_version=3,
        online_store={"type": "exit_pipeline.feast_stores.online.LatestWinsSqliteOnlineStore",
                      "path": str(folder / "online.db")},
        materialization={"pull_latest_features": True},
    )  # fmt: skip
    store = FeatureStore(config=config)
    store.apply([USER, ITEM, *views])
    return store


def view(name, source, entities, fields, ttl=None) -> FeatureView:
    keys = [Field(name=e.join_key, dtype=String) for e in entities]
    return FeatureView(
        name=name, entities=entities, schema=[*keys, *fields], source=source, ttl=ttl
    )


SCHEMA = pa.schema([
    ("user_id", pa.string()), ("event_timestamp", pa.timestamp("us", "UTC")),
    ("created", pa.timestamp("us", "UTC")), ("score", pa.int64()), ("tags", pa.list_(pa.string())),
])  # fmt: skip


@pytest.fixture
def store(tmp_path):
    """Features of a: 1 at 0 h, then at 2 h three values, of which 3 was created last, at 5 h."""
    rows = [("a", hours(0), hours(0), 1, ["x"]), ("a", hours(2), hours(2), 2, []),
            ("a", hours(2), hours(5), 3, ["y", "z"]), ("b|1", hours(1), hours(1), 9, None)]  # fmt: skip
    table = pa.table(
        [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), SCHEMA, strict=True)], SCHEMA
    )
    write_deltalake(str(tmp_path / "scores"), table)
    source = DeltaSource(name="scores", path=str(tmp_path / "scores"),
                         timestamp_field="event_timestamp", created_timestamp_column="created")  # fmt: skip
    fields = [Field(name="score", dtype=Int64), Field(name="tags", dtype=Array(String))]
    scores = view("scores", source, [USER], fields, timedelta(hours=10))
    return open_store(tmp_path, [scores])


def ask(store, rows, **options):
    frame = pd.DataFrame(rows, columns=["user_id", "event_timestamp"])
    job = store.get_historical_features(frame, features=["scores:score", "scores:tags"], **options)
    return job.to_arrow()


@pytest.mark.parametrize(("first", "last", "read"), [
    (hours(3), hours(4), 4), (hours(10), hours(12), 4), (hours(10, 1), hours(20), 3),
    (hours(12, 1), hours(13), 0), (hours(0), hours(1), 2), (hours(0), hours(1, -1), 1),
])  # fmt: skip
def test_no_more_history_is_read_than_can_count(store, first, last, read):
    frame = pd.DataFrame([("a", first), ("b|1", last)], columns=["user_id", "event_timestamp"])
    job = store.get_historical_features(frame, features=["scores:score"])
    with job._open() as connection:
        job._plan(connection)
        assert connection.execute("select count(*) from v0").fetchone() == (read,)


def test_many_files_are_numbered_alike_by_both_reads_and_read_within_the_span_that_counts(tmp_path):
    for n in range(20):
        day = pa.table({"user_id": ["a", "b"], "event_timestamp": [hours(24 * n)] * 2,
                        "score": [n, -n]})  # fmt: skip
        pq.write_table(day, tmp_path / f"part-{n:02d}.parquet", row_group_size=1)
    source = FileSource(name="s", path=str(tmp_path / "*.parquet"),
                        timestamp_field="event_timestamp")  # fmt: skip
    fields, ttl = [Field(name="score", dtype=Int64)], timedelta(days=1)
    store = open_store(tmp_path, [view("s", source, [USER], fields, ttl)])
    asked = [("b", hours(24 * 9 + 1)), ("a", hours(24 * 7 - 1)), ("a", hours(24 * 9))]
    frame = pd.DataFrame(asked, columns=["user_id", "event_timestamp"])
    job = store.get_historical_features(frame, features=["s:score"])
    assert job.to_arrow()["score"].to_pylist() == [-9, 6, 9]
    (known,) = make_views(store.config, [store.get_feature_view("s")], ["s:score"], False, False)
    steps = known.steps(10**15, 2 * 10**15)
    for letter in "vf":
        assert f"make_timestamptz({10**15 - 86_400_000_000})" in steps[letter]
        assert f"make_timestamptz({2 * 10**15})" in steps[letter]


def test_files_that_are_replaced_while_they_are_read_are_refused(tmp_path, monkeypatch):
    rows = pa.table({"user_id": ["a"], "event_timestamp": [hours(0)], "score": [1]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    source = FileSource(name="s", path=str(tmp_path / "rows.parquet"),
                        timestamp_field="event_timestamp")  # fmt: skip
    store = open_store(tmp_path, [view("s", source, [USER], [Field(name="score", dtype=Int64)])])
    frame = pd.DataFrame([("a", hours(1))], columns=["user_id", "event_timestamp"])
    job = store.get_historical_features(frame, features=["s:score"])
    steps = View.steps

    def meanwhile(self, *span):
        for letter, query in steps(self, *span).items():
            if letter == "f":
                other = rows.set_column(1, "event_timestamp", pa.array([hours(0.5)]))
                pq.write_table(other, tmp_path / "rows.parquet")
            yield letter, query

    monkeypatch.setattr(View, "steps", lambda *a: Mock(items=lambda: meanwhile(*a)))
    with pytest.raises(LakeError, match="replaced while they were read"):
        job.to_arrow()


@pytest.mark.parametrize("name", ["__id", "__ID", "file_index", "file_row_number"])
def test_a_source_with_a_column_that_the_join_adds_is_refused(tmp_path, name):
    rows = pa.table({"user_id": ["a"], "event_timestamp": [hours(0)], "score": [1], name: [7]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    source = FileSource(name="s", path=str(tmp_path / "rows.parquet"),
                        timestamp_field="event_timestamp")  # fmt: skip
    store = open_store(tmp_path, [view("s", source, [USER], [Field(name="score", dtype=Int64)])])
    frame = pd.DataFrame([("a", hours(1))], columns=["user_id", "event_timestamp"])
    with pytest.raises(UsageError, match=f"named as those that a join adds: {name}"):
        store.get_historical_features(frame, features=["s:score"])


@pytest.mark.parametrize(("at", "score"), [
    (hours(0, -1), None), (hours(0), 1), (hours(2, -1), 1),
    (hours(2), 3),  # of equal times the latest created
    (hours(12), 3), (hours(12, 1), None),  # the TTL includes its last microsecond
])  # fmt: skip
def test_the_newest_row_within_the_ttl(store, at, score):
    assert ask(store, [("a", at)])["score"].to_pylist() == [score]


@pytest.mark.parametrize(("at", "score"), [(hours(2), 2), (hours(5, -1), 2), (hours(5), 3)])
def test_a_correction_never_reaches_an_earlier_row(store, at, score):
    found = ask(store, [("a", at)], filter_by_created_timestamp=True)
    assert found["score"].to_pylist() == [score]


def test_rows_keep_their_order_and_number_and_unknown_keys_are_null(store):
    rows = [("nobody", hours(3)), ("a", hours(3)), (None, hours(3)), ("a", hours(1)),
            ("b|1", hours(1)), ("a", hours(3)), ("b", hours(1))]  # fmt: skip
    found = ask(store, rows)
    assert found["user_id"].to_pylist() == [user for user, _ in rows]
    assert found["score"].to_pylist() == [None, 3, None, 1, 9, 3, None]
    assert found["tags"].to_pylist()[1] == ["y", "z"]


def test_entity_tables_of_every_kind(store, tmp_path):
    table = pa.table({"user_id": ["a", "a"], "event_timestamp": pa.array([hours(1), hours(3)])})
    pq.write_table(table, tmp_path / "rows.parquet")
    features = ["scores:score"]
    sql = f"select * from read_parquet('{tmp_path}/rows.parquet')"
    for entity in (table.to_pandas(), str(tmp_path / "rows.parquet"), sql):
        job = store.get_historical_features(entity, features=features)
        assert job.to_arrow()["score"].to_pylist() == [1, 3]
    naive = table.to_pandas().assign(
        event_timestamp=lambda f: f["event_timestamp"].dt.tz_localize(None)
    )
    assert store.get_historical_features(naive, features=features).to_df()["score"].tolist() == [
        1,
        3,
    ]


@pytest.mark.parametrize(
    "text",
    ["({select})", "-- rows\n{select}", "/* rows */ {select} -- all;", "{select};", "{select}; -- é;\n;",
     "with r as ({select}) from r where user_id <> 'a;b -- c'", "\n from ({select}) ;"],
)  # fmt: skip
def test_a_query_however_it_is_written(store, text):
    select = f"select 'a' as user_id, timestamptz '{hours(3)}' as event_timestamp"
    job = store.get_historical_features(text.format(select=select), features=["scores:score"])
    assert job.to_arrow()["score"].to_pylist() == [3]


@pytest.mark.parametrize(
    ("text", "words"),
    [("select 1; select 2", "not one query"), ("drop table x", "not one query"), ("", "not one query"),
     ("select from where", "cannot be read"), ("(select 1", "cannot be read")],
)  # fmt: skip
def test_text_that_is_no_entity_table(store, text, words):
    with pytest.raises(UsageError, match=words):
        store.get_historical_features(text, features=["scores:score"]).to_arrow()


def test_an_entity_column_named_as_a_feature(store):
    frame = pd.DataFrame({"user_id": ["a"], "event_timestamp": [hours(3)], "Score": [7]})
    with pytest.raises(UsageError, match="named as requested features: score"):
        store.get_historical_features(frame, features=["scores:score"]).to_arrow()
    job = store.get_historical_features(frame, features=["scores:score"], full_feature_names=True)
    assert job.to_arrow()["scores__score"].to_pylist() == [3]


def test_a_day_of_the_lake_that_got_rows_from_elsewhere_is_built_anew(tmp_path):
    day, other = date(2026, 1, 5), date(2026, 1, 6)
    lake = Lake(load_settings(home=tmp_path).home_of("small"))
    with connect(load_settings(home=tmp_path), lake.home) as connection:
        rows = "select * from (values ('a', date '2026-01-05'), ('b', '2026-01-06')) t(user_id, ds)"
        connection.execute(f"create temp table built as {rows}")
        states = lake.replace(connection, "users_by_day", "built", [day, other])
        more = pa.table({"user_id": ["z", "z"], "ds": [day, day]})
        folder = lake.folder("users_by_day")
        told = offline._changed_days(folder, more)
        write_deltalake(str(folder), more, mode="append", commit_properties=told)
        found = lake.days("users_by_day")
        assert (found[day].rows, found[other]) == (3, states[other])
        assert found[day].hash != states[day].hash
        assert lake.replace(connection, "users_by_day", "built", [day, other]) == states
        assert lake.days("users_by_day") == states
        assert sum(pq.read_metadata(f).num_rows for f in lake.files("users_by_day")) == 2


@pytest.mark.parametrize("column", ["country", "number"])
def test_a_table_that_is_partitioned_by_no_date_is_refused(tmp_path, column):
    table = pa.table({"user_id": ["a"], "event_timestamp": [hours(0)], "score": [1],
                      "country": ["DE"], "number": [7]})  # fmt: skip
    write_deltalake(str(tmp_path / "odd"), table, partition_by=[column])
    source = DeltaSource(name="odd", path=str(tmp_path / "odd"), timestamp_field="event_timestamp")
    with pytest.raises(UsageError, match=f"partitioned by '{column}', which is no date"):
        scan_sql(source, Mock(offline_store=Mock(versions={})))


def test_a_file_source_elsewhere_is_refused():
    source = FileSource(name="far", path="s3://bucket/x.parquet", timestamp_field="t")
    with pytest.raises(UsageError, match="'far' is not on this machine"):
        scan_sql(source, Mock(repo_path="."))


def test_appending_waits_for_the_lakes_writer(store, tmp_path, monkeypatch):
    row = pd.DataFrame({"user_id": ["c"], "event_timestamp": [hours(1)], "created": [hours(1)],
                        "score": [4], "tags": [["x"]]})  # fmt: skip
    monkeypatch.setattr(offline, "LOCK_SECONDS", 0.1)
    refusal = LakeError("the test holds it")
    with (
        exclusive(tmp_path / ".locks" / "scores", 0, refusal),
        pytest.raises(LakeError, match="another run has been writing 'scores'"),
    ):
        store.write_to_offline_store("scores", row)
    store.write_to_offline_store("scores", row)
    assert ask(store, [("c", hours(2))])["score"].to_pylist() == [4]


def test_streaming_and_parquet(store, tmp_path):
    frame = pd.DataFrame({"user_id": ["a"] * 5, "event_timestamp": [hours(n) for n in range(5)]})
    job = store.get_historical_features(frame, features=["scores:score"])
    with job.stream(2) as reader:
        assert reader.read_all()["score"].to_pylist() == [1, 1, 3, 3, 3]
    job.to_parquet(tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["score"].to_pylist() == [1, 1, 3, 3, 3]
    with pytest.raises(UsageError, match="there already"):
        job.to_parquet(tmp_path / "out.parquet")


@pytest.mark.parametrize("column", ["user_id", "event_timestamp"])
def test_a_missing_column_is_named(store, column):
    frame = pd.DataFrame({"user_id": ["a"], "event_timestamp": [hours(1)]}).drop(columns=column)
    with pytest.raises(UsageError, match=column):
        store.get_historical_features(frame, features=["scores:score"]).to_arrow()


def test_full_names_field_mapping_and_two_keys_that_do_not_swap(tmp_path):
    rows = pa.table({
        "user_id": ["1", "11"], "item_id": ["11", "1"], "when": pa.array([hours(0), hours(0)]),
        "raw": [1.0, 2.0],
    })  # fmt: skip
    pq.write_table(rows, tmp_path / "pairs.parquet")
    source = FileSource(name="pairs", path=str(tmp_path / "pairs.parquet"), timestamp_field="when",
                        field_mapping={"raw": "rate"})  # fmt: skip
    store = open_store(
        tmp_path, [view("pairs", source, [USER, ITEM], [Field(name="rate", dtype=Float64)])]
    )
    frame = pd.DataFrame({"user_id": ["1", "11", "1"], "item_id": ["11", "1", "1"],
                          "event_timestamp": [hours(1)] * 3})  # fmt: skip
    job = store.get_historical_features(frame, features=["pairs:rate"], full_feature_names=True)
    assert job.to_arrow()["pairs__rate"].to_pylist() == [1.0, 2.0, None]


def test_on_demand_views(store):
    scores = store.get_feature_view("scores")

    @on_demand_feature_view(
        sources=[scores], schema=[Field(name="twice", dtype=Int64)], mode="pandas"
    )
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"twice": inputs["score"] * 2})

    store.apply([doubled])
    frame = pd.DataFrame({"user_id": ["a"], "event_timestamp": [hours(3)]})
    job = store.get_historical_features(frame, features=["scores:score", "doubled:twice"])
    assert job.to_df()["twice"].tolist() == [6]
    with pytest.raises(UsageError, match="cannot be streamed"), job.stream():
        pass


def test_equal_to_feasts_own_duckdb_store(tmp_path):
    rng = np.random.default_rng(0)
    n = 4000
    table = pa.table({
        "user_id": np.char.add("u", rng.integers(60, size=n).astype(str)),
        "event_timestamp": pa.array([hours(int(h)) for h in rng.integers(0, 400, n)]),
        "created": pa.array([hours(0, int(i)) for i in rng.permutation(n)]),
        "score": rng.random(n),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "scores.parquet")
    source = FileSource(name="scores", path=str(tmp_path / "scores.parquet"),
                        timestamp_field="event_timestamp", created_timestamp_column="created")  # fmt: skip
    rows = pd.DataFrame({
        "event_id": range(1500),
        "user_id": np.char.add("u", rng.integers(70, size=1500).astype(str)),
        "event_timestamp": [hours(int(h)) for h in rng.integers(0, 450, 1500)],
    })  # fmt: skip
    found = []
    for kind in (OURS, {"type": "duckdb"}):
        fields = [Field(name="score", dtype=Float64)]
        store = open_store(
            tmp_path, [view("scores", source, [USER], fields, timedelta(hours=48))], kind
        )
        frame = store.get_historical_features(rows, features=["scores:score"]).to_df()
        found.append(frame.sort_values("event_id")["score"].to_numpy())
    ours, theirs = found
    np.testing.assert_array_equal(ours, theirs)
    assert np.isnan(ours).any()
    assert not np.isnan(ours).all()


def test_a_source_survives_the_registry(store, tmp_path):
    source = store.get_feature_view("scores").batch_source
    assert isinstance(source, DeltaSource)
    assert source == DeltaSource.from_proto(source.to_proto())
    gone = DeltaSource(name="gone", path=str(tmp_path / "gone"), timestamp_field="t")
    with pytest.raises(LakeError, match="has no Delta table"):
        gone.files()


def test_a_table_with_deletion_vectors_is_refused(store, tmp_path):
    give_deletion_vectors(tmp_path / "scores")
    with pytest.raises(LakeError, match="deletion vectors"):
        store.get_feature_view("scores").batch_source.validate(store.config)


def test_materialized_values_are_never_overwritten_by_older_ones(store):
    def online(user):
        return store.get_online_features(["scores:score"], [{"user_id": user}]).to_dict()["score"][
            0
        ]

    store.materialize(hours(-1), hours(3), feature_views=["scores"])
    assert (online("a"), online("b|1"), online("nobody")) == (3, 9, None)
    older = pd.DataFrame({"user_id": ["a"], "event_timestamp": [hours(1)], "created": [hours(9)],
                          "score": [77], "tags": [["old"]]})  # fmt: skip
    store.write_to_online_store("scores", older)
    assert online("a") == 3
    store.write_to_online_store("scores", older.assign(event_timestamp=[hours(4)]))
    assert online("a") == 77
    for us, score in ((2, 5), (1, 6)):  # times are told apart to the microsecond
        store.write_to_online_store(
            "scores", older.assign(event_timestamp=[hours(4, us)], score=[score])
        )
    assert online("a") == 5
