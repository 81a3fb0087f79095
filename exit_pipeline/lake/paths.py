"""Paths as the two engines want them: delta-rs takes and gives URLs, DuckDB takes patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable

from exit_pipeline.errors import LakeError

# delta-rs takes a folder for a URL: it stops the process on some of these and looks elsewhere on
# others. SQLAlchemy, behind the registry, ends a path at a question mark.
_NO_URL = re.compile(r"[?\[\]|^\\\x00-\x1f\x7f]|%[0-9a-fA-F]{2}")

_NULL = "__HIVE_DEFAULT_PARTITION__"


def check_folder(folder: Path | str) -> None:
    """Checks that Delta tables can lie below a folder.

    Raises:
        LakeError: Its path has characters that Delta's or MLflow's libraries cannot open.
    """
    if found := _NO_URL.search(str(folder)):
        raise LakeError(
            f"no table or registry can lie in this folder: its path has {found[0]!r}",
            where=str(folder),
            mend="choose a path without question marks, brackets, bars, carets, backslashes, "
            "control characters and a % before two hexadecimal digits",
        )


def is_table(folder: Path | str) -> bool:
    """Says whether a Delta table lies in a folder, or under a URL."""
    if "://" in str(folder):
        return DeltaTable.is_deltatable(str(folder))
    return bool(commits(Path(folder)))


def commits(folder: Path) -> list[Path]:
    """Returns the commits of a Delta table, oldest first; none where there is no table.

    The library finds no commit where a path has `#` or `?`.
    """
    return sorted((folder / "_delta_log").glob("[0-9]*.json"))


def table_files(
    table: DeltaTable, predicate: Sequence[tuple[str, str, str]] | None = None
) -> list[str]:
    """Returns the Parquet files of a Delta table, sorted, as paths of the file system.

    Raises:
        LakeError: The table has deletion vectors, which a plain reader of its files would not see.
    """
    if "deletionVectors" in (table.protocol().reader_features or []):
        raise LakeError(
            "the Delta table has deletion vectors: its files hold rows that are deleted",
            where=unquote(table.table_uri.removeprefix("file://")).rstrip("/"),
            mend="purge them with the engine that wrote them, and turn the feature off",
        )
    files = table.file_uris(file_pruning_predicate=list(predicate) if predicate else None)
    return sorted(uri if "://" in uri else unquote(uri) for uri in files)


def exact(path: str) -> str:
    """Returns the DuckDB pattern that matches one path and nothing else."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def hive_value(path: str, key: str) -> str | None:
    """Returns the value of the last `KEY=VALUE` folder on a path, or None."""
    found = re.findall(rf"(?:^|/){re.escape(key)}=([^/]*)(?=/)", path)
    return unquote(found[-1]) if found and found[-1] != _NULL else None
