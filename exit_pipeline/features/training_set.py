"""The training set: labels joined with features as they were known, through Feast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import chain

import duckdb
import numpy as np
import pyarrow as pa

from exit_pipeline.features.build import FEATURE_TABLES
from exit_pipeline.features.entities import SNAPSHOTS, entity_query
from exit_pipeline.features.interest import interest_features
from exit_pipeline.labels.stored import first_landed, first_morning, require_days
from exit_pipeline.lake import Connection, DayState, Lake, connect
from exit_pipeline.lake.engine import Engine
from exit_pipeline.lake.table import days_between
from exit_pipeline.profile import Profile, ProfileSpec
from exit_pipeline.settings import Settings

# What is joined is held, and spills, until it is hashed and written, a writer open for each day.
DAYS_AT_ONCE, ROWS_AT_ONCE = 60, 1_000_000
DAY = timedelta(days=1)
STATE_PARTS = ("state_us", "units", "last_us", "counts", "weights")


def build_training_set(
    connection: Connection,
    lake: Lake,
    profile: Profile,
    first: date,
    last: date,
    *,
    settings: Settings,
) -> dict[date, DayState]:
    """Builds `training_set` for the exposure days `first`…`last`.

    The join is Feast's `get_historical_features` over this project's offline store, or what an
    engine makes of the same views; the interest state is turned into features by the function
    that serving calls. A column of the label table is never an input.

    Returns:
        The state of each day.

    Raises:
        LakeError: `icl_labels` or `impressions` was not built for all of these days.
    """
    spec, days = profile.spec, days_between(first, last)
    for table in ("icl_labels", "impressions"):
        require_days(lake, table, first, last)
    _require_features(lake, spec, first, last)
    if isinstance(connection, Engine):
        from exit_pipeline.features.on_engine import joined_on

        with connect(settings, lake.home) as duck:
            with joined_on(connection, settings, lake, profile, first, last) as joined:
                _keep(duck, _with_interest(joined, spec))
            return lake.replace(duck, "training_set", "built", days)
    # Another run may write these tables meanwhile: what is read is what the commits name.
    versions = {table: lake.version(table) for table in FEATURE_TABLES if lake.exists(table)}
    states: dict[date, DayState] = {}
    labelled = {day: state.rows for day, state in lake.days("icl_labels").items()}
    for some in _stretches(days, labelled):
        entity_rows = _entity_rows(lake, spec, some[0], some[-1], versions)
        with joined_features(settings, lake, profile, entity_rows, versions) as rows:
            _keep(connection, rows)
        lake.inputs.update(versions)
        states |= lake.replace(connection, "training_set", "built", some)
    return states


def _require_features(lake: Lake, spec: ProfileSpec, first: date, last: date) -> None:
    """Refuses days whose features, of the evening before, were not built: older ones would be read.

    Raises:
        LakeError: Names the table and the days.
    """
    begins = dict.fromkeys(FEATURE_TABLES, first_landed(lake, spec))
    begins["scene_features"] = first_morning(lake, spec) - DAY
    for table, begin in begins.items():
        until = last if table == "user_interest" else last - DAY  # which changes within the day
        require_days(lake, table, max(first - DAY, begin), until, group="features")


def _stretches(days: Sequence[date], rows: Mapping[date, int]) -> Iterator[list[date]]:
    """Cuts days into stretches with so many days and rows at most; one day is never cut."""
    some: list[date] = []
    for day in days:
        held = sum(rows[one] for one in some)
        if some and (len(some) == DAYS_AT_ONCE or held + rows[day] > ROWS_AT_ONCE):
            yield some
            some = []
        some.append(day)
    yield some


def _keep(connection: duckdb.DuckDBPyConnection, rows: pa.RecordBatchReader) -> None:
    connection.register("joined", rows)
    connection.execute("create or replace temp table built as from joined")
    connection.unregister("joined")


@contextmanager
def joined_features(
    settings: Settings,
    lake: Lake,
    profile: Profile,
    entity_rows: str,
    versions: Mapping[str, int] | None = None,
) -> Iterator[pa.RecordBatchReader]:
    """Streams entity rows with everything that was known of each at its time.

    Args:
        settings: Limits of the store.
        lake: Where the feature tables are.
        profile: The data set.
        entity_rows: A query, or the path of Parquet files, whose rows have `event_timestamp`,
            `user_id`, `item_id`, `unit` and `cell`; their other columns come through.
        versions: Feature table → the version to read; the newest of the others.
    """
    from exit_pipeline.feast_stores.job import DuckDBRetrievalJob
    from exit_pipeline.feast_stores.repo import apply

    store = apply(settings, lake.home, profile)
    store.config.offline_store.versions = dict(versions or {})
    job = store.get_historical_features(
        entity_df=entity_rows, features=store.get_feature_service("ranking")
    )
    assert isinstance(job, DuckDBRetrievalJob)  # named in feature_store.yaml
    with job.stream() as reader:
        yield _with_interest(reader, profile.spec)


def _entity_rows(
    lake: Lake, spec: ProfileSpec, first: date, last: date, versions: Mapping[str, int]
) -> str:
    # The snapshot that was newest is of the day before, or as old as features live.
    oldest = first - timedelta(days=spec.features.ttl_days + 1)

    def rows(table: str) -> str:
        since = oldest if table in SNAPSHOTS else first
        return lake.scan(table, [("ds", ">=", since), ("ds", "<=", last)], versions.get(table))

    return entity_query(spec, rows)


def _with_interest(reader: pa.RecordBatchReader, spec: ProfileSpec) -> pa.RecordBatchReader:
    """Replaces the interest state of each batch by the features made of it."""
    batches = _with_features(reader, spec)
    head = next(batches)
    return pa.RecordBatchReader.from_batches(head.schema, chain([head], batches))


def _with_features(reader: pa.RecordBatchReader, spec: ProfileSpec) -> Iterator[pa.RecordBatch]:
    domains = (spec.target, *spec.sources)
    state = {"state_us", *(f"{d}_{part}" for d in domains for part in STATE_PARTS)}
    for batch in _batches(reader):
        columns = {n: batch.column(n) for n in batch.schema.names if n not in state}
        columns |= state_features(batch, spec)
        yield pa.RecordBatch.from_pydict(columns)


def state_features(batch: pa.RecordBatch, spec: ProfileSpec) -> dict[str, pa.Array]:
    """Turns the interest state beside each row into features, as of the row's time.

    Args:
        batch: n rows with `event_timestamp`, `unit` and the columns of `user_interest`.
        spec: The profile.

    Returns:
        float64[n] by name, for the target and each source; null where nothing is known.
    """
    now = batch.column("event_timestamp").cast(pa.int64()).to_numpy(zero_copy_only=False)
    columns = {}
    for domain in (spec.target, *spec.sources):
        features = interest_features(
            batch,
            domain,
            now.astype(np.int64),
            batch.column("unit"),
            half_life_us=spec.features.half_life_us,
            window_us=spec.features.window_us,
            hold_us=spec.features.hold_us,
        )
        for name, values in features.items():
            columns[f"{domain}_{name}"] = pa.array(values, from_pandas=True)
    return columns


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    yield from reader
    # A day without exposures still has columns.
    yield pa.RecordBatch.from_pylist([], schema=reader.schema)
