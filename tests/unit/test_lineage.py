"""What a version was made from, and whether the lake still holds it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from exit_pipeline import __version__
from exit_pipeline.errors import RegistryError
from exit_pipeline.lake import Lake, connect
from exit_pipeline.lake.aside import set_aside
from exit_pipeline.registry import Version
from exit_pipeline.registry.lineage import check_rows, code_version, describe, seen_days
from exit_pipeline.registry.recipe import Recipe
from exit_pipeline.settings import load_settings
from exit_pipeline.training import Split

DAYS = [date(2026, 1, day) for day in (5, 7, 9, 11)]
SPLIT = Split(*((day,) for day in DAYS))


@pytest.fixture
def settings(tmp_path):
    return load_settings(home=tmp_path)


def version(lineage) -> Version:
    return Version(4, [], {}, [], "", datetime.now(UTC), lineage)


def write(settings, lake, day, y):
    with connect(settings, lake.home) as connection:
        connection.execute(
            f"create table rows as select date '{day}' as ds, 'e' as event_id, {y} as y"
        )
        lake.replace(connection, "training_set", "rows", [day])


def test_the_rows_that_a_version_was_made_from_are_asked_for(settings, simulated):
    lake = Lake(settings.home_of("small"))
    for day in DAYS:
        write(settings, lake, day, 0)
    recipe = Recipe.of(simulated.spec, settings.threads, settings.device)
    made = version(describe(recipe, lake, simulated, SPLIT, 3, {"model": "abc"}))
    assert list(made.lineage["days"]) == [str(day) for day in DAYS]
    write(settings, lake, DAYS[0], 1)  # a later version of the table: the older is still there
    check_rows(lake, made)

    set_aside(lake)
    write(settings, lake, DAYS[0], 0)
    with pytest.raises(RegistryError, match="4 days differ, 2026-01-05 first"):
        check_rows(lake, made)  # there is no version 3 of the table yet
    for day in DAYS[1:]:
        write(settings, lake, day, int(day == DAYS[2]))
    with pytest.raises(
        RegistryError, match=r"1 days differ, 2026-01-09 first(.|\n)*restarts its versions"
    ):
        check_rows(lake, made)
    with pytest.raises(RegistryError, match="does not say which rows"):
        check_rows(lake, version({}))


@pytest.mark.parametrize(("evaluation", "seen"), [
    (("2026-01-10", "2026-01-12"), False),
    (("2026-01-09", "2026-01-12"), True),  # its calibration day
    (("2026-01-01", "2026-01-05"), True),  # its first training day
    (("2026-01-01", "2026-01-04"), False),
])  # fmt: skip
def test_a_rival_must_not_have_seen_the_evaluation_days(evaluation, seen):
    rival = version({"days": {}, "split": SPLIT.to_dict()})
    assert bool(seen_days(rival, evaluation)) == seen


def test_the_code_is_named_by_its_content():
    name, _, digest = code_version().partition("+")
    assert name == __version__
    assert len(digest) == 64
