"""Deletes a person from everything that a profile's home holds, and keeps a record of that."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from exit_pipeline.files import to_disk
from exit_pipeline.ingest.landing import landing_root
from exit_pipeline.ingest.shown import NAME, PARTIAL
from exit_pipeline.lake import Lake
from exit_pipeline.lake.aside import other_lakes
from exit_pipeline.privacy.files import remove_failures, remove_from_lines, remove_from_parquet
from exit_pipeline.privacy.forgotten import Forgotten
from exit_pipeline.privacy.logs import known_logs
from exit_pipeline.privacy.models import remove_from_models
from exit_pipeline.privacy.online import remove_online
from exit_pipeline.privacy.tables import remove_rows
from exit_pipeline.process import is_running
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Home, Settings

RECORD = "deletions.jsonl"


@dataclass(frozen=True)
class Deletion:
    """What was removed of a person.

    Args:
        id: The salted hash that stands for them on the list of the forgotten.
        reason: As it was given.
        new: Whether they were not on that list before.
        removed: Rows, features, files or words by place; places with none are left out.
        notes: What remains, and how to end it.
    """

    id: str
    reason: str
    new: bool
    removed: dict[str, int]
    notes: list[str]


def forget(
    settings: Settings, home: Home, profile: Profile, user_id: str, reason: str = ""
) -> Deletion:
    """Deletes a person's data; nothing of theirs is let in from then on.

    The caller sees that no run of the graph goes on. A service may run. Killed at any point and
    called again it goes on; called once more it finds nothing.

    Args:
        settings: Threads and memory.
        home: The profile's.
        profile: Says where raw files lie.
        user_id: The person's.
        reason: Kept in the record.

    Returns:
        What was removed, as the last line of the record has it.

    Raises:
        LakeError: A training goes on, or a service or a run has been writing for long.
        LandingError: The package of the raw files that the profile names is not installed.
    """
    forgotten = Forgotten(home)
    with forgotten.deleting():
        with forgotten.shutting_out():  # what was let in before is on disk, and is found
            new = forgotten.add(user_id)
            who = forgotten.hash(user_id)
            _record(home, {"began": True, "id": who, "reason": reason, "new": new})
            _half_landed(profile, home)
            removed, broken = _service(settings, home, user_id)
        landed = _landed(profile, home)
        removed["landing"], unread = remove_from_parquet(settings, home, landed, user_id)
        rows, left = _lakes(settings, home, user_id)
        removed |= rows
        removed["online store"] = remove_online(settings, home, user_id)
        removed["models"], reading = remove_from_models(home, user_id)
        named = re.compile(rf"(?<![\w-]){re.escape(user_id)}(?![\w-])")
        removed["data docs"] = _pages(home, named)
        removed["failures"] = remove_failures(home.failures, named)
        _spill(home)
        done = {place: n for place, n in removed.items() if n}
        notes = [*left, *_notes(profile, home, done, reading, [*broken, *unread])]
        deletion = Deletion(who, reason, new, done, notes)
        _record(home, {"began": False, **asdict(deletion)})
    return deletion


def _service(settings: Settings, home: Home, user_id: str) -> tuple[dict[str, int], list[Path]]:
    """What services keep: rankings, samples, events that have not landed."""
    removed, broken = {}, []
    logs = [(str(folder), folder) for folder in known_logs(home)]
    for name, folder in (*logs, ("sampled", home.sampled)):
        for partial in folder.glob("ds=*/*.partial"):
            partial.unlink()  # of a process that died
        files = sorted(folder.glob("ds=*/*.parquet"))
        removed[name], unread = remove_from_parquet(settings, home, files, user_id)
        broken += unread
    removed["pushed"] = remove_from_lines(sorted(home.pushed.glob("ds=*/*.jsonl")), user_id)
    return removed, broken


def _half_landed(profile: Profile, home: Home) -> None:
    """Removes what a `land` that died left of its file; the caller shuts out those that live."""
    for root in (home.landing, landing_root(profile, home)):
        for partial in root.glob(f"**/{PARTIAL}"):
            partial.unlink()


def _landed(profile: Profile, home: Home) -> Iterator[Path]:
    """The raw files of the home, and those that `land` wrote where the profile's raw files lie."""
    yield from sorted(home.landing.glob("**/*.parquet"))
    root = landing_root(profile, home)
    if root != home.landing:
        yield from sorted(root.glob(f"**/{NAME}"))


def _lakes(settings: Settings, home: Home, user_id: str) -> tuple[dict[str, int], list[str]]:
    """The rows of every lake; returns their numbers by place, and what cannot be read.

    Copies of what stores have go before, so that none is old or damaged, and again afterwards.
    """
    shutil.rmtree(home.copies, ignore_errors=True)
    removed, left = dict[str, int](), []
    present = Lake(home, "forget")
    for lake in (present, *other_lakes(present)):
        place = lake.home.lake.name
        found, broken = remove_rows(settings, lake, user_id)
        removed |= {f"{place}/{table}": n for table, n in found.items()}
        left += [
            f"{place}/{table} may hold the person still: {why}; restore what cannot be read, or "
            "delete its table, then call this again"
            for table, why in broken.items()
        ]
    shutil.rmtree(home.copies, ignore_errors=True)
    return removed, left


def _pages(home: Home, named: re.Pattern[str]) -> int:
    """Deletes pages of the Data Docs that name the id; the next run writes them anew."""
    pages = (home.reports / "data_docs").glob("*/**/*.html")
    found = [page for page in pages if named.search(page.read_text("utf-8"))]
    for page in found:
        page.unlink()
    return len(found)


def _spill(home: Home) -> None:
    """Removes what processes that died left of rows, and an interrupted training's state."""
    for left in home.spill.glob("*"):
        process = re.match(r"(\d+)-(\d+)-", left.name)
        if process and is_running(int(process[1]), int(process[2])):
            continue
        shutil.rmtree(left, ignore_errors=True)


def _notes(
    profile: Profile, home: Home, removed: dict[str, int], reading: int, broken: list[Path]
) -> list[str]:
    from exit_pipeline.registry import Registry

    notes = []
    if broken:
        notes.append(
            f"{len(broken)} raw files or logs cannot be read and were left as they are, "
            f"{broken[0]} first"
        )
    if landing_root(profile, home) != home.landing:
        notes.append("raw files outside the home are left as they are; ingestion skips the person")
    if Registry(home, profile.name).served:
        notes.append(
            "models on the server of MLFLOW_TRACKING_URI may name the id: train again, promote "
            "that, and delete earlier versions there"
        )
    if reading:
        notes.append(f"{reading} models learned from the id: train again, and promote that")
    if any("/" in place for place in removed):
        notes.append("run the graph: sums over groups count the person until they are built again")
    return notes


def _record(home: Home, line: dict) -> None:
    """Adds a line to the record; it is on disk when this returns."""
    file = home.root / RECORD
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"at": at, **line}) + "\n")
    to_disk(file)
    to_disk(file.parent)
