"""Finds landing files, and the days that they are of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from exit_pipeline.errors import LandingError
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home

_DAY = re.compile(r"(?:^|/)ds=(\d{4}-\d{2}-\d{2})(?:/|$)")
# ds=2026-01-05.tmp is what another program may call a day's folder while it writes it.
_ODD = re.compile(r"(?:^|/)ds=(?!\d{4}-\d{2}-\d{2}[^/])")


def landing_root(profile: Profile, home: Home) -> Path:
    """Returns the folder of the raw files: the profile's, a package's, or the home's `landing`.

    Raises:
        LandingError: The package that the profile names is not installed.
    """
    landing = profile.spec.landing
    if landing.package:
        return _package_folder(landing.package)
    return home.landing if landing.path is None else (profile.file.parent / landing.path).resolve()


def lands_by_day(profile: Profile) -> bool:
    """Says whether raw events lie under `ds=` folders, so that a day's files can be told apart."""
    return any("ds=" in pattern for pattern in raw_tables(profile, "events").values())


def landed_days(profile: Profile, home: Home) -> list[date]:
    """Returns the days that have a `ds=` folder in any raw table that the events are read from.

    A day is read once all of these tables have a file of it (see `landing_files`).

    Raises:
        LandingError: A folder's name is no day, or the package of the profile is not installed.
    """
    root = landing_root(profile, home)
    patterns = [p for p in raw_tables(profile, "events").values() if "ds=" in p]
    folders = (folder for pattern in patterns for folder in root.glob(str(Path(pattern).parent)))
    found = (_named_day(root, folder) for folder in folders)
    return sorted({day for day in found if day is not None})


def raw_tables(profile: Profile, table: str) -> Mapping[str, str]:
    """Returns the raw tables that an adapter reads, with the patterns of their files."""
    adapter = profile.adapter_sql(table)
    tables = profile.spec.landing.tables.items()
    return {name: pattern for name, pattern in tables if re.search(rf"\braw_{name}\b", adapter)}


def _package_folder(folder: str) -> Path:
    name, *rest = folder.split("/")
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise LandingError(
            f"the package {name!r} that holds the raw files is not installed",
            where=folder,
            mend=f"pip install {name}",
        )
    return Path(found.submodule_search_locations[0], *rest)


def landing_files(root: Path, name: str, pattern: str, day: date | None) -> list[Path]:
    """Returns the files of a raw table, of one day where they lie by day and one is given.

    Raises:
        LandingError: There is none, or a folder's name is no day.
    """
    files = [file for file in sorted(root.glob(pattern)) if file.is_file()]
    if "ds=" in pattern and day is not None:
        files = [file for file in files if _named_day(root, file) == day]
    if not files:
        when = f" for {day}" if day else ""
        raise LandingError(
            f"no landing file of {name!r}{when}",
            where=str(root / pattern),
            mend="land the day (a file without rows is a day without events), or select the days "
            "around it",
        )
    return files


def day_of(path: Path) -> date | None:
    """Returns the day of the `ds=` folder that a path lies under, or None."""
    match = _DAY.search(path.as_posix())
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def _named_day(root: Path, path: Path) -> date | None:
    """Like `day_of`, but a folder `ds=2026-13-01`, which nobody would ever read, is refused."""
    below = path.relative_to(root)
    day = day_of(below)
    if day is None and _ODD.search(below.as_posix()):
        raise LandingError(
            "a `ds=` folder names no day, so its rows would never be read",
            where=str(path),
            mend="rename it to ds=YYYY-MM-DD, the day that brought its files, or move it away",
        )
    return day
