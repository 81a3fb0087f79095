"""Whom to show a ranking of, to someone who knows nobody in the log."""

from __future__ import annotations

from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.settings import Settings

TABLES = ("user_interest", "scene_features")


def example_users(settings: Settings, lake: Lake, spec: ProfileSpec, most: int) -> list[str]:
    """Returns users whose fresh source interest carries over, so that there is much to explain.

    Args:
        settings: Threads and memory.
        lake: Has `user_interest` and `scene_features`, whose newest days are read.
        spec: The profile.
        most: At most so many.

    Returns:
        Ids, the most telling first; none where nobody has shown interest on the newest day.
    """
    days = {table: lake.days(table) for table in TABLES}
    if not all(days.values()):
        return []
    query = render("example_users", sources=tuple(spec.sources))
    bound = {"half_life_us": spec.features.half_life_us, "most": most}
    with connect(settings, lake.home) as connection:
        for table, found in days.items():
            lake.view(connection, table, [("ds", "=", max(found))])
        return [user for (user,) in connection.execute(query, bound).fetchall()]
