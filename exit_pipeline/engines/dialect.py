"""The SQL files in Spark's words: sqlglot, and the few constructs that it does not carry over.

Whatever is not named here both engines understand alike, or sqlglot rewrites it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.optimizer.simplify import simplify

from exit_pipeline.lake import render
from exit_pipeline.lake.columns import match_by_name

_NAMES = {"epoch_us": "unix_micros", "make_timestamptz": "timestamp_micros"}


def to_spark(sql: str, values: Mapping[str, Any]) -> str:
    """Writes a query of DuckDB's dialect in Spark's.

    Args:
        sql: One of the SQL files, rendered.
        values: What its `$name` parameters are bound to.
    """
    query = parse_one(sql, dialect="duckdb")
    for parameter in list(query.find_all(exp.Placeholder)):
        parameter.replace(exp.convert(values[parameter.name]))
    for kind, rewrite in _REWRITES.items():
        for node in list(query.find_all(kind)):
            rewrite(node)
    return query.sql(dialect="spark", identify=True, comments=False)


def _name(call: exp.Anonymous) -> None:
    """Gives a function its name in Spark; `list_sum` adds in the order of its list."""
    name = call.name.lower()
    if name == "list_sum":
        call.replace(_spark("spark_list_sum", list=call.expressions[0].sql("spark")))
    elif name in _NAMES:
        call.set("this", _NAMES[name])


def _order_list(collected: exp.ArrayAgg) -> None:
    """Sorts a list after it was collected: sqlglot drops the order."""
    if not isinstance(order := collected.this, exp.Order):
        return
    keys = [(key.this.sql("spark"), bool(key.args.get("desc"))) for key in order.expressions]
    collected.replace(_spark("spark_list", value=order.this.sql("spark"), keys=keys))


def _weekday(day: exp.DayOfWeekIso) -> None:
    """Counts from Monday = 1; sqlglot's form counts from Saturday."""
    number = exp.Anonymous(this="weekday", expressions=[day.this])
    day.replace(exp.paren(exp.Add(this=number, expression=exp.Literal.number(1))))


def _fold_frame(frame: exp.WindowSpec) -> None:
    """Computes the bounds of a frame, which Spark takes as numbers only."""
    for side in ("start", "end"):
        if isinstance(bound := frame.args.get(side), exp.Expression):
            frame.set(side, simplify(bound))


def _newest_before(join: exp.Join) -> None:
    """An ASOF join as one on the keys, of rows that each know when the next one follows.

    Spark has no ASOF join. A row meets every row of its own keys, and of no others.

    Raises:
        ValueError: The condition is more than `right.key = …` of keys and one `right.time <= …`.
    """
    if join.method != "ASOF":
        return
    right, on = join.this.alias, join.args["on"]
    pairs = list(on.flatten()) if isinstance(on, exp.And) else [on]
    keys = [pair.left.name for pair in pairs if isinstance(pair, exp.EQ)]
    times = [pair for pair in pairs if isinstance(pair, exp.LTE)]
    fits = len(times) == 1 and keys and len(keys) + 1 == len(pairs)
    if not fits or {getattr(pair.this, "table", None) for pair in pairs} != {right}:
        raise ValueError(f"no form for Spark: {join.sql('duckdb')}")
    rows, (time,) = join.this.this.sql("spark"), times
    join.this.set("this", _spark("spark_asof", rows=rows, keys=keys, time=time.left.name))
    until = exp.column("followed_at", right)
    last = exp.Is(this=until, expression=exp.null())
    join.on(exp.or_(last, time.right.copy() < until.copy()), copy=False)
    join.set("method", None)


def _spark(name: str, **context: Any) -> exp.Expr:
    return parse_one(render(name, **context), dialect="spark")


# In this order: what is written out as text must be rewritten before.
_REWRITES: dict[type[exp.Expression], Callable[[Any], None]] = {
    exp.Union: match_by_name,
    exp.DayOfWeekIso: _weekday,
    exp.WindowSpec: _fold_frame,
    exp.ArrayAgg: _order_list,
    exp.Join: _newest_before,
    exp.Anonymous: _name,
}
