"""Stages files in the contract's form as a landing place, with adapters that add nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from exit_pipeline.errors import LandingError, UsageError
from exit_pipeline.ingest.contract import attribute_columns, event_columns
from exit_pipeline.ingest.files import DECLARED, agreed_columns, schema_of
from exit_pipeline.ingest.landing import day_of
from exit_pipeline.lake import render
from exit_pipeline.lake.paths import check_folder, hive_value, is_table, table_files
from exit_pipeline.lake.states import logged_states
from exit_pipeline.lake.table import PARTITIONS
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home

NULLABLE = {"request_id": "varchar", "value": "double", "position": "integer"}
Span = tuple[date, date]


def stage_inputs(
    profile: Profile, inputs: Mapping[str, Path], home: Home, span: Span | None = None
) -> Profile:
    """Links files into a landing place, and returns the profile that reads them there.

    Args:
        profile: Describes the data set.
        inputs: `events`, `items`, `users` → a Parquet file or folder, or a Delta table.
        home: The scratch home.
        span: The first and last day of events that do not lie by day, once they are known.

    Raises:
        LandingError: An input is missing or unreadable.
        ContractError: Files of one table have different columns.
        UsageError: Some event files lie under `ds=` folders, and others do not.
        LakeError: A Delta table has deletion vectors.
    """
    tables = {}
    for table, path in inputs.items():
        links = _links(table, path, home.landing / table)
        by_day = table == "events" and _lies_by_day(links, home.landing)
        tables[table] = f"{table}/**/ds=*/**/*.parquet" if by_day else f"{table}/**/*.parquet"
        sql = _adapter(profile, table, links, home, in_cents=_is_ours(path), span=span)
        (home.root / f"{table}.sql").write_text(sql, "utf-8")
    landing = profile.spec.landing.model_copy(update={"path": str(home.landing), "tables": tables})
    spec = profile.spec.model_copy(
        update={
            "landing": landing,
            "adapter": {table: f"{table}.sql" for table in inputs},
            **(dict(zip(("start", "end"), span, strict=True)) if span else {}),
        }
    )
    return Profile(spec, home.root / "profile.yaml", profile.text)


def staged_days(home: Home) -> list[date]:
    """Returns the days of the events' `ds=` folders."""
    found = (day_of(link.relative_to(home.landing)) for link in _staged(home.landing / "events"))
    return sorted({day for day in found if day})


def _adapter(
    profile: Profile,
    table: str,
    links: list[Path],
    home: Home,
    *,
    in_cents: bool,
    span: Span | None,
) -> str:
    spec, kinds = profile.spec, agreed_columns(links)
    folders = {part for link in links for part in link.relative_to(home.landing).parts[:-1]}
    columns = kinds.keys() | {part.split("=", 1)[0] for part in folders if "=" in part}
    wanted = event_columns(spec) if table == "events" else attribute_columns(spec, table)
    may_lack = NULLABLE | dict.fromkeys(spec.context, "varchar")
    return render(
        "own_adapter",
        table=table,
        present=[n for n in wanted if n in columns and n not in ("ds", "file", "row")],
        absent={n: kind for n, kind in may_lack.items() if n in wanted and n not in columns},
        has_day="ds" in columns,
        has_time=pa.types.is_timestamp(kinds.get("ts", pa.null())),
        in_cents=in_cents,
        span=span,
    )


def _links(table: str, path: Path, folder: Path) -> list[Path]:
    """Links the files of one input below a folder; only what is below the path given counts."""
    delta = path.is_dir() and is_table(path)
    if delta:
        check_folder(path)
        files = [Path(file) for file in table_files(DeltaTable(str(path)))]
    else:
        files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise LandingError(
            f"there is no Parquet file of {table!r}",
            where=str(path),
            mend=f"--{table} takes a Parquet file, a folder of them, or a Delta table",
        )
    root, ours = path.parent if path.is_file() else path, _is_ours(path)
    for file in files:
        below = file.absolute().relative_to(root.absolute())
        if ours:  # the day that brought a row is the one to label it by
            below = Path(f"ds={hive_value(below.as_posix(), 'known_on')}", below.name)
        link = folder / below.with_name(below.name.removesuffix(".parquet") + ".parquet")
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(file.absolute())
    if ours:
        _add_quiet_days(path, folder)
    if delta:
        _declare_columns(path, folder)
    return _staged(folder)


def _add_quiet_days(path: Path, folder: Path) -> None:
    """Adds a file without rows for each day that a lake ingested without events."""
    raw = _schema_of_files(DeltaTable(str(path)))
    for day in logged_states(path):
        quiet = folder / f"ds={day}"
        if not quiet.exists():
            quiet.mkdir(parents=True)
            pq.write_table(raw.empty_table(), quiet / "quiet.parquet")


def _declare_columns(path: Path, folder: Path) -> None:
    """Declares what a Delta table's older files lack: columns that were added to it since."""
    links = [file for file in _staged(folder) if file.is_symlink()]
    names = [set(schema_of(link).names) for link in links]
    raw = _schema_of_files(DeltaTable(str(path)))
    added = [column for column in raw if any(column.name not in found for found in names)]
    for place in {link.parent for link in links} if added else ():
        pq.write_table(pa.schema(added).empty_table(), place / DECLARED)


def _schema_of_files(table: DeltaTable) -> pa.Schema:
    """Returns a Delta table's columns but for those that its folders tell."""
    told = table.metadata().partition_columns
    schema = pa.schema(table.schema().to_arrow())
    return pa.schema([column for column in schema if column.name not in told])


def _staged(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def _is_ours(path: Path) -> bool:
    """Says whether a path is the `events` table of a lake: in cents, by landing day."""
    if not (path.is_dir() and is_table(path)):
        return False
    return tuple(DeltaTable(str(path)).metadata().partition_columns) == PARTITIONS["events"]


def _lies_by_day(links: list[Path], landing: Path) -> bool:
    undated = [link for link in links if day_of(link.relative_to(landing)) is None]
    if undated and len(undated) < len(links):
        raise UsageError(
            "some files of the events lie under ds=YYYY-MM-DD folders and others do not",
            where=str(undated[0].readlink()),
            mend="put all of them under such folders, or none",
        )
    return not undated
