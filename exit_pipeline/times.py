"""Moments as whole microseconds since 1970 UTC, which is how SQL and states of users keep them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def since_epoch(moment: datetime) -> int:
    """Returns a moment in µs since 1970 UTC; one without a zone is UTC."""
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    # Not by timedeltas' own division, which costs as much as reading a state does.
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(us: int) -> datetime:
    """Returns the moment of µs since 1970, in UTC; exact, as a float of seconds would not be."""
    return EPOCH + timedelta(microseconds=us)
