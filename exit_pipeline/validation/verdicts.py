"""What a check said of each stored day, by the day's content: kept beside the lake.

Dagster's blocking checks stop what is downstream within their own run. A later run and the command
line look here: nothing is built on a day that failed, while its content is what failed, and
promotion asks for days whose content is what passed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from exit_pipeline.errors import LakeError, ValidationError
from exit_pipeline.files import write_text
from exit_pipeline.lake import DayState, Lake
from exit_pipeline.lake.table import Filter
from exit_pipeline.lock import exclusive
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.settings import Home
from exit_pipeline.validation.suites import BLOCKING

Verdicts = dict[str, tuple[str, bool]]


def record(
    home: Home, table: str, check: str, states: Mapping[date, DayState], passed: bool
) -> None:
    """Keeps what a check said of some days of a table."""
    file = _file(home, table, check)
    busy = LakeError("the verdicts are being written by another run", where=str(file))
    with exclusive(file.with_suffix(".lock"), 60, busy):
        kept = _read(file)
        kept |= {day.isoformat(): (state.hash, passed) for day, state in states.items()}
        write_text(file, json.dumps(kept, sort_keys=True))


def carry_verdicts(home: Home, table: str, day: date, before: DayState, after: DayState) -> None:
    """Lets what was said of a day hold for what will be left of it without a person's rows.

    The next run says it anew.
    """
    for file in (home.root / "verdicts").glob(f"{table}.*.json"):
        content, passed = _read(file).get(day.isoformat(), ("", False))
        if content == before.hash:
            record(home, table, file.stem.partition(".")[2], {day: after}, passed)


def failed_days(lake: Lake, table: str, check: str, first: date, last: date) -> list[date]:
    """Days of `first`…`last` that a check refused and whose content is still the same."""
    verdicts = _read(_file(lake.home, table, check))
    return [
        day
        for day, state in sorted(lake.days(table).items())
        if (day == date.min or first <= day <= last)
        and verdicts.get(day.isoformat()) == (state.hash, False)
    ]


def refused_days(lake: Lake, table: str, days: Sequence[date]) -> set[date]:
    """Days of a table, of some that rise, whose content a blocking check refused."""
    checks = [check for name, check in BLOCKING if name == table] if days else []
    return {day for one in checks for day in failed_days(lake, table, one, days[0], days[-1])}


def passed(lake: Lake, table: str) -> list[Filter]:
    """Filters that leave out the days of a table which a blocking check refused."""
    days = sorted(lake.days(table))
    return [(lake.partitions(table)[0], "!=", day) for day in refused_days(lake, table, days)]


def refuse_failed(lake: Lake, checks: Iterable[tuple[str, str]], first: date, last: date) -> None:
    """Refuses to build on days of `first`…`last` that a check refused.

    Raises:
        ValidationError: Names the table, the check and the days.
    """
    for table, check in checks:
        days = failed_days(lake, table, check, first, last)
        if days:
            raise ValidationError(
                f"{table}{_named(' of ', days)} failed {check!r}, and nothing is built on it",
                where=str(lake.folder(table)),
                mend="mend the landing files, materialize those days again, then this",
            )


def failed_checks(lake: Lake, spec: ProfileSpec) -> list[str]:
    """Says which blocking checks did not pass for what a model may be made of, or never ran.

    Args:
        lake: The tables.
        spec: Says how far back the newest model may reach.
    """
    newest = max(lake.days("training_set"), default=spec.start)
    since = newest - timedelta(days=spec.trained_days + spec.reach_days)
    said = []
    for table, check in BLOCKING:
        verdicts = _read(_file(lake.home, table, check))
        days = [
            day
            for day, state in sorted(lake.days(table).items())
            if (day == date.min or day >= since)
            and verdicts.get(day.isoformat()) != (state.hash, True)
        ]
        if days:
            said.append(f"{table}:{check}{_named(' on ', days)}")
    return said


def _named(before: str, days: list[date]) -> str:
    if days == [date.min]:  # a table without days
        return ""
    first = ", ".join(str(day) for day in days[:3])
    return before + (first if len(days) <= 3 else f"{first} and {len(days) - 3} more days")


def _file(home: Home, table: str, check: str) -> Path:
    return home.root / "verdicts" / f"{table}.{check}.json"


def _read(file: Path) -> Verdicts:
    if not file.exists():
        return {}
    return {day: (content, ok) for day, (content, ok) in json.loads(file.read_text()).items()}
