"""The watch over a champion: how far days are from training, and what its figures ask for."""

from __future__ import annotations

import math
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exit_pipeline.model import Encoder, InputSpec
from exit_pipeline.monitoring.drift import Drift
from exit_pipeline.monitoring.performance import judge, normalized_entropy
from exit_pipeline.monitoring.psi import OTHER, Reference, psi
from exit_pipeline.profile.monitoring import MonitoringSpec

SPEC = MonitoringSpec(days=5, drifted_days=2)


def test_the_index_by_hand():
    """Shares .5, .5 → 80.5/101, 20.5/101: .29703 · (.46628 − −.90155)."""
    assert psi({"a": 50, "b": 50}, {"a": 80, "b": 20}) == pytest.approx(0.40629, abs=1e-5)
    assert psi({"a": 50, "b": 50}, {"a": 500, "b": 500}) == 0
    assert psi({"a": 100}, {"b": 100}) == pytest.approx(2 * (100 / 101) * 5.30330, abs=1e-3)


def write(folder, day, **columns):
    file = folder / f"ds={day}" / "part-0.parquet"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), file)
    return str(file)


@pytest.fixture
def reference(tmp_path):
    """Two days of training: half the rows at home, ages 10 … 40, one missing."""
    files = [
        write(tmp_path, day, item_id=["a", "b", "c", "d"], age=[10.0, 20.0, 40.0, None],
              place=["home", "home", "work", "work"], kind=[kind] * 4)
        for day, kind in (("2026-01-05", "weekday"), ("2026-01-10", "weekend"))
    ]  # fmt: skip
    inputs = InputSpec(("item_id", "place", "kind"), ("age",), {})
    words = {"item_id": ["a"], "place": ["home", "work"], "kind": ["weekday", "weekend"]}
    encoder = Encoder(inputs, words, {"age": [10.0, 20.0, 30.0]}, "item_id")
    with duckdb.connect() as connection:
        yield Reference.of(connection, files, encoder)


def test_a_reference_counts_rows_by_bin_and_knows_what_moves_by_itself(reference):
    assert reference.counts == {
        "age": {"1": 2, "2": 2, "3": 2, "(none)": 2},
        "place": {"home": 4, "work": 4},
        "kind": {"weekday": 4, "weekend": 4},
    }
    assert reference.own["age"] == reference.own["place"] == 0
    assert reference.own["kind"] > 0.2  # a calendar
    assert Reference.from_dict(reference.to_dict()) == reference


def test_a_day_is_held_against_the_reference(reference, tmp_path):
    file = write(tmp_path, "2026-01-12", item_id=["e"] * 2, age=[5.0, float("nan")],
                 place=["moon", None], kind=["weekday", "weekend"])  # fmt: skip
    with duckdb.connect() as connection:
        ((day, (rows, index)),) = reference.of_days(connection, [file]).items()
    assert (day, rows) == (date(2026, 1, 12), 2)
    assert index["age"] == psi(reference.counts["age"], {"0": 1, "(none)": 1})
    assert index["place"] == psi(reference.counts["place"], {OTHER: 1, "(none)": 1})
    assert index["kind"] == 0


def test_what_a_day_has_no_more_is_left_out_and_no_file_is_no_day(reference, tmp_path):
    file = write(tmp_path, "2026-01-12", item_id=["e"], place=["home"])
    known = reference.within(["item_id", "place"])
    with duckdb.connect() as connection:
        ((_, index),) = known.of_days(connection, [file]).values()
        assert reference.of_days(connection, []) == {}
        assert reference.within(["item_id"]).of_days(connection, [file]) == {}
    assert set(index) == set(known.own) == {"place"}


def test_an_input_that_is_gone_is_told_and_the_others_are_judged():
    days = [date(2026, 1, 10), date(2026, 1, 11)]
    drift = Drift(7, {day: {"price": 0.3} for day in days}, {"price": 0.05}, SPEC, ["age"])
    assert drift.asks
    assert drift.reason == (
        "version 7 reads what training_set has no more: age; "
        "2 of 2 days drifted from version 7: price"
    )
    assert "| age | gone | gone | no: not in training_set |" in drift.markdown()


@pytest.mark.parametrize(
    ("prices", "asks"),
    [
        ([0.1, 0.1, 0.3, 0.1, 0.3], True),
        ([0.1, 0.1, 0.3, 0.3, 0.1], False),  # not the newest
        ([0.1, 0.1, 0.1, 0.1, 0.9], False),  # one day alone
        ([], False),
    ],
)
def test_two_drifted_days_with_the_newest_ask_for_a_model(prices, asks):
    days = [date(2026, 1, 10 + n) for n in range(len(prices))]
    index = {day: {"price": p, "age": 3.0} for day, p in zip(days, prices, strict=True)}
    drift = Drift(7, index, {"price": 0.05, "age": 2.5}, SPEC)
    assert drift.judged == ["price"]
    assert drift.asks == asks
    assert "age" not in drift.reason
    assert ("price" in drift.reason) == bool(drift.drifted)


def figures(logloss: float, positives: int, rows: int = 5000) -> dict[str, float]:
    return {"logloss": logloss, "predicted_to_actual": 1.0, "rows": rows, "positives": positives}


@pytest.mark.parametrize(
    ("logloss", "ratio", "positives", "verdict"),
    [
        (0.40, 1.00, 500, "holds"),
        (0.43, 1.15, 500, "holds"),
        (0.45, 1.00, 500, "retrain"),
        (0.40, 1.25, 500, "retrain"),
        (0.40, 0.80, 500, "retrain"),  # 1 ÷ .8 is 1.25
        (0.49, 1.00, 500, "roll back"),
        (0.40, 1.45, 500, "roll back"),
        (0.90, 3.00, 99, "holds"),  # too few to say
    ],
)
def test_what_figures_ask_for(logloss, ratio, positives, verdict):
    now = figures(logloss, positives) | {"predicted_to_actual": ratio}
    said, reason = judge(now, figures(0.40, positives), SPEC)
    assert said == verdict
    assert reason


def test_a_higher_base_rate_alone_asks_for_nothing():
    """A model that knows nothing but the rate: logloss is its entropy, and no rise is its fault."""
    then, now = figures(0.325083, 1000, rows=10_000), figures(0.500402, 2000, rows=10_000)
    assert normalized_entropy(then) == pytest.approx(1.0, abs=1e-3)
    assert judge(now, then, SPEC)[0] == "holds"
    assert judge(figures(0.45, 1000, rows=10_000), then, SPEC)[0] == "roll back"
    assert math.isfinite(normalized_entropy(figures(0.1, 0)))
