"""Rows of the sources' own impressions, and training rows that mix them with the target's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from exit_pipeline.experiments.tables import parquet_writer, write_rows
from exit_pipeline.features.entities import SNAPSHOTS, asked_by
from exit_pipeline.features.training_set import joined_features
from exit_pipeline.labels.names import names, values
from exit_pipeline.lake import Lake, connect, create_table, render
from exit_pipeline.model.encoders import DOMAIN
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings

# `target`: the target's rows alone. `pooled`: the sources' impressions too, told apart by the input
# `domain`. `relabelled`: what had an outcome in a source counts as if it had it in the target.
KINDS = ("target", "pooled", "relabelled")


def write_source_rows(
    settings: Settings, lake: Lake, profile: Profile, first: date, last: date, out: Path
) -> None:
    """Writes the sources' impressions of some days, each with its own outcome and `domain`.

    They are labelled and placed by the SQL of the target's impressions and joined with the same
    features, as they were known at their time; context that a source does not log is null.

    Args:
        settings: Limits.
        lake: The tables.
        profile: The data set.
        first: The first day.
        last: The last day; outcomes are looked for up to the label horizon after it.
        out: The Parquet file: the columns of models, `y`, `y_click`, `y_order`, `domain`.
    """
    spec, placed = profile.spec, out.with_name(f".{out.name}.placed")
    horizon = timedelta(days=spec.labels.horizon_days)
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = []
    with connect(settings, lake.home) as connection:
        for table in ("items", "users", *SNAPSHOTS):
            lake.view(connection, table)
        lake.view(
            connection, "events", [("ds", ">=", first - horizon), ("ds", "<=", last + horizon)]
        )
        for source in spec.sources:
            bound = {**values(spec, first, last), "target": source}
            create_table(connection, "placed", "impressions", bound, **names(spec))
            rows = render("experiment_entities", labels=True, **asked_by(spec))
            connection.sql(rows).write_parquet(str(placed))
            with joined_features(settings, lake, profile, str(placed)) as reader:
                table = reader.read_all()
            domain = pa.array([source] * table.num_rows, pa.string())
            parts.append(table.append_column(DOMAIN, domain))
    placed.unlink()
    rows = pa.concat_tables(parts)
    with parquet_writer(out, rows.schema) as writer:
        writer.write_table(rows)


def write_mixed(
    settings: Settings, home: Home, profile: Profile, files: Sequence[str],
    source_rows: Path | None, kind: str, out: Path,
) -> None:  # fmt: skip
    """Writes one part with the column `domain`, and the sources' rows where there are some.

    Args:
        settings: Limits.
        home: The world's.
        profile: The data set.
        files: Of the target's rows.
        source_rows: What `write_source_rows` wrote; None but in training.
        kind: One of `KINDS`.
        out: The Parquet file.
    """
    spec = profile.spec
    rows = render("_files", files=files, partitions=())
    labels = ["icl", *(f"{part}_{s}" for part in ("ys", "ahead", "consistent", "icl")
                       for s in spec.sources)]  # fmt: skip
    sources = source_rows and render("_files", files=[str(source_rows)], partitions=())
    sql = render("experiment_mixed", rows=rows, sources=sources, labels=labels, kind=kind)
    with connect(settings, home) as connection:
        write_rows(connection, sql, {"target": spec.target}, out)
