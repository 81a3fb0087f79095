"""What a check said of each stored day, by the day's content: kept beside the lake.

Dagster's blocking checks stop what is downstream within their own run. A later run, the command
line and promotion look here: a day counts as fit only while its content is what passed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from exit_pipeline.errors import LakeError, ValidationError
from exit_pipeline.lake import DayState, Lake
from exit_pipeline.lock import exclusive
from exit_pipeline.settings import Home

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
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(kept, sort_keys=True), "utf-8")
        os.replace(partial, file)


def failed_days(lake: Lake, table: str, check: str, last: date | None = None) -> list[date]:
    """Days (up to `last`) that a check refused and whose content is still the same."""
    verdicts = _read(_file(lake.home, table, check))
    return [
        day
        for day, state in sorted(lake.days(table).items())
        if verdicts.get(day.isoformat()) == (state.hash, False) and (last is None or day <= last)
    ]


def refuse_failed(lake: Lake, checks: Iterable[tuple[str, str]], last: date) -> None:
    """Refuses to build on days that a check refused.

    Raises:
        ValidationError: Names the table, the check and the days.
    """
    for table, check in checks:
        days = failed_days(lake, table, check, last)
        if days:
            raise ValidationError(
                f"{table} of {_named(days)} failed {check!r}, and nothing is built on it",
                where=str(lake.folder(table)),
                mend="mend the landing files, materialize those days again, then this",
            )


def unfit(lake: Lake, checks: Iterable[tuple[str, str]]) -> list[str]:
    """Says which checks did not pass for what is stored now: failed, or never run on it."""
    said = []
    for table, check in checks:
        verdicts = _read(_file(lake.home, table, check))
        days = [
            day
            for day, state in sorted(lake.days(table).items())
            if verdicts.get(day.isoformat()) != (state.hash, True)
        ]
        if days:
            said.append(f"{table}:{check} on {_named(days)}")
    return said


def _named(days: list[date]) -> str:
    first = ", ".join(str(day) for day in days[:3])
    return first if len(days) <= 3 else f"{first} and {len(days) - 3} more days"


def _file(home: Home, table: str, check: str) -> Path:
    return home.root / "verdicts" / f"{table}.{check}.json"


def _read(file: Path) -> Verdicts:
    if not file.exists():
        return {}
    return {day: (content, ok) for day, (content, ok) in json.loads(file.read_text()).items()}
