"""How a raw table of events is turned into the log contract, as a draft."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date

import duckdb

from exit_pipeline.lake.duck import literal, quoted, render
from exit_pipeline.profile.look import RawTable, folder_days, identifier, look_at
from exit_pipeline.profile.names import BESIDE_CONTEXT, RESERVED, sql_words

RARE = 0.001  # values in a smaller share of the rows are broken rows rather than domains
MOST_DOMAINS, MOST_VALUES = 33, 20
KINDS = {
    "impression": "impression impressions view viewed show shown exposure expose display pv seen",
    "click": "click clicks clicked tap open detail cart add_to_cart addtocart fav like",
    "order": "order orders ordered purchase purchased buy bought checkout transaction conversion",
    "negative": "negative negatives dislike hide report not_interested block",
}
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words.split()}
WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "HUGEINT"}
NUMBERS = {*WHOLE, "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL"}
TEXTS = {"VARCHAR", "BOOLEAN", "ENUM"}
VALUE = re.compile(r"^[^|\x00-\x1f]{1,200}$")


@dataclass
class EventsDraft:
    """A raw table of events: its columns as SQL, and what they hold.

    Args:
        name: The raw table's.
        pattern: Its files, as a glob.
        columns: Column of the contract → SQL.
        day: SQL of the landing day.
        first: The first day.
        last: The last day.
        counts: (domain, event type) → rows looked at, broken ones aside.
        context: Context column → values.
        left_out: SQL of rows that are no event of the contract, or nothing.
        notes: What a person must know or decide.
    """

    name: str
    pattern: str
    columns: dict[str, str]
    day: str
    first: date
    last: date
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    context: dict[str, list[str]] = field(default_factory=dict)
    left_out: str = ""
    notes: list[str] = field(default_factory=list)


def draft_events(connection: duckdb.DuckDBPyConnection, table: RawTable) -> EventsDraft:
    """Reads a bounded sample of a raw table of events, and drafts its adapter."""
    roles = table.roles("user", "item", "ts", "kind", "domain", "event_id", "request_id",
                        "value", "position")  # fmt: skip
    look_at(connection, table)
    moments = values_of(connection, roles["ts"], share=0)
    ts = instant(roles["ts"], kind_of(roles["ts"], table.columns), moments[:1])
    context = _context(connection, table, set(roles.values()))
    columns = {
        "event_id": _text(roles.get("event_id")) or "file || '#' || row",
        "ts": ts,
        "user_id": _text(roles["user"]),
        "item_id": _text(roles["item"]),
        "request_id": _text(roles.get("request_id")) or "null::varchar",
        "value": _number(table, roles.get("value"), NUMBERS, "double"),
        "position": _number(table, roles.get("position"), WHOLE, "integer"),
        **{name: _text(column) for name, (column, _) in context.items()},
    }
    day = "ds::date" if table.by_day else f"({ts} at time zone 'UTC')::date"
    draft = EventsDraft(table.name, table.pattern, columns, day, date.min, date.min)
    draft.context = {name: values for name, (_, values) in context.items()}
    _add_domain_and_kind(connection, draft, roles)
    days = folder_days(table)
    if days:
        draft.first, draft.last = days[0], days[-1]
    else:
        look_at(connection, table, whole=True)
        found = connection.execute(render("draft_days", ts=ts)).fetchone()
        draft.first, draft.last = found  # type: ignore[misc]
    return draft


def values_of(connection: duckdb.DuckDBPyConnection, column: str, share: float = RARE) -> list[str]:
    """The values of a column of what is looked at, the commonest first, without the rare ones."""
    sql = render("draft_values", column=column)
    found = connection.execute(sql, {"most": 10 * MOST_DOMAINS}).fetchall()
    total = sum(n for _, n in found)
    return [value for value, n in found if n >= share * total]


def kind_of(column: str, types: dict[str, str]) -> str:
    """Returns DuckDB's type of a column without its parameters."""
    return "LIST" if types[column].endswith("]") else types[column].split("(")[0]


def instant(column: str, kind: str, sample: list[str]) -> str:
    """Returns SQL that reads a column as a moment in UTC.

    Args:
        column: The raw column.
        kind: Its type.
        sample: Some of its values: a number is seconds, ms, µs or ns since 1970.
    """
    name = quoted(column)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return name
    if kind in NUMBERS:
        digits = len(str(abs(int(float(sample[0]))))) if sample else 10
        scale = min(max(digits - 9, 0) // 3, 3)
        if kind in ("FLOAT", "DOUBLE", "DECIMAL"):  # a part of a second counts, too
            times = ("* 1000000", "* 1000", "", "/ 1000")[scale]
            return f"make_timestamptz(({name}::double {times})::bigint)"
        times = ("* 1000000", "* 1000", "", "// 1000")[scale]
        return f"make_timestamptz(({name}::bigint {times})::bigint)"
    if kind in ("VARCHAR", "ENUM"):
        return f"try_cast({name} as timestamptz)"
    return f"({name}::timestamp at time zone 'UTC')"


def _add_domain_and_kind(
    connection: duckdb.DuckDBPyConnection, draft: EventsDraft, roles: dict[str, str]
) -> None:
    """Drafts `domain` and `event_type` in the profile's words, and counts both."""
    stem, told = _told_by_name(draft.name)
    domain, kind = literal(_domain_name(stem)), literal(told)
    if "domain" in roles:
        domain = _renamed(roles["domain"], values_of(connection, roles["domain"]), _domain_name)
    if "kind" in roles:
        values = values_of(connection, roles["kind"])
        kind = _renamed(roles["kind"], values, lambda v: KIND_OF.get(identifier(v), v))
        unknown = [v for v in values if identifier(v) not in KIND_OF]
        if unknown:
            listed = ", ".join(literal(v) for v in unknown)
            draft.left_out = f"{_text(roles['kind'])} in ({listed})"
            draft.notes.append(f"DECIDE: rows whose {roles['kind']} is {listed} are left out.")
    else:
        draft.notes.append(f"DECIDE: no column tells the type of event; all are taken as {told}.")
    draft.columns |= {"domain": domain, "event_type": kind}
    sql = render("draft_domains", domain=domain, kind=kind, left_out=draft.left_out)
    found = connection.execute(sql).fetchall()
    total: Counter[str] = Counter()
    for name, _, n in found:
        total[name] += n
    for name, event_type, n in found:
        if total[name] >= RARE * total.total():
            draft.counts[name, event_type] += n
    rare = [name for name in total if total[name] < RARE * total.total()]
    if rare:
        draft.notes.append(f"too rare for a domain, so they are quarantined: {', '.join(rare)}")


def _told_by_name(name: str) -> tuple[str, str]:
    """What the table's name says of its domain and type: feed_clicks → feed, click."""
    words = name.split("_")
    kinds = [KIND_OF[word] for word in words if word in KIND_OF]
    rest = [w for w in words if w not in KIND_OF and w not in ("events", "event", "log", "logs")]
    return "_".join(rest) or "main", kinds[0] if kinds else "click"


def _context(
    connection: duckdb.DuckDBPyConnection, table: RawTable, taken: set[str]
) -> dict[str, tuple[str, list[str]]]:
    """Text columns with few values, by the name that the profile lets in."""
    found: dict[str, tuple[str, list[str]]] = {}
    for column in table.columns:
        if column in taken or kind_of(column, table.columns) not in TEXTS:
            continue
        values = values_of(connection, column)
        if 2 <= len(values) <= MOST_VALUES and all(map(VALUE.match, values)):
            found[free_name(column, "event", {BESIDE_CONTEXT, *found})] = (column, values)
    return found


def free_name(column: str, prefix: str, taken: Collection[str]) -> str:
    """A column's name as the profile lets it in: no word of SQL, no column of the contract."""
    name = identifier(column)
    while name in taken or name in RESERVED or name in sql_words():
        name = f"{prefix}_{name}"[:40]
    return name


def _domain_name(value: str) -> str:
    return free_name(value, "in", ())


def _renamed(column: str, values: list[str], name: Callable[[str], str]) -> str:
    changed = {value: name(value) for value in values if value != name(value)}
    if not changed:
        return _text(column)
    cases = " ".join(f"when {literal(v)} then {literal(new)}" for v, new in changed.items())
    return f"case {_text(column)} {cases} else {_text(column)} end"


def _text(column: str | None) -> str:
    return f"{quoted(column)}::varchar" if column else ""


def _number(table: RawTable, column: str | None, kinds: set[str], cast: str) -> str:
    fits = column is not None and kind_of(column, table.columns) in kinds
    return f"{quoted(column)}::{cast}" if column and fits else f"null::{cast}"
