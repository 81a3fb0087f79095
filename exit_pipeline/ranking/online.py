"""Brings features online: Feast's materialization of what is new since the last one."""

from __future__ import annotations

import json
import os
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.repo import apply
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import Profile
from exit_pipeline.settings import Settings

VIEWS = ("user_features", "item_features", "scene_features", "user_interest")


def materialize_online(settings: Settings, lake: Lake, profile: Profile) -> dict[str, Any]:
    """Writes to the online store what became known since it was last written.

    A run that dies leaves its mark where it was, and the next one writes the same rows again; an
    older row never wins over a newer one.

    Returns:
        By view the newest event time that is online, and the rows written.

    Raises:
        LakeError: A feature table is missing.
    """
    missing = [view for view in VIEWS if not lake.exists(view)]
    if missing:
        raise LakeError(f"{', '.join(missing)} not built yet", mend="run the features group first")
    store = apply(settings, lake.home, profile)
    marks_file = lake.home.feast / "online.json"
    marks = json.loads(marks_file.read_text("utf-8")) if marks_file.exists() else {}
    report = {}
    for view in VIEWS:
        with connect(settings, lake.home) as connection:
            lake.view(connection, view)
            since = datetime.fromisoformat(marks.get(view, "1970-01-02T00:00:00+00:00"))
            rows, newest = connection.execute(
                render("online_news", table=view), {"since": since}
            ).fetchone()  # type: ignore[misc]
        if rows:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # Feast draws bars
                store.materialize(since, newest, feature_views=[view])
            marks[view] = newest.astimezone(UTC).isoformat()
        report[view] = {"rows": rows, "newest": marks.get(view)}
        partial = marks_file.with_suffix(".partial")
        partial.write_text(json.dumps(marks), "utf-8")
        os.replace(partial, marks_file)
    return report
