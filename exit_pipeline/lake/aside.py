"""Lakes of a home beside the one in use, as a full refresh leaves them."""

from __future__ import annotations

from pathlib import Path

from exit_pipeline.errors import UsageError
from exit_pipeline.lake.remote import address, remote
from exit_pipeline.lake.table import Lake
from exit_pipeline.settings import Home

NAME, PREFIX = "lake", "lake.before-"


def set_aside(lake: Lake) -> None:
    """Moves every table aside, so that all days are built again; nothing is deleted.

    Registered models name table versions, so the tables they were made from are kept under
    `lake.before-N`.

    Raises:
        UsageError: The tables are in an object store, where nothing is moved in one step.
    """
    folder = lake.home.lake
    if remote(folder):
        raise UsageError(
            "tables in an object store are not put aside",
            where=f"EXIT_LAKE, {address(folder)}",
            mend="name another place in EXIT_LAKE and run without --full-refresh; models made "
            "before are reproduced where EXIT_LAKE names the old one",
        )
    if folder.exists():
        aside = (folder.with_name(f"{PREFIX}{n}") for n in range(1, 10_000))
        folder.rename(next(free for free in aside if not free.exists()))


def other_lakes(lake: Lake) -> list[Lake]:
    """Returns the home's own lakes that are not in use: those put aside, or replaced by a store."""
    root = lake.home.root
    folders = [root / NAME, *sorted(root.glob(f"{PREFIX}*"))]
    return [
        Lake(_home(root, folder), lake.run_id)
        for folder in folders
        if folder.exists() and folder != lake.home.lake
    ]


def _home(root: Path, lake: Path) -> Home:
    home = Home(root)
    home.lake = lake
    return home
