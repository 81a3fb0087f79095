"""What a point-in-time join needs to know of the entity table and of each view."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa
from feast.feature_view import FeatureView
from feast.repo_config import RepoConfig

from exit_pipeline.errors import UsageError
from exit_pipeline.feast_stores.scan import scan_sql
from exit_pipeline.lake.duck import literal, render

EVENT_TIMESTAMP = "event_timestamp"
EntityTable: TypeAlias = "pd.DataFrame | pa.Table | str"


@dataclass(frozen=True)
class View:
    """One feature view in a join."""

    number: int
    name: str
    keys: list[tuple[str, str]]  # the view's key column, the entity table's column
    features: list[str]  # named as in the result
    ttl: timedelta | None
    numbered: str  # the query of its source's rows, with `__id`
    reads: Mapping[str, Any]  # what `sql/feast_view.sql` takes beside a query of the source's rows

    @property
    def moments(self) -> str:
        """The query of its keys and moments, where its source lies: which row is from when."""
        reads = {**self.reads, "features": {}}
        return render("feast_view", scan=self.numbered, sum_bits=128, numbered=True, **reads)

    def rows(self, scan: str, sum_bits: int) -> str:
        """The query of its rows, over any query of its source's (see `render`)."""
        return render("feast_view", scan=scan, sum_bits=sum_bits, numbered=False, **self.reads)

    @property
    def fresh(self) -> str:
        """SQL that says whether a matched row is within the TTL, to the microsecond."""
        if self.ttl_us is None:
            return "true"
        return f"epoch_us(e.__at) - epoch_us(v{self.number}.__ts) <= {self.ttl_us}"

    @property
    def ttl_us(self) -> int | None:
        """Microseconds after which a row counts no more; None where it always does."""
        return self.ttl // timedelta(microseconds=1) if self.ttl else None

    def steps(self, first_us: int | None, last_us: int | None) -> dict[str, str]:
        """The queries that find what it knows of entity rows of a span of time, in their order.

        Args:
            first_us: The time of the first, in microseconds since 1970; None where there is none.
            last_us: The time of the last.

        Returns:
            By the letter of its table: `k` its keys, `v` the rows that can match, `m` those that
            do, `f` what these say.
        """
        ttl = self.ttl_us
        since = None if first_us is None or ttl is None else first_us - ttl
        span: dict[str, Any] = {"view": self, "since": since, "until": last_us}
        names = {"k": "feast_keys", "v": "feast_coded", "m": "feast_matched", "f": "feast_found"}
        return {letter: render(name, **span) for letter, name in names.items()}


def make_views(
    config: RepoConfig,
    feature_views: list[FeatureView],
    feature_refs: list[str],
    full_feature_names: bool,
    by_created: bool,
) -> list[View]:
    """Returns the views of a join with the query of each.

    Args:
        config: Feast's.
        feature_views: With their projections.
        feature_refs: `view:feature`, the view by its projected name.
        full_feature_names: Name features `view__feature`.
        by_created: Let a row count only once it was created.
    """
    return [
        _view(config, number, view, feature_refs, full_feature_names, by_created)
        for number, view in enumerate(feature_views)
    ]


def _view(
    config: RepoConfig,
    number: int,
    view: FeatureView,
    refs: list[str],
    full: bool,
    by_created: bool,
) -> View:
    source = view.batch_source
    if source is None:
        raise UsageError(f"the view {view.name!r} has no batch source", mend="give it one")
    name = view.projection.name_to_use()
    wanted = [ref.split(":", 1)[1] for ref in refs if ref.split(":", 1)[0] == name]
    prefix = f"{view.projection.name_alias or view.name}__" if full else ""
    back = {new: old for old, new in source.field_mapping.items()}
    key_map = view.projection.join_key_map or {}
    columns = [field.name for field in view.entity_columns]
    created = source.created_timestamp_column or None
    reads = {
        "keys": {f"__key_{column}": back.get(column, column) for column in columns},
        "features": {f"{prefix}{feature}": back.get(feature, feature) for feature in wanted},
        "timestamp": back.get(source.timestamp_field, source.timestamp_field),
        "created": created and back.get(created, created),
        "by_created": by_created,
    }
    keys = [(f"__key_{column}", key_map.get(column, column)) for column in columns]
    features = [f"{prefix}{feature}" for feature in wanted]
    numbered = scan_sql(source, config, numbered=True)
    return View(number, name, keys, features, view.ttl, numbered, reads)


def make_entity(
    connection: duckdb.DuckDBPyConnection,
    entity: EntityTable,
    kind: Literal["view", "table"] = "table",
) -> None:
    """Makes `entity`: the entity rows, numbered in their order, with their time.

    A table, since what is asked of a query twice may come in another order; a view to look at its
    columns.
    """
    if isinstance(entity, str):
        query = _query(connection, entity)
    else:
        table = (
            entity
            if isinstance(entity, pa.Table)
            else pa.Table.from_pandas(entity, preserve_index=False)
        )
        connection.register("__entity", table)
        query = "select * from __entity"
    if _has_time(connection, query):
        query = render("feast_entity", time=EVENT_TIMESTAMP, query=query)
    connection.execute(f"create or replace temp {kind} entity as {query}")


def entity_columns(
    connection: duckdb.DuckDBPyConnection, entity: EntityTable, views: list[View]
) -> list[str]:
    """Returns the entity table's columns, having checked that the join's are among them.

    Raises:
        UsageError: `event_timestamp` or a join key is missing, or a feature has a column's name.
    """
    make_entity(connection, entity, "view")
    columns = [row[0] for row in connection.execute("describe entity").fetchall()]
    needed = {EVENT_TIMESTAMP: "the time of each row"}
    needed |= {column: f"a join key of {view.name!r}" for view in views for _, column in view.keys}
    missing = [f"{name!r} ({why})" for name, why in needed.items() if name not in columns]
    if missing:
        raise UsageError(
            f"the entity table lacks {', '.join(missing)}",
            where=f"columns: {', '.join(c for c in columns if not c.startswith('__'))}",
            mend="add the column, or rename the one that holds it",
        )
    names = {column.casefold() for column in columns}
    twice = [feature for view in views for feature in view.features if feature.casefold() in names]
    if twice:
        raise UsageError(
            f"the entity table has columns named as requested features: {', '.join(twice)}",
            where=f"columns: {', '.join(c for c in columns if not c.startswith('__'))}",
            mend="rename the columns, or ask with full_feature_names=True",
        )
    return [column for column in columns if column not in ("__row", "__at", "__until")]


def _has_time(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    described = connection.execute(f"describe {query}").fetchall()
    return EVENT_TIMESTAMP in (row[0] for row in described)


def _query(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """Returns the query that an entity table given as text is: SQL itself, or Parquet files."""
    try:
        statements = connection.extract_statements(text)
    except duckdb.ParserException as error:
        if text.lstrip()[:1] in ("(", "-") or re.match(r"\s*(select|with|from)\s", text, re.I):
            raise UsageError(
                f"the entity table's query cannot be read: {str(error).splitlines()[0]}",
                where=text.strip().splitlines()[0],
                mend="mend the query, or give the path of Parquet files",
            ) from error
        return f"select * from read_parquet({literal(text)})"
    kinds = [statement.type for statement in statements]
    if kinds != [duckdb.StatementType.SELECT]:
        raise UsageError(
            "the entity table is not one query",
            where=(text.strip().splitlines() or [""])[0],
            mend="give one SELECT, the path of Parquet files, a DataFrame or an Arrow table",
        )
    # A semicolon would end the statement that the query is put into; tokens know the real ones.
    code = text.encode()
    ends = [at for at, _ in duckdb.tokenize(text) if code[at : at + 1] == b";"]
    return code[: ends[0] if ends else None].decode()
