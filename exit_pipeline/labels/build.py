"""Builds the label tables, a range of days at a time, from what the lake holds."""

from __future__ import annotations

from datetime import date, timedelta

from exit_pipeline.errors import NotMatureError
from exit_pipeline.labels.expectation import make_expected
from exit_pipeline.labels.late import make_late_versions
from exit_pipeline.labels.names import names, values
from exit_pipeline.labels.stored import first_landed, first_morning, require_days
from exit_pipeline.lake import Connection, DayState, Lake, create_table, render
from exit_pipeline.lake.engine import Engine
from exit_pipeline.lake.paths import hive_value
from exit_pipeline.lake.table import Filter, days_between
from exit_pipeline.profile import Profile, ProfileSpec

States = dict[date, DayState]


def last_landed(lake: Lake) -> date | None:
    """Returns the newest landing day ingested, or None before the first.

    Days before it may be missing. Features go up to it all the same: they say what had landed by
    their day, and a missing day had not.
    """
    return max(lake.days("events"), default=None)


def missing_day(lake: Lake) -> date | None:
    """Returns the first day between the first and the newest ingested that was not, or None."""
    ingested = lake.days("events")
    whole = days_between(min(ingested), max(ingested)) if ingested else []
    return next((day for day in whole if day not in ingested), None)


def last_whole(lake: Lake) -> date | None:
    """Returns the newest landing day up to which no day is missing, or None before the first.

    Labels go by it: outcomes may lie in a day that is missing.
    """
    missing = missing_day(lake)
    return missing - timedelta(days=1) if missing else last_landed(lake)


def last_mature(lake: Lake, spec: ProfileSpec) -> date | None:
    """Returns the newest day whose exposures are mature, or None."""
    whole = last_whole(lake)
    return whole and whole - timedelta(days=spec.labels.horizon_days)


def last_morning(lake: Lake) -> date | None:
    """Returns the newest day on whose morning everything before it has landed."""
    whole = last_whole(lake)
    return whole and whole + timedelta(days=1)


def newest_day(lake: Lake, table: str) -> date | None:
    """Returns the newest day that a table holds, or None."""
    return max(lake.days(table), default=None)


def oldest_event(lake: Lake, first: date, last: date) -> date:
    """Returns the first day that events belong to which landed on `first`…`last`; else `first`.

    The events' own partitions say so: no row is read.
    """
    landed: list[Filter] = [("known_on", ">=", first), ("known_on", "<=", last)]
    files = lake.files("events", landed) if lake.exists("events") else []
    days = (hive_value(file, "ds") for file in files)
    return min([first, *(date.fromisoformat(day) for day in days if day)])


def build_impressions(
    connection: Connection, lake: Lake, profile: Profile, first: date, last: date
) -> States:
    """Builds `impressions`: each target exposure of mature days with its outcome.

    Raises:
        NotMatureError: The day that matures `last` has not landed.
    """
    spec = profile.spec
    mature = last_mature(lake, spec)
    if mature is None or last > mature:
        matures, missing = last + _days(spec.labels.horizon_days), missing_day(lake)
        gap = f", and {missing} is missing" if missing and missing <= matures else ""
        raise NotMatureError(
            f"exposures of {last} are not mature before {matures} has landed{gap}",
            where="impressions",
            mend=f"ask for days up to {mature}, or land and ingest {missing or 'the day after'} "
            "(a file without rows is a day without events)",
        )
    horizon = _days(spec.labels.horizon_days)
    lake.view(connection, "events", _between(first - horizon, last + horizon))
    _view_attributes(connection, lake)
    create_table(connection, "built", "impressions", values(spec, first, last), **names(spec))
    return lake.replace(connection, "impressions", "built", days_between(first, last))


def build_source_interest(
    connection: Connection, lake: Lake, profile: Profile, first: date, last: date
) -> States:
    """Builds `source_interest`: what users showed in each source before and after exposures.

    Raises:
        LakeError: `impressions` of these days, or of those that own responses reach back to, were
            not built.
    """
    spec, labels = profile.spec, profile.spec.labels
    shown = first - _days(labels.consistency.own_response_days)
    require_days(lake, "impressions", min(first, max(shown, first_landed(lake, spec))), last)
    lake.view(connection, "impressions", _between(shown, last))
    events = _between(first - _days(labels.history_days), last + _days(labels.horizon_days))
    lake.view(connection, "events", events)
    lake.view(connection, "items")
    bound = values(spec, first, last)
    events_of = f"({render('source_events', **names(spec))})"
    create_table(
        connection, "built", "source_interest", bound, **names(spec, source_events=events_of)
    )
    return lake.replace(connection, "source_interest", "built", days_between(first, last))


def build_group_consistency(
    connection: Connection, lake: Lake, profile: Profile, first: date, last: date
) -> States:
    """Builds `group_sums` and `group_consistency` as known on the mornings of `first`…`last`.

    Raises:
        LakeError: Exposures that mature on these mornings, or sums of mornings before, were not
            built.
    """
    spec, maturity = profile.spec, _days(profile.spec.labels.maturity_days)
    since, until = first - maturity, last - maturity
    require_days(lake, "group_sums", first_morning(lake, spec), first - _days(1))
    for name in ("impressions", "source_interest"):
        require_days(lake, name, max(since, first_landed(lake, spec)), until)
        lake.view(connection, name, _between(since, until))
    make_late_versions(connection, lake, spec, first, last)
    bound = values(spec, since, until)
    create_table(connection, "labelled", "labelled", bound, **names(spec))
    bound = values(spec, first, last)
    if spec.labels.consistency.expectation == "regression":
        assert not isinstance(connection, Engine)  # refused by check_engine
        make_expected(connection, lake, spec, first, last)
        signed = "expected"
    else:
        signed = f"({render('signed', **names(spec))})"
    create_table(connection, "built", "group_sums", bound, **names(spec, signed=signed))
    days = days_between(first, last)
    lake.replace(connection, "group_sums", "built", days)
    lake.view(connection, "group_sums")
    create_table(connection, "built", "group_consistency", bound, **names(spec))
    return lake.replace(connection, "group_consistency", "built", days)


def build_icl_labels(
    connection: Connection, lake: Lake, profile: Profile, first: date, last: date
) -> States:
    """Builds `icl_labels`, the label table (version 1) of `docs/labels.md`.

    Raises:
        LakeError: A table that it joins was not built for all of these days.
    """
    spec = profile.spec
    for name in ("impressions", "source_interest", "group_consistency"):
        # Before the first morning nothing is known of a group, and there is no such day.
        known = first_morning(lake, spec) if name == "group_consistency" else first
        require_days(lake, name, max(first, known), last)
        lake.view(connection, name, _between(first, last))
    create_table(connection, "built", "icl_labels", values(spec, first, last), **names(spec))
    return lake.replace(connection, "icl_labels", "built", days_between(first, last))


def _view_attributes(connection: Connection, lake: Lake) -> None:
    for name in ("items", "users"):
        lake.view(connection, name)


def _between(first: date, last: date) -> list[tuple[str, str, date]]:
    return [("ds", ">=", first), ("ds", "<=", last)]


def _days(number: int) -> timedelta:
    return timedelta(days=number)
