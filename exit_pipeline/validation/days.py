"""Validates stored days of a table, and says of each day what is true of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from exit_pipeline.lake import Lake
from exit_pipeline.lake.paths import hive_value
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.settings import Settings
from exit_pipeline.validation.report import ValidationReport
from exit_pipeline.validation.run import validate
from exit_pipeline.validation.suites import EXPECTATIONS, rules_for
from exit_pipeline.validation.verdicts import record


def validate_days(
    table: str, lake: Lake, spec: ProfileSpec, settings: Settings, days: tuple[date, date] | None
) -> ValidationReport:
    """Validates stored days of a table, and keeps the verdict of each by its content.

    The days are read at once. Only where they break a rule is each looked at by itself.

    Args:
        table: One of `SUITES`.
        lake: Where it is.
        spec: The profile that its suite follows.
        settings: Memory limit and threads.
        days: The first and the last day; None for all of the table.

    Raises:
        ValidationRunError: A rule could not be run; no verdict is kept.
    """
    filters, states, parts = [], lake.days(table), lake.partitions(table)
    if days is not None:
        filters = [(parts[0], ">=", days[0]), (parts[0], "<=", days[1])]
        states = {day: state for day, state in states.items() if days[0] <= day <= days[1]}
    files, rules = lake.files(table, filters), rules_for(table, spec)
    report = validate(table, files, parts, rules, settings, lake.home)
    broken = [rule for rule, o in zip(rules, report.outcomes, strict=True) if not o.passed]
    failed = set(states) if broken else set()
    if len(failed) > 1:
        by_day = {day: [f for f in files if hive_value(f, parts[0]) == str(day)] for day in states}

        def fails(some: Collection[date]) -> bool:
            found = [file for day in some for file in by_day[day]]
            return not validate(table, found, parts, broken, settings, lake.home, docs=False).passed

        failed = {day for day in states if fails([day])}
        rest = states.keys() - failed
        # What days break only together, such as an id that two of them share, is told of all.
        if rest and fails(rest):
            failed = set(states)
    for passed in (True, False):
        told = {day: state for day, state in states.items() if (day not in failed) is passed}
        record(lake.home, table, EXPECTATIONS, told, passed)
    return replace(report, failed=sorted(failed))
