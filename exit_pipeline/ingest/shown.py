"""Lands what the service logged as shown."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from filecmp import cmp
from pathlib import Path

import pyarrow.parquet as pq

from exit_pipeline.errors import UsageError
from exit_pipeline.files import put_to_disk
from exit_pipeline.ingest.landing import day_of, landing_root, raw_tables
from exit_pipeline.lake import connect, render
from exit_pipeline.privacy import Forgotten
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings

SETTLED = timedelta(minutes=1)  # by then the service has written what it showed before midnight
NAME = "shown.parquet"
PARTIAL = f".{NAME}.*.partial"  # by process


def land_shown(
    settings: Settings, home: Home, profile: Profile, log: Path, now: datetime
) -> dict[date, int]:
    """Writes the days of a log that have ended to the landing place, a file a day.

    A day that is landed again is the same file, with what its log holds now; where that is what
    it held before, the file is left as it is, so that nobody takes the day for one that changed.

    Args:
        settings: Threads and memory.
        home: The default landing place.
        profile: Its raw table `shown`, or else `events`, lies by day, in the log contract's form.
        log: Folder that the service writes to.
        now: Days that ended a minute before are landed.

    Returns:
        Impressions by day.

    Raises:
        UsageError: The profile's events are read from no such table that lies by day.
        LandingError: The package that the profile names is not installed.
        LakeError: Someone has been being forgotten for long.
    """
    place, today, landed = _place(profile, home), (now.astimezone(UTC) - SETTLED).date(), {}
    for folder in sorted(log.glob("ds=*")):
        day = day_of(Path(folder.name))
        files = sorted(folder.glob("*.parquet"))
        if day is not None and day < today and files:
            landed[day] = _land(settings, home, profile, files, place.with_name(folder.name))
    return landed


def _place(profile: Profile, home: Home) -> Path:
    """Returns the folders, as a glob, of the raw table that gets what was shown."""
    read = raw_tables(profile, "events")
    pattern = read.get("shown", read.get("events", ""))
    if "ds=" not in Path(pattern).parent.name:
        raise UsageError(
            "the events are read from no raw table `shown` or `events` under `ds=` folders",
            where=f"landing.tables and the adapter of the events of {profile.name!r}",
            mend="add `shown: shown/ds=*/*.parquet` to landing.tables, and let the adapter unite "
            "`raw_shown` with the rest",
        )
    return (landing_root(profile, home) / pattern).parent


def _land(settings: Settings, home: Home, profile: Profile, files: list[Path], folder: Path) -> int:
    columns = ["event_id", "ts", "user_id", "item_id", "domain", "event_type", "request_id",
               "value", "position", *profile.spec.context]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / PARTIAL.replace("*", str(os.getpid()))
    read = render("_files", files=[str(file) for file in files], partitions=[])
    forgotten = Forgotten(home)
    with forgotten.letting_in(), connect(settings, home) as connection:
        salt, gone = forgotten.listed()
        rows = render("shown", columns=columns, files=read, salt=salt, forgotten=sorted(gone))
        connection.sql(rows).write_parquet(str(partial))
        if (folder / NAME).exists() and cmp(partial, folder / NAME, shallow=False):
            partial.unlink()
        else:
            put_to_disk(partial, folder / NAME)
    return pq.read_metadata(folder / NAME).num_rows
