"""What the watch over the champion measured last, in files of the home, for monitoring to show."""

from __future__ import annotations

import json
from collections.abc import Mapping

from exit_pipeline.files import write_text
from exit_pipeline.settings import Home

FOLDER = "watch"


def keep_figures(home: Home, check: str, figures: Mapping[str, float]) -> None:
    """Keeps a check's figures in place of those before.

    Args:
        home: The profile's.
        check: The check's name.
        figures: By name.
    """
    folder = home.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{check}.json", json.dumps(dict(figures), sort_keys=True))


def kept_figures(home: Home) -> dict[str, dict[str, float]]:
    """Returns the newest figures of each check that has run."""
    files = sorted((home.root / FOLDER).glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}
