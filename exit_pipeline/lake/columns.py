"""Which columns of its inputs each column of a table is made of, read out of the SQL itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp, parse_one
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify

Columns = dict[str, list[tuple[str, str]]]


def columns_of_query(
    query: str, parts: Mapping[str, str], inputs: Mapping[str, Sequence[str]]
) -> Columns:
    """Traces every column of a query back to its inputs.

    Args:
        query: SQL in DuckDB's dialect.
        parts: Queries by the name under which the query, or another part, reads them.
        inputs: Columns of the tables to trace back to, by table.

    Returns:
        By column the (table, column) pairs that its value is made of, sorted; none for a constant.
    """
    schema: dict[str, object] = {
        table: dict.fromkeys(columns, "unknown") for table, columns in inputs.items()
    }
    parsed = {name: parse_one(part, dialect="duckdb") for name, part in parts.items()}
    whole = exp.expand(parse_one(query, dialect="duckdb"), parsed, dialect="duckdb")  # type: ignore[arg-type]
    whole = qualify(
        whole, schema=schema, dialect="duckdb", validate_qualify_columns=False, identify=False
    )
    for union in list(whole.find_all(exp.Union)):
        match_by_name(union)
    found = lineage(None, whole, schema, dialect="duckdb")
    assert isinstance(found, dict)  # every column was asked for
    return {name: sorted(set(_leaves(node.walk(), inputs))) for name, node in found.items()}


def _leaves(nodes: Iterable, inputs: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, str]]:
    for node in nodes:
        table = node.expression.name if isinstance(node.expression, exp.Table) else ""
        if not node.downstream and table in inputs:
            yield table, node.name.rsplit(".", 1)[-1]


def match_by_name(union: exp.Union) -> None:
    """Puts the columns of a `union all by name` in one order, as sqlglot matches by position."""
    if not union.args.get("by_name"):
        return
    sides = list(_selects(union))
    names = dict.fromkeys(name for side in sides for name in side.named_selects)
    for side in sides:
        own = {column.alias_or_name: column for column in side.selects}
        side.set("expressions", [own.get(n) or exp.alias_(exp.null(), n) for n in names])
    union.set("by_name", False)


def _selects(side: exp.Query) -> Iterable[exp.Select]:
    if isinstance(side, exp.Union):
        yield from _selects(side.left)
        yield from _selects(side.right)
    elif isinstance(side, exp.Select):
        yield side
