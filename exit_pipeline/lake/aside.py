"""Lakes that a full refresh put aside, beside the one that it builds anew."""

from __future__ import annotations

from exit_pipeline.lake.table import Lake
from exit_pipeline.settings import Home

PREFIX = "lake.before-"


def set_aside(lake: Lake) -> None:
    """Moves every table aside, so that all days are built again; nothing is deleted.

    Registered models name table versions, so the tables they were made from are kept under
    `lake.before-N`.
    """
    if not lake.tables():
        return
    taken = {one.home.lake.name for one in lakes_aside(lake)}
    name = next(name for n in range(1, 10_000) if (name := f"{PREFIX}{n}") not in taken)
    if lake.remote:
        lake.remote.move(name)
    else:
        lake.home.lake.rename(lake.home.lake.with_name(name))


def lakes_aside(lake: Lake) -> list[Lake]:
    """Returns the lakes that `set_aside` left beside this one."""
    found = sorted(folder.name for folder in lake.home.root.glob(f"{PREFIX}*"))
    names = lake.remote.beside(PREFIX) if lake.remote else found
    return [Lake(_home_of(lake.home, name), lake.run_id) for name in names]


def _home_of(home: Home, name: str) -> Home:
    url = f"{home.lake_url.rpartition('/')[0]}/{name}" if home.lake_url else None
    aside = Home(home.root, url)
    aside.lake = home.root / name
    return aside
