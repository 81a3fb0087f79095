"""A lake in an object store: written there, and read from a copy on this machine's disk.

Parquet files never change and commits are only added, so the copy fetches each once. A file in the
folder of the copy says of which lake it is one: whoever opens a table there, as Feast does by its
path, follows the store without being told of it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from pyarrow import fs

from exit_pipeline.errors import LakeError

MARK = ".copy-of"
FETCHES_AT_ONCE = 8
SECONDS_TO_CONNECT, SECONDS_OF_SILENCE, TRIES = 5, 30, 3
# What readers need of a log; a store may hold a writer's half-done commits beside it.
_OF_A_LOG = re.compile(r"\d{20}\.(json|checkpoint.*\.parquet)")


class Remote:
    """A lake under an `s3://` URL, and the folder that holds a copy of it.

    Args:
        folder: Where the copy lies; it may be removed whenever nothing reads it.
        url: The lake's, as `s3://bucket/path`. Endpoint, region and keys come from the usual
            environment: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID` and so on.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url.rstrip("/")
        self._root = self.url.removeprefix("s3://")

    def check(self) -> None:
        """Sees that the store answers and has the bucket.

        Raises:
            LakeError: It does not, or has not.
        """
        bucket = self._root.partition("/")[0]
        with self._reaching():
            if _store().get_file_info(bucket).type == fs.FileType.NotFound:
                raise OSError(f"there is no bucket {bucket!r}")

    def tables(self) -> list[str]:
        """Returns the names of what lies under the URL."""
        with self._reaching():
            found = _store().get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return sorted(file.base_name for file in found if file.type == fs.FileType.Directory)

    def follow(self, table: str) -> None:
        """Fetches the commits that the store has and the copy has not, oldest first.

        Where the store's table is not the copied one, as after a full refresh from another machine,
        the copy's log is made anew.

        Raises:
            LakeError: The store cannot be reached, or refuses.
        """
        log = self.folder / table / "_delta_log"
        there = self._log(table)
        # Another process may have copied a commit that came after ours was listed.
        if not _begins(there, log):
            there = self._log(table)
        if not _begins(there, log):
            shutil.rmtree(log)
        self._fetch(file for file in there if not (log / file.base_name).exists())

    def fetch(self, files: Iterable[str]) -> None:
        """Fetches the Parquet files, paths of the copy, that are not there yet.

        Raises:
            LakeError: The store cannot be reached, or refuses, or has lost one of them.
        """
        missing = [Path(file) for file in files if not Path(file).exists()]
        with self._reaching():
            found = _store().get_file_info([self._there(file) for file in missing])
        self._fetch(found)

    def fetch_all(self, table: str) -> None:
        """Fetches every Parquet file of a table, in any of its versions."""
        with self._reaching():
            every = fs.FileSelector(f"{self._root}/{table}", recursive=True, allow_not_found=True)
            found = _store().get_file_info(every)
        paths = (self._here(file) for file in found if file.path.endswith(".parquet"))
        self.fetch(str(path) for path in paths if "_delta_log" not in path.parts)

    def drop(self, file: Path) -> None:
        """Deletes a file of the copy from the store."""
        with self._reaching():
            if _store().get_file_info(self._there(file)).type != fs.FileType.NotFound:
                _store().delete_file(self._there(file))

    def beside(self, prefix: str) -> list[str]:
        """Returns the names of the folders beside this lake that begin with a prefix, sorted."""
        parent = Remote(self.folder.parent, self.url.rpartition("/")[0])
        return [name for name in parent.tables() if name.startswith(prefix)]

    def move(self, name: str) -> None:
        """Moves the lake beside itself; everything is there under the new name before any goes."""
        target = f"{self._root.rpartition('/')[0]}/{name}"
        with self._reaching():
            store = _store()
            every = store.get_file_info(fs.FileSelector(self._root, recursive=True))
            for file in every:
                if file.type == fs.FileType.File:
                    store.copy_file(file.path, target + file.path.removeprefix(self._root))
            store.delete_dir(self._root)
        for table in self.folder.glob("[!.]*"):
            shutil.rmtree(table)

    def _log(self, table: str) -> list[fs.FileInfo]:
        where = fs.FileSelector(f"{self._root}/{table}/_delta_log", allow_not_found=True)
        with self._reaching():
            found = _store().get_file_info(where)
        if not found:
            self.check()
        kept = (file for file in found if _OF_A_LOG.fullmatch(file.base_name))
        return sorted(kept, key=lambda file: file.base_name)

    def _fetch(self, files: Iterable[fs.FileInfo]) -> None:
        """Fetches several at once; each gets its name when it is whole, in the order given."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            self._reaching(),
            tempfile.TemporaryDirectory(dir=self.folder, prefix=".fetching-") as partial,
            ThreadPoolExecutor(FETCHES_AT_ONCE) as threads,
        ):
            for file, whole in threads.map(lambda file: (file, _fetched(file, partial)), files):
                here = self._here(file)
                here.parent.mkdir(parents=True, exist_ok=True)
                whole.rename(here)

    def _here(self, file: fs.FileInfo) -> Path:
        return self.folder / file.path.removeprefix(f"{self._root}/")

    def _there(self, file: Path) -> str:
        return f"{self._root}/{file.relative_to(self.folder).as_posix()}"

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeError(
                f"the lake's object store could not be read: {error}",
                where=f"EXIT_LAKE, {self.url}",
                mend="see that EXIT_LAKE, AWS_ENDPOINT_URL, AWS_REGION and the AWS keys are right, "
                "and that the store is up; then run again",
            ) from error


def remote_of(lake: Path) -> Remote | None:
    """Returns the lake that a folder is a copy of; None where it is a lake of its own."""
    mark = lake / MARK
    return Remote(lake, mark.read_text("utf-8")) if mark.exists() else None


def bind(lake: Path, url: str | None) -> Remote | None:
    """Makes a folder the copy of a lake, or sees that it is; without a URL, that it is none.

    Raises:
        LakeError: The folder is a lake of its own, or the copy of another.
    """
    found = remote_of(lake)
    if (found.url if found else None) == url:
        return found
    if found or any(lake.glob("*/_delta_log")):
        raise LakeError(
            f"the folder is {f'a copy of {found.url}' if found else 'a lake of its own'}, and "
            f"{f'EXIT_LAKE asks for {url}' if url else 'EXIT_LAKE is not set'}",
            where=str(lake),
            mend="set EXIT_LAKE to what it was, or choose another EXIT_HOME",
        )
    lake.mkdir(parents=True, exist_ok=True)
    partial = lake / f"{MARK}.{uuid4().hex[:8]}"
    partial.write_text(str(url), "utf-8")
    partial.rename(lake / MARK)
    return remote_of(lake)


def followed(table: Path) -> Path:
    """Returns a table's folder, whose log is the store's of now where the lake is in one."""
    if remote := remote_of(table.parent):
        remote.follow(table.name)
    return table


def address(table: Path) -> str:
    """Returns where a table is written: its folder, or its URL in the store."""
    remote = remote_of(table.parent)
    return f"{remote.url}/{table.name}" if remote else str(table)


def options() -> dict[str, str]:
    """Returns what delta-rs must be told to write where we read."""
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return {"allow_http": "true"} if plain else {}


def _fetched(file: fs.FileInfo, folder: str) -> Path:
    """Fetches a file under a name of its own; its time stays the store's."""
    whole = Path(folder) / uuid4().hex
    with _store().open_input_stream(file.path) as source, whole.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    os.utime(whole, ns=(file.mtime_ns, file.mtime_ns))
    return whole


def _begins(there: list[fs.FileInfo], log: Path) -> bool:
    """Whether what is copied of a log is what the store has of it, by name, size and time."""
    seen = {file.base_name: (file.size, file.mtime_ns) for file in there}
    here = [file for file in log.glob("[0-9]*") if _OF_A_LOG.fullmatch(file.name)]
    stats = ((file.name, file.stat()) for file in here)
    return all(seen.get(name) == (stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@cache
def _store() -> fs.S3FileSystem:
    return fs.S3FileSystem(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL") or None,
        connect_timeout=SECONDS_TO_CONNECT,
        request_timeout=SECONDS_OF_SILENCE,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
    )
