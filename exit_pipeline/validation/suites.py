"""What each table must hold, as data: one rule a line, built from the profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from exit_pipeline.profile import ProfileSpec

EXPECTATIONS, BALANCED = "great_expectations", "rows_accounted_for"
LARGEST = 1e300


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Args:
        expectation: The name of a class in `great_expectations.expectations`.
        why: What it means, in plain words.
        options: Its arguments.
    """

    expectation: str
    why: str
    options: dict[str, Any] = field(default_factory=dict)


def rows() -> Rule:
    """The batch has rows."""
    return Rule("ExpectTableRowCountToBeBetween", "there are rows", {"min_value": 1})


def columns(*names: str) -> Rule:
    """These columns are there."""
    return Rule(
        "ExpectTableColumnsToMatchSet",
        f"the columns are there: {', '.join(names)}",
        {"column_set": list(names), "exact_match": False},
    )


def present(*names: str) -> list[Rule]:
    """No null in these columns."""
    return [
        Rule("ExpectColumnValuesToNotBeNull", f"every row has {n}", {"column": n}) for n in names
    ]


def unique(name: str) -> Rule:
    """No value twice."""
    return Rule("ExpectColumnValuesToBeUnique", f"no {name} appears twice", {"column": name})


def one_of(name: str, values: Sequence[Any]) -> Rule:
    """Values are in a set, or null."""
    return Rule(
        "ExpectColumnValuesToBeInSet",
        f"{name} is one of {', '.join(map(str, values))}",
        {"column": name, "value_set": list(values)},
    )


def between(name: str, low: float | None = None, high: float | None = None, **more: Any) -> Rule:
    """Values are in a range, or null."""
    limits = " and ".join(
        t
        for t in (f"≥ {low}" if low is not None else "", f"≤ {high}" if high is not None else "")
        if t
    )
    return Rule(
        "ExpectColumnValuesToBeBetween",
        f"{name} is {limits}",
        {"column": name, "min_value": low, "max_value": high, **more},
    )


def _events(spec: ProfileSpec) -> list[Rule]:
    return [
        *present("event_id", "ts", "user_id", "item_id", "ds", "known_on"),
        unique("event_id"),
        one_of("domain", [spec.target, *spec.sources]),
        one_of("event_type", ["impression", "click", "order", "negative"]),
        between("value", 0),
        *(one_of(name, column.values) for name, column in spec.context.items()),
    ]


def _impressions(spec: ProfileSpec) -> list[Rule]:
    flags = ("y", "y_click", "y_order", "y_negative")
    return [
        *present("event_id", "ts", "user_id", "item_id", *flags),
        unique("event_id"),
        *(one_of(name, [0, 1]) for name in flags),
        between("value", 0),
    ]


def _source_interest(spec: ProfileSpec) -> list[Rule]:
    rules = [*present("event_id"), unique("event_id")]
    for s in spec.sources:
        rules += [
            one_of(f"ys_{s}", [0, 1]),
            one_of(f"ahead_{s}", [0, 1]),
            between(f"count_{s}", 0),
            between(f"order_count_{s}", 0),
        ]
    return rules


def _group_consistency(spec: ProfileSpec) -> list[Rule]:
    rules = [*present("unit", "cell", "n", "c"), between("n", 1), between("c", 0)]
    for s in spec.sources:
        rules += [
            between(f"support_{s}", 0),
            between(f"lift_{s}", 0, strict_min=True),
            between(f"lift_raw_{s}", 0, strict_min=True),
            between(f"consistent_{s}", 0, 1),
        ]
    return rules


def _icl_labels(spec: ProfileSpec) -> list[Rule]:
    binary = spec.labels.consistency.definition != "soft"
    names = ["icl", *(f"icl_{s}" for s in spec.sources)]
    icl = [one_of(n, [0, 1, 2]) if binary else between(n, 0, 2) for n in names]
    return [
        *present("event_id", "user_id", "item_id", "ts", "y", "mature_on"),
        unique("event_id"),
        *icl,
        *(between(f"support_{s}", 0) for s in spec.sources),
    ]


def _snapshot(*keys: str) -> Callable[[ProfileSpec], list[Rule]]:
    return lambda spec: present(*keys, "event_timestamp", "created")


def _item_features(spec: ProfileSpec) -> list[Rule]:
    return [rows(), *_snapshot("item_id")(spec), between("item_rate", 0), between("item_shown", 0)]


def _user_features(spec: ProfileSpec) -> list[Rule]:
    return [*_snapshot("user_id")(spec), between("user_rate", 0), between("user_shown", 0)]


def _training_set(spec: ProfileSpec) -> list[Rule]:
    return [
        *present("event_id", "user_id", "item_id", "event_timestamp", "y"),
        unique("event_id"),
        one_of("y", [0, 1]),
    ]


def _attributes(table: str) -> Callable[[ProfileSpec], list[Rule]]:
    def rules(spec: ProfileSpec) -> list[Rule]:
        named = spec.items if table == "items" else spec.users
        numbers = [name for name, attribute in named.items() if attribute.type == "numeric"]
        # NaN is above every number, so a bound finds it as it finds the infinities.
        finite = [between(name, -LARGEST, LARGEST) for name in numbers]
        # Without an item there is nothing to rank; users may all be strangers.
        some = [rows()] if table == "items" else []
        return [*some, *present(f"{table[:-1]}_id", "valid_from"), *finite]

    return rules


def _quarantine(spec: ProfileSpec) -> list[Rule]:
    return present("known_on", "rule", "file", "row", "raw")


SUITES: dict[str, Callable[[ProfileSpec], list[Rule]]] = {
    "items": _attributes("items"),
    "users": _attributes("users"),
    "events": _events,
    "quarantine": _quarantine,
    "impressions": _impressions,
    "source_interest": _source_interest,
    "group_consistency": _group_consistency,
    "icl_labels": _icl_labels,
    "user_features": _user_features,
    "item_features": _item_features,
    "scene_features": _snapshot("unit", "cell"),
    "user_interest": _snapshot("user_id", "state_us"),
    "training_set": _training_set,
}


# Every blocking check, as (table, check).
BLOCKING = (*((table, EXPECTATIONS) for table in SUITES), ("events", BALANCED))


def rules_for(table: str, spec: ProfileSpec) -> list[Rule]:
    """Returns the rules of one table under a profile."""
    return SUITES[table](spec)
