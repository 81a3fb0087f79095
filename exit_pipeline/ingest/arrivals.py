"""What has landed, day by day: whether its files are others than before, and since when."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import NamedTuple

from exit_pipeline.ingest.landing import day_of, landing_root, raw_tables
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home


class Arrival(NamedTuple):
    """The files of one landing day.

    Args:
        fingerprint: SHA-256 over their names, sizes and times of change, shortened.
        came: When the last of them came to lie there or was changed, in seconds since the epoch,
            whatever time a copy gave it.
    """

    fingerprint: str
    came: float


def arrivals(profile: Profile, home: Home) -> dict[date, Arrival]:
    """Returns what lies under each `ds=` folder that the events are read from, by day.

    No file is opened. A log that does not lie by day has no arrivals.

    Raises:
        LandingError: The package that the profile names is not installed.
    """
    root = landing_root(profile, home)
    found: dict[date, list[tuple[str, int, int]]] = {}
    came: dict[date, float] = {}
    for pattern in raw_tables(profile, "events").values():
        for file in root.glob(pattern) if "ds=" in pattern else ():
            name = file.relative_to(root)
            if (day := day_of(name)) is not None:
                told = file.stat()
                found.setdefault(day, []).append((str(name), told.st_size, told.st_mtime_ns))
                came[day] = max(came.get(day, 0.0), told.st_mtime, told.st_ctime)
    return {
        day: Arrival(
            hashlib.sha256(repr(sorted(files)).encode()).hexdigest()[:16],
            came[day],
        )
        for day, files in sorted(found.items())
    }
