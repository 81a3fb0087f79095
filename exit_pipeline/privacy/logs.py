"""Where services of a home keep the logs of what they showed, as these may lie anywhere."""

from __future__ import annotations

import json
from pathlib import Path

from exit_pipeline.files import write_text
from exit_pipeline.settings import Home


def know_log(home: Home, folder: Path) -> None:
    """Remembers a folder, so that a person can be deleted from it."""
    known, here = known_logs(home), folder.absolute()
    if here not in known:
        home.root.mkdir(parents=True, exist_ok=True)
        write_text(_file(home), json.dumps(sorted(str(one) for one in {*known, here})))


def known_logs(home: Home) -> list[Path]:
    """Returns the folders that services of this home wrote to."""
    file = _file(home)
    return [Path(one) for one in json.loads(file.read_text("utf-8"))] if file.exists() else []


def _file(home: Home) -> Path:
    return home.root / "rankings-logs.json"
