"""Nothing that came after an exposure, and nothing that is not there, teaches a model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from exit_pipeline.evaluation.metrics import auc
from exit_pipeline.features import input_spec, unit_input
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training import split_days, train_model
from tests.conftest import SmallHome


@pytest.fixture(scope="module")
def parts(small_home, simulated):
    return parts_of(small_home, simulated)


def parts_of(home: SmallHome, profile) -> dict[str, pa.Table]:
    """The training set's parts, by name."""
    days = [day for day, state in home.lake.days("training_set").items() if state.rows]
    split = split_days(days, profile.spec.split, 1)
    tables = {}
    for part in ("train", "validation", "calibration"):
        chosen = getattr(split, part)
        files = home.lake.files("training_set", [("ds", ">=", chosen[0]), ("ds", "<=", chosen[-1])])
        tables[part] = ds.dataset(files).to_table()
    return tables


def validation_auc(tables, spec, folder):
    files = {}
    for part, table in tables.items():
        file = folder / f"{part}.parquet"
        pq.write_table(table, file)
        files[part] = [str(file)]
    model = train_model(
        "exit", input_spec(spec), files, unit_input(spec),
        spec.model, spec.training.model_copy(update={"epochs": 3}), scratch=folder / "rows",
    )  # fmt: skip
    score = Scorer(model).score(tables["validation"]).score
    return auc(np.asarray(tables["validation"]["y"]).astype(float), score)


def test_a_shuffled_target_teaches_nothing(parts, simulated, tmp_path):
    rng = np.random.default_rng(0)
    shuffled = {
        part: table.set_column(
            table.schema.get_field_index("y"), "y",
            pa.array(rng.permutation(np.asarray(table["y"]))),
        )
        for part, table in parts.items()
    }  # fmt: skip
    found = validation_auc(shuffled, simulated.spec, tmp_path)
    positives = int(np.asarray(shuffled["validation"]["y"]).sum())
    assert abs(found - 0.5) < 3 * 0.29 / positives**0.5


def test_a_planted_future_signal_does_not_lift_auc(small_home, parts, simulated, tmp_path):
    """A search click right after each exposure that was clicked, in the log of every day."""
    home = SmallHome(tmp_path / "home")
    home.land()
    clicks = clicked_exposures(small_home)
    for folder in (home.lake.home.landing / "events").glob("ds=*"):
        plant(folder / "part-0.parquet", clicks)
    home.run("run", "--select", "group:ingest, group:labels, group:features")
    planted = parts_of(home, simulated)
    told = np.asarray(planted["validation"]["ahead_search"]).astype(float)
    y = np.asarray(planted["validation"]["y"]).astype(float)
    assert auc(y, told) > 0.9  # who looked ahead would know
    before = validation_auc(parts, simulated.spec, tmp_path)
    assert validation_auc(planted, simulated.spec, tmp_path) < before + 0.03


def clicked_exposures(home: SmallHome) -> pa.Table:
    impressions = ds.dataset(home.lake.files("impressions")).to_table()
    return impressions.filter(pc.equal(impressions["y_click"], 1)).select(["event_id"])


def plant(file, clicks):
    """Adds to a landing file a search click a second after each of its clicked exposures."""
    table = pq.read_table(file, partitioning=None)
    at = pc.is_in(table["event_id"], clicks["event_id"].combine_chunks())
    shown = table.filter(pc.and_(at, pc.equal(table["event_type"], "impression")))
    n = shown.num_rows
    columns = {
        "event_id": pc.binary_join_element_wise("spy", shown["event_id"], "-"),
        "ts": pc.add(shown["ts"], pa.scalar(1_000_000, pa.duration("us"))),
        "domain": pa.array(["search"] * n),
        "event_type": pa.array(["click"] * n),
        "request_id": pa.nulls(n, pa.string()),
    }
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        shown = shown.set_column(index, name, values)
    pq.write_table(pa.concat_tables([table, shown.cast(table.schema)]), file)
