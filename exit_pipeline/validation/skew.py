"""What the service read for a ranking, against what training would have read for the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow.parquet as pq

from exit_pipeline.features.entities import SNAPSHOTS, asked_by
from exit_pipeline.features.inputs import input_spec, sample_columns
from exit_pipeline.features.training_set import joined_features
from exit_pipeline.lake import Lake, connect, create_table, render
from exit_pipeline.profile import Profile, ProfileSpec
from exit_pipeline.settings import Settings

MOST_ROWS = 50_000
DAYS = 7


@dataclass(frozen=True)
class SkewReport:
    """What was compared, and what differs.

    Args:
        rows: Sampled rows compared.
        differing: How many of them differ in any input.
        differences: One dictionary per input that differs: `request_id, ts, user_id, item_id,
            model_version, items_as_of, feature, served, offline`.
    """

    rows: int
    differing: int
    differences: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def features(self) -> dict[str, int]:
        """Rows that differ, by input; the most frequent first."""
        return dict(Counter(one["feature"] for one in self.differences).most_common())

    def markdown(self, most: int = 20) -> str:
        """Returns the first differences as a table."""
        columns = ("ts", "request_id", "user_id", "item_id", "items_as_of", "feature", "served",
                   "offline")  # fmt: skip
        lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for one in self.differences[:most]:
            cells = (str(one[name]).replace("|", "\\|") for name in columns)
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def check_skew(settings: Settings, lake: Lake, profile: Profile) -> SkewReport:
    """Compares the newest samples of the service with the point-in-time join.

    A request can be looked at once the snapshot of features after it is in the lake: until then
    the batch may yet write states that were to be seen by it.

    Args:
        settings: Threads and memory.
        lake: The feature tables; its home has the samples.
        profile: The data set.

    Raises:
        LakeError: A feature table is missing.
    """
    folders = sorted(lake.home.sampled.glob("ds=*"))[-DAYS:]
    kept = [file for folder in folders for file in sorted(folder.glob("*.parquet"))]
    # What was kept under a profile with other inputs cannot be compared.
    asked = set(sample_columns(profile.spec))
    files = [str(file) for file in kept if asked <= set(pq.read_schema(file).names)]
    if not files:
        return SkewReport(0, 0, [])
    with connect(settings, lake.home) as connection:
        for table in SNAPSHOTS:
            lake.view(connection, table)
        ((until,),) = connection.execute(render("newest_features")).fetchall()
        read = render("_files", files=files, partitions=[])
        bound = {"until": until, "most": MOST_ROWS}
        create_table(connection, "samples", "skew_samples", bound, files=read)
        ((rows,),) = connection.execute("select count(*) from samples").fetchall()
        if not rows:
            return SkewReport(0, 0, [])
        _join(connection, settings, lake, profile)
        found = connection.sql(_compared(profile.spec)).to_arrow_table().to_pylist()
    return SkewReport(rows, len({one.pop("row") for one in found}), found)


def _join(
    connection: duckdb.DuckDBPyConnection, settings: Settings, lake: Lake, profile: Profile
) -> None:
    """Makes the table `joined`: what the training set would hold of each sampled row."""
    told = asked_by(profile.spec)
    with lake.home.scratch() as folder:
        entities = folder / "entities.parquet"
        asked = connection.sql(render("skew_entities", **told)).to_arrow_table()
        pq.write_table(asked, entities)
        with joined_features(settings, lake, profile, str(entities)) as joined:
            connection.register("arriving", joined)
            connection.execute("create or replace temp table joined as from arriving")
            connection.unregister("arriving")


def _compared(spec: ProfileSpec) -> str:
    texts = set(input_spec(spec).categorical)
    columns = sample_columns(spec)
    return render(
        "skew",
        texts=[name for name in columns if name in texts],
        numbers=[name for name in columns if name not in texts],
    )
