"""The training set of first days: columns and types are there before any row is."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import timedelta

import pytest

from exit_pipeline.errors import LakeError
from exit_pipeline.features import training_set
from exit_pipeline.features.build import FEATURE_TABLES, build_features
from exit_pipeline.features.training_set import build_training_set
from tests.logs import DAY, PROFILE, SmallLog, at, event

LAST = DAY + timedelta(days=2)
QUIET = {0: [], 1: [], 2: [], 3: []}


@pytest.mark.parametrize("rows", [[], [event("e", at(1))]], ids=["no exposures", "no interest yet"])
def test_first_days_before_anything_was_shown_or_clicked(tmp_path, rows):
    log = with_features(tmp_path, QUIET | {1: rows})
    states = build(log)
    assert sum(state.rows for state in states.values()) == len(rows)
    for row in log.rows("training_set"):
        assert row["y"] == 0
        assert (row["search_decayed"], row["search_recency_hours"]) == (0.0, None)


def with_features(tmp_path, landed: dict[int, list[dict]], log: SmallLog | None = None) -> SmallLog:
    log = log or SmallLog(tmp_path)
    log.run(landed)
    for table in FEATURE_TABLES:
        build_features(log.connect(), log.lake, log.profile, DAY, LAST, table=table)
    return log


def build(log: SmallLog):
    return build_training_set(
        log.connect(), log.lake, log.profile, DAY, LAST, settings=log.settings
    )


@pytest.mark.parametrize(
    ("limit", "most", "joins"), [("DAYS_AT_ONCE", 2, 2), ("ROWS_AT_ONCE", 2, 2),
                                 ("ROWS_AT_ONCE", 0, 3)],
)  # fmt: skip
def test_days_that_are_joined_apart_are_those_joined_at_once(
    tmp_path, monkeypatch, limit, most, joins
):
    log = with_features(tmp_path, QUIET | {n: [event(f"e{n}", at(n))] for n in range(3)})
    at_once, joined, seen = build(log), training_set.joined_features, []
    assert sum(state.rows for state in at_once.values()) == 3

    def counted(*arguments, **named):
        seen.append(arguments)
        return joined(*arguments, **named)

    monkeypatch.setattr(training_set, "joined_features", counted)
    monkeypatch.setattr(training_set, limit, most)
    assert build(log) == at_once
    assert len(seen) == joins
    assert log.lake.version("training_set") == 0  # nothing was written again


def test_the_versions_that_are_named_are_those_that_were_read(tmp_path, monkeypatch):
    """Another run writes item features before and after they are joined."""
    log = with_features(tmp_path, QUIET | {1: [event("e", at(1))]})
    before, joined = log.lake.version("item_features"), training_set.joined_features

    def write(rate: int) -> None:
        with log.connect() as duck:
            log.lake.view(duck, "item_features")
            duck.execute(
                f"create temp table other as select * replace ({rate}.0 as item_rate) from item_features"
            )
            log.lake.replace(duck, "item_features", "other", [DAY, DAY + timedelta(days=1), LAST])

    @contextmanager
    def meanwhile(*arguments, **named):
        write(2)
        with joined(*arguments, **named) as reader:
            yield reader
        write(3)

    monkeypatch.setattr(training_set, "joined_features", meanwhile)
    build(log)
    (row,) = log.rows("training_set")
    assert (log.lake.inputs["item_features"], row["item_rate"]) == (before, 1 / 20)


def test_unit_and_cell_are_of_the_snapshot_that_serving_would_have(tmp_path):
    """Not of the attributes valid at the exposure, by which labels are made."""
    log = SmallLog(tmp_path, PROFILE.replace("group: [hour_band]", "group: [segment]"))
    since = at(1, "06:00")
    log.items += [{"item_id": "i1", "category": "new", "valid_from": since},
                  {"item_id": "late", "category": "c9", "valid_from": since}]  # fmt: skip
    log.users += [{"user_id": "u1", "segment": "s9", "valid_from": since}]
    log.__post_init__()
    moments = {"first": at(0), "before": at(1, "05:59"), "same day": at(1), "too soon": at(2, "00:04:59"),
               "available": at(2, "00:05")}  # fmt: skip
    shown = [
        event(f"{name} {item}", ts, item_id=item)
        for name, ts in moments.items() for item in ("i1", "late")
    ]  # fmt: skip
    days = {n: [row for row in shown if row["ts"].day == DAY.day + n] for n in range(4)}
    build(with_features(tmp_path, days, log))
    rows = {row["event_id"]: row for row in log.rows("training_set")}
    found = {key: (row["unit"], row["cell"]) for key, row in rows.items()}
    assert found == {
        **{f"{name} i1": ("c1", "s1") for name in ("before", "same day", "too soon")},
        **{f"{name} late": (None, "s1") for name in ("before", "same day", "too soon")},
        **{f"first {item}": (None, "unknown") for item in ("i1", "late")},  # nothing had landed
        "available i1": ("new", "s9"), "available late": ("c9", "s9"),
    }  # fmt: skip
    for row in rows.values():  # what the views say
        assert (row["unit"], row["cell"]) == (row["category"], row["segment"] or "unknown")
    labelled = {row["event_id"]: row["unit"] for row in log.rows("icl_labels")}
    assert (labelled["same day i1"], labelled["same day late"]) == ("new", "c9")


def test_days_whose_features_were_not_built_are_refused(tmp_path):
    """The join would read older ones, and say nothing."""
    log = with_features(tmp_path, QUIET | {n: [event(f"e{n}", at(n))] for n in range(3)})
    assert build(log)
    shutil.rmtree(log.lake.folder("item_features"))
    build_features(log.connect(), log.lake, log.profile, DAY, DAY, table="item_features")
    with pytest.raises(LakeError, match="item_features of 2026-01-06 was not built"):
        build(log)
