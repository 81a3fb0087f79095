"""Rows as training reads them: which column each label comes from."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional as F

from exit_pipeline.model import Outputs
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.losses import source_loss
from exit_pipeline.training.rows import encode_files
from tests.unit.rows import SOURCES, SPEC, make_table

COLUMNS = {"y": [0, 1, 0, 1]} | {f"{s}_decayed": [0.0] * 4 for s in SOURCES}
ZETA = {"ys_zeta": [0, 1, 0, 1], "ahead_zeta": [0, 0, 1, 1], "zeta_decayed": [0.0, 2.0, 0.0, 1.0]}


def batch(folder, source_label):
    table = make_table(4, 0)
    for name, values in {**COLUMNS, **ZETA}.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, pa.array(values))
    file = folder / "rows.parquet"
    pq.write_table(table, file)
    with duckdb.connect() as connection:
        encoder = Encoder.fit(connection, [str(file)], SPEC, "unit", 1, 4)
        rows = encode_files(connection, [str(file)], encoder, source_label, folder, "train")
    return rows.take(np.arange(4))


@pytest.mark.parametrize(
    ("source_label", "expected"),
    [
        ("before", [0, 1, 0, 1]),
        ("ahead", [0, 0, 1, 1]),
        # Interest that goes on, by how much there was: 1 − 2^−1 at first, 1 − 2^−2 after one event.
        ("graded", [0, 0, 0.5, 0.75]),
    ],
)
def test_what_source_heads_predict(tmp_path, source_label, expected):
    labels = batch(tmp_path, source_label).labels
    assert labels["source"][:, 0].tolist() == expected
    assert labels["shown"][:, 0].tolist() == [0, 1, 0, 1]


def test_a_graded_label_is_predicted_best_by_itself(tmp_path):
    rows = batch(tmp_path, "graded")
    none = torch.zeros(4)

    def loss(source):
        return float(source_loss(Outputs(none, none, none, none, source, none, none, none), rows))

    graded = rows.labels["source"]
    best = torch.logit(graded.clamp(1e-6, 1 - 1e-6))
    assert loss(best) == pytest.approx(float(F.binary_cross_entropy(graded, graded)) * 3, abs=1e-4)
    assert loss(best) < min(loss(best + 0.2), loss(best - 0.2))
