"""The evaluation part is read as far as it is needed, and in an order that files do not decide."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from exit_pipeline.errors import TrainingError
from exit_pipeline.evaluation.rows import outcomes, read_rows, spread
from exit_pipeline.model import Encoder
from tests.unit.rows import SOURCES, SPEC, make_table

MODEL = SimpleNamespace(encoder=Encoder(SPEC, {}, {}, "unit"))
BLIND = SimpleNamespace(encoder=Encoder(SPEC.without(["place", "user_rate"]), {}, {}, "unit"))


@pytest.fixture
def files(tmp_path):
    rows = make_table(500, 4)
    for name, part in {"a": rows[300:], "b": rows[:300]}.items():
        pq.write_table(part, tmp_path / f"{name}.parquet")
    return [str(tmp_path / f"{name}.parquet") for name in "ab"]


def test_only_what_scores_and_tells_apart_is_read(files):
    labels = {f"{label}_{source}" for label in ("ys", "consistent") for source in SOURCES}
    read = read_rows(files, [BLIND])
    told = {"user_id", "item_id", "scene", "y", "unit", *BLIND.encoder.spec.columns, *labels}
    assert set(read.column_names) == told
    both = read_rows(files, [BLIND, MODEL], ["icl", "no such column"])
    assert set(both.column_names) == told | {"place", "user_rate", "icl"}


def test_rows_come_by_time_and_id_whatever_the_files(files):
    rows = make_table(500, 4).sort_by("event_id")
    found = [read_rows(order, [MODEL], ["event_id"]) for order in (files, files[::-1])]
    for one in found:
        assert one.select(["event_id", "user_id", "y"]) == rows.select(["event_id", "user_id", "y"])
    y, user = outcomes(found[0])
    assert y.tolist() == rows["y"].to_pylist()
    numbers = {name: n for n, name in enumerate(dict.fromkeys(rows["user_id"].to_pylist()))}
    assert user.tolist() == [numbers[name] for name in rows["user_id"].to_pylist()]


def test_an_evaluation_part_without_rows_is_refused(tmp_path):
    pq.write_table(make_table(0, 1), tmp_path / "none.parquet")
    for files in ([], [str(tmp_path / "none.parquet")]):
        with pytest.raises(TrainingError, match="no rows"):
            read_rows(files, [MODEL])


@pytest.mark.parametrize(("most", "n"), [(50, 50), (500, 500), (501, 500), (1, 1)])
def test_a_sample_is_spread_over_all_rows(most, n):
    rows = make_table(500, 4).select(["event_id"])
    ids = rows["event_id"].to_pylist()
    at = [ids.index(one) for one in spread(rows, most)["event_id"].to_pylist()]
    assert len(set(at)) == len(at) == n
    assert at == sorted(at)
    assert n == 1 or (at[0], at[-1]) == (0, 499)
    assert all(later - earlier <= 500 // n + 1 for earlier, later in pairwise(at))
