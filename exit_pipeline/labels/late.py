"""Late rows: which days they re-open, and what group sums knew when, for the few they matter to."""

from __future__ import annotations

from datetime import date, timedelta

from exit_pipeline.labels.names import names, values
from exit_pipeline.lake import Connection, Lake, create_table
from exit_pipeline.profile import ProfileSpec


def first_touched(day: date, oldest: date, lateness_days: int, *, again: bool) -> date:
    """Returns the first day whose events a landing day changed.

    Args:
        day: The landing day.
        oldest: The first day that its rows belong to.
        lateness_days: How far back a landing day may reach.
        again: It was read before, so it may have lost rows, too.
    """
    return min(oldest, day - timedelta(days=lateness_days if again else 0))


def first_left_behind(
    day: date, touched: date, *, horizon_days: int, start: date, newest: date | None, settling: date
) -> date | None:
    """Returns the first label day that a landing day moved, unless conditions follow it anyway.

    A label of a day hangs on events up to `horizon_days` later. Conditions look at the newest days
    alone, and take a landing day for outcomes of the day that it matures, not for rows of days
    before: what is moved before either of these is left behind.

    Args:
        day: The landing day.
        touched: The first day whose events it changed.
        horizon_days: Days until an exposure's outcome is known.
        start: The first day that can have a label.
        newest: The newest mature day; None where none is.
        settling: The first of the days in which conditions follow new content.

    Returns:
        The day, or None where nothing mature is left behind.
    """
    horizon = timedelta(days=horizon_days)
    moved = max(touched - horizon, start)
    followed = moved >= max(day - horizon, settling)
    return None if newest is None or moved > newest or followed else moved


def make_late_versions(
    connection: Connection, lake: Lake, spec: ProfileSpec, first: date, last: date
) -> None:
    """Makes `late_landings` and `versions`, the inputs of `group_sums.sql`.

    A late row enters group sums of days after it landed only. So the log of a user with late rows
    is replayed once for each landing that brought one, with what was known before it, by the very
    rules that make the labels (ours).

    Args:
        connection: Has `impressions` and `source_interest` in view.
        lake: Where `events`, `items` and `users` are.
        spec: The profile.
        first: The first effective day of the sums.
        last: The last one.
    """
    labels, landing = spec.labels, spec.landing
    moved = landing.lateness_days + labels.horizon_days
    exposures = first - timedelta(days=labels.maturity_days + moved)
    reach = max(labels.consistency.own_response_days, labels.history_days)
    newest = last - timedelta(days=1)
    lake.view(
        connection,
        "events",
        [("ds", ">=", exposures - timedelta(days=reach)), ("ds", "<=", newest)],
    )
    for name in ("items", "users"):
        lake.view(connection, name)
    bound = {
        **values(spec, exposures, last),
        "reach_days": moved + reach,
        "moved_days": moved,
    }
    create_table(connection, "late_landings", "late_landings", bound, **names(spec))
    create_table(connection, "replay_versions", "late_replay_versions", bound)
    replayed = names(
        spec,
        events="replay_events",
        users="replay_users",
        exposures="replayed_impressions",
        source_events="replayed_source_events",
    )
    create_table(connection, "replay_events", "late_replay_events", bound, **names(spec))
    create_table(connection, "replay_users", "late_replay_users", bound)
    own = {**bound, "first": exposures - timedelta(days=reach)}
    create_table(connection, "replayed_impressions", "impressions", own, **replayed)
    create_table(connection, "replayed_source_events", "source_events", bound, **replayed)
    create_table(connection, "replayed_interest", "source_interest", bound, **replayed)
    create_table(connection, "versions", "late_versions", bound, **names(spec))
