"""Point-in-time features: this project's offline store against Feast's own DuckDB store."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from exit_pipeline.bench.measure import measure, report, watched
from exit_pipeline.lake.duck import render

OURS = {
    "type": "exit_pipeline.feast_stores.offline.DuckDBAsofOfflineStore",
    "memory_limit": "512MB",
}
PEER = {"type": "duckdb"}
VIEWS = 3
HERE = "exit_pipeline.bench.features"


def run(rows: int = 1_000_000, quick: bool = False) -> dict[str, Any]:
    """Joins `rows` entity rows with three views of the pipeline's kind.

    Daily snapshots of 100,000 users and of 20,000 items over 30 days, and 50 changes of each
    user's interest: 3.0, 0.6 and 5.0 million rows of four features; a TTL of 30 days.

    Args:
        rows: Entity rows.
        quick: 20,000 rows, once.
    """
    rows, repeats = (20_000, 1) if quick else (rows, 3)
    with tempfile.TemporaryDirectory(prefix="bench-features-") as folder:
        prepare(folder, rows)
        found = measure(
            {
                name: (f"{HERE}:join", {"folder": folder, "offline": offline, "out": name})
                for name, offline in (("ours", OURS), ("feast_duckdb", PEER))
            },
            repeats,
        )
        equal = _equal(folder)
    ours, peer = found["ours"], found["feast_duckdb"]
    return report(
        "features",
        {"rows": rows, "views": VIEWS, "repeats": repeats},
        ours,
        None,
        {"feast_duckdb": peer},
        {
            "speedup_feast_duckdb": peer["cpu_s"] / ours["cpu_s"],
            "leaner_feast_duckdb": peer["rss_mb"] / ours["rss_mb"],
        },
        {"rows_equal": int(equal)},
    )


def prepare(folder: str, rows: int) -> None:
    """Writes the entity rows and three feature tables as Parquet."""
    with duckdb.connect() as connection:
        connection.execute("load icu; set TimeZone = 'UTC'")
        entity = render("bench_entity_rows")
        connection.execute(f"copy ({entity}) to '{folder}/entity.parquet'", {"rows": rows})
        for view in range(VIEWS):
            table = render("bench_feature_rows", view=view)
            connection.execute(f"copy ({table}) to '{folder}/view{view}.parquet'")


def join(folder: str, offline: dict[str, Any], out: str) -> dict[str, float]:
    """Joins through `store.get_historical_features` and keeps the result."""
    import pyarrow.parquet as pq

    store = _store(folder, offline, out)
    refs = [f"view{view}:f{view}_{n}" for view in range(VIEWS) for n in range(4)]
    entity = pq.read_table(f"{folder}/entity.parquet").to_pandas() if out != "ours" else None
    with watched() as found:
        source = entity if entity is not None else f"{folder}/entity.parquet"
        job = store.get_historical_features(source, features=refs)
        if entity is None:  # streamed, as the training set is
            job.to_parquet(f"{folder}/{out}.parquet", overwrite=True)
        else:
            table = job.to_arrow()
    if entity is not None:
        pq.write_table(table, f"{folder}/{out}.parquet")
    return found


def _store(folder: str, offline: dict[str, Any], name: str) -> Any:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Float64, String
    from feast.value_type import ValueType

    registry = {"registry_type": "file", "path": f"{folder}/{name}.db"}
    store = FeatureStore(
        config=RepoConfig(
            project="bench", provider="local", registry=registry, offline_store=offline,
            online_store={"type": "sqlite", "path": f"{folder}/{name}-online.db"},
            entity_key_serialization_version=3, repo_path=Path(folder),
        )
    )  # fmt: skip
    keys = ["user_id", "item_id", "user_id"]
    entities = {
        key: Entity(name=key, join_keys=[key], value_type=ValueType.STRING) for key in set(keys)
    }
    views = [
        FeatureView(
            name=f"view{view}", entities=[entities[keys[view]]], ttl=timedelta(days=30),
            schema=[Field(name=keys[view], dtype=String),
                    *(Field(name=f"f{view}_{n}", dtype=Float64) for n in range(4))],
            source=FileSource(
                name=f"view{view}", path=f"{folder}/view{view}.parquet",
                timestamp_field="event_timestamp", created_timestamp_column="created",
            ),
        )
        for view in range(VIEWS)
    ]  # fmt: skip
    store.apply([*entities.values(), *views])
    return store


def _equal(folder: str) -> bool:
    with duckdb.connect() as connection:
        names = [f"f{view}_{n}" for view in range(VIEWS) for n in range(4)]
        sql = render("bench_features_differ", folder=folder, names=["user_id", *names])
        return connection.execute(sql).fetchone() == (0,)
