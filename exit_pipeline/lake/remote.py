"""A lake in an object store: written there, and read from a copy on this machine's disk.

Parquet files never change and commits are only added, so the copy fetches each once. Its folder
says of which lake it is one: what lies under `lake.s3/bucket/path` is of `s3://bucket/path`. So
whoever opens a table there, as Feast does by its path, follows the store without being told of it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from pyarrow import fs

from exit_pipeline.errors import LakeError
from exit_pipeline.files import put_to_disk
from exit_pipeline.lock import exclusive
from exit_pipeline.settings import COPIES

FETCHES_AT_ONCE, LOCK_SECONDS = 8, 300.0
SECONDS_TO_CONNECT, SECONDS_OF_SILENCE, TRIES = 5, 30, 3
# Checkpoints are left out: none of these commits ever expires, and they are written more than once.
_COMMIT = re.compile(r"\d{20}\.json")


class RemoteTable:
    """A table in an object store, and the folder that has a copy of it.

    Endpoint, region and keys come from the usual environment: `AWS_ENDPOINT_URL`, `AWS_REGION`,
    `AWS_ACCESS_KEY_ID` and so on.

    Args:
        folder: The copy's; it may be removed whenever nothing reads it.
        place: Bucket and path of the table.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self.folder, self.place = folder, place

    @property
    def url(self) -> str:
        """As delta-rs takes it."""
        return f"s3://{self.place}"

    def follow(self) -> None:
        """Fetches the commits that the store has and the copy has not, oldest first.

        Where the store's table is not the copied one, since somebody emptied the place and began
        anew, the copy's log is made anew.

        Raises:
            LakeError: The store cannot be reached, or refuses.
        """
        log = self.folder / "_delta_log"
        refusal = LakeError(
            f"another process has been fetching for {LOCK_SECONDS:.0f} s",
            where=str(log),
            mend="see that it lives and that the store answers, then run again",
        )
        with reaching(self.place), exclusive(self.folder / ".following", LOCK_SECONDS, refusal):
            there = [file for file in self._listed("_delta_log") if _is_commit(file)]
            if not there:
                check(self.place)
            if log.exists() and not _begins(there, log):
                shutil.rmtree(log)
            self._fetch([file for file in there if not (log / file.base_name).exists()])

    def fetch(self, files: Sequence[str] | None = None) -> None:
        """Fetches the Parquet files that are not there yet.

        Args:
            files: Paths of the copy; by default all that the store has, of whatever version.

        Raises:
            LakeError: The store cannot be reached, or refuses, or has lost one of them.
        """
        with reaching(self.place):
            if files is None:
                found = [file for file in self._listed() if file.extension == "parquet"]
                found = [file for file in found if "/_delta_log/" not in file.path]
            else:
                missing = [Path(file) for file in files if not Path(file).exists()]
                found = _store().get_file_info([self._there(file) for file in missing])
            self._fetch([file for file in found if not self._here(file).exists()])

    def drop(self, file: Path) -> None:
        """Deletes a file of the copy from the store."""
        with reaching(self.place):
            if _store().get_file_info(self._there(file)).type != fs.FileType.NotFound:
                _store().delete_file(self._there(file))

    def _listed(self, folder: str = "") -> list[fs.FileInfo]:
        where = f"{self.place}/{folder}".rstrip("/")
        found = _store().get_file_info(fs.FileSelector(where, recursive=True, allow_not_found=True))
        files = (file for file in found if file.type == fs.FileType.File)
        return sorted(files, key=lambda file: file.path)

    def _fetch(self, files: Sequence[fs.FileInfo]) -> None:
        """Fetches several at once; each gets its name when the disk has it, in the order given."""
        if not files:
            return
        partials = [self._here(file).with_name(f".fetching-{uuid4().hex}") for file in files]
        try:
            with ThreadPoolExecutor(FETCHES_AT_ONCE) as threads:
                fetched = threads.map(_fetch_one, files, partials)
                for file, partial, _ in zip(files, partials, fetched, strict=True):
                    put_to_disk(partial, self._here(file))
        finally:
            for partial in partials:
                partial.unlink(missing_ok=True)

    def _here(self, file: fs.FileInfo) -> Path:
        return self.folder / file.path.removeprefix(f"{self.place}/")

    def _there(self, file: Path) -> str:
        return f"{self.place}/{file.relative_to(self.folder).as_posix()}"


def remote(table: Path) -> RemoteTable | None:
    """Returns the table that a folder is a copy of; None where it is a table of its own."""
    parts = table.parts
    if COPIES not in parts:
        return None
    after = len(parts) - parts[::-1].index(COPIES)
    return RemoteTable(table, "/".join(parts[after:]))


def followed(table: Path) -> Path:
    """Returns a table's folder; where it is a copy, with the store's log of now."""
    if copied := remote(table):
        copied.follow()
    return table


def fetched(table: Path, files: list[str]) -> list[str]:
    """Returns Parquet files of a table; where it is a copy, once it has them."""
    if copied := remote(table):
        copied.fetch(files)
    return files


def address(table: Path) -> str:
    """Returns where a table is written: its folder, or its URL in the store."""
    copied = remote(table)
    return copied.url if copied else str(table)


def names(lake: Path) -> list[str]:
    """Returns the names of what lies in the lake that a folder is a copy of."""
    copied = remote(lake)
    assert copied is not None
    with reaching(copied.place):
        found = _store().get_file_info(fs.FileSelector(copied.place, allow_not_found=True))
    return [file.base_name for file in found if file.type == fs.FileType.Directory]


def check(place: str) -> None:
    """Sees that the store answers and has the bucket of a place.

    Raises:
        LakeError: It does not, or has not.
    """
    bucket = place.partition("/")[0]
    with reaching(place):
        if _store().get_file_info(bucket).type == fs.FileType.NotFound:
            raise OSError(f"there is no bucket {bucket!r}")


def options() -> dict[str, str]:
    """Returns what delta-rs must be told to write where we read."""
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return {"allow_http": "true"} if plain else {}


@contextmanager
def reaching(place: str) -> Iterator[None]:
    """Says of which setting it is that a store fails."""
    try:
        yield
    except OSError as error:
        raise LakeError(
            f"the lake's object store could not be read: {error}",
            where=f"EXIT_LAKE, s3://{place}",
            mend="see that EXIT_LAKE, AWS_ENDPOINT_URL, AWS_REGION and the AWS keys are right, "
            "and that the store is up; then run again",
        ) from error


def _fetch_one(file: fs.FileInfo, target: Path) -> None:
    """Fetches a file; its time stays the store's."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _store().open_input_stream(file.path) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    os.utime(target, ns=(file.mtime_ns, file.mtime_ns))


def _is_commit(file: fs.FileInfo) -> bool:
    return _COMMIT.fullmatch(file.base_name) is not None


def _begins(there: Sequence[fs.FileInfo], log: Path) -> bool:
    """Whether what is copied of a log is what the store has of it, by name, size and time."""
    seen = {file.base_name: (file.size, file.mtime_ns) for file in there}
    stats = ((file.name, file.stat()) for file in log.glob("[0-9]*.json"))
    return all(seen.get(name) == (stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@cache
def _store() -> fs.S3FileSystem:
    return fs.S3FileSystem(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL") or None,
        connect_timeout=SECONDS_TO_CONNECT,
        request_timeout=SECONDS_OF_SILENCE,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
    )
