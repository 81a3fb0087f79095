"""What is kept of a ranking: what was shown, in the contract's form, and what was read for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from functools import partial
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from exit_pipeline.features.inputs import input_spec, sample_columns
from exit_pipeline.privacy import Forgotten
from exit_pipeline.privacy.logs import know_log
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.serving.champion import Loaded, Question, Ranked
from exit_pipeline.serving.events import event_schema
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.parts import Parts
from exit_pipeline.serving.shadow import chosen
from exit_pipeline.settings import Home, Settings

SAMPLES_A_DAY, DAYS_OF_SAMPLES = 20_000, 14
ITEMS_A_SAMPLE = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shown:
    """What was shown for a question, the best first."""

    question: Question
    items: Sequence[str]
    request_id: str


def impressions(spec: ProfileSpec, shown: Sequence[Shown]) -> pa.Table:
    """Returns rankings as impressions in the target; position 0 is the first place.

    An `event_id` is drawn at random, as a request's id is what a client chose.
    """
    schema = event_schema(spec)
    columns: dict[str, list] = {name: [] for name in schema.names}
    for one in shown:
        question, n, drawn = one.question, len(one.items), uuid4().hex
        same = {
            "ts": question.at, "user_id": question.user.user_id, "domain": spec.target,
            "event_type": "impression", "request_id": one.request_id, "value": None,
            **{name: question.scene.get(name) for name in spec.context},
        }  # fmt: skip
        each = {
            "event_id": [f"{drawn}-{i}" for i in range(n)],
            "item_id": one.items,
            "position": range(n),
        }
        for name, column in columns.items():
            column.extend(each[name] if name in each else [same[name]] * n)
    return pa.table(columns, schema=schema)


def sample(
    spec: ProfileSpec, question: Question, items: list[str], loaded: Loaded, request_id: str
) -> pa.Table:
    """Returns the scorer's inputs of some items, with the request they were read for.

    Args:
        spec: The profile.
        question: What was asked.
        items: n items that were scored.
        loaded: The version that answered.
        request_id: The request's.
    """
    inputs, rows = input_spec(spec), loaded.rows(question, items)
    columns = {
        name: rows.column(name).cast(pa.string() if name in inputs.categorical else pa.float64())
        for name in sample_columns(spec)
    }
    n = rows.num_rows
    return pa.table({
        "request_id": pa.array([request_id] * n),
        "ts": pa.array([question.at] * n, pa.timestamp("us", "UTC")),
        "model_version": pa.array([loaded.version.version] * n),
        "items_as_of": pa.array([loaded.items.as_of] * n, pa.timestamp("us", "UTC")),
        **columns,
    })  # fmt: skip


def shown_day(shown: Shown) -> date:
    """Returns the day of a ranking, in UTC."""
    return shown.question.at.astimezone(UTC).date()


def sample_day(rows: pa.Table) -> date:
    """Returns the day of a sample, in UTC."""
    return rows["ts"][0].as_py().date()


class RankingLogs:
    """The logs of one service.

    Args:
        settings: The share of rankings whose inputs are kept.
        spec: The profile.
        home: Where they are kept.
        rankings: Folder of the log of what was shown; None for none.
        metrics: Where rows are counted.
    """

    def __init__(
        self, settings: Settings, spec: ProfileSpec, home: Home, rankings: Path | None,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self.share, self.spec, self.metrics = settings.serve_skew_share, spec, metrics
        forgotten = Forgotten(home)
        if rankings:
            know_log(home, rankings)
        self.rankings = rankings and Parts[Shown](
            rankings, "rankings", partial(impressions, spec), shown_day, metrics, forgotten
        )
        self.samples = self.share and Parts[pa.Table](
            home.sampled, "samples", pa.concat_tables, sample_day, metrics, forgotten,
            most=SAMPLES_A_DAY, days=DAYS_OF_SAMPLES,
        )  # fmt: skip

    def keep(self, loaded: Loaded, question: Question, ranked: Ranked, request_id: str) -> None:
        """Leaves an answer to be written; returns at once."""
        if not ranked.items:
            return
        items = [item.item_id for item in ranked.items]
        if self.rankings:
            self.rankings.put(Shown(question, items, request_id))
        if self.samples and chosen(request_id, self.share, "skew"):
            self._sample(loaded, question, items[:ITEMS_A_SAMPLE], request_id)

    def _sample(
        self, loaded: Loaded, question: Question, items: list[str], request_id: str
    ) -> None:
        """Keeps what was read; here, as a burst of them in a thread would hold everyone up."""
        assert self.samples
        try:
            self.samples.put(sample(self.spec, question, items, loaded, request_id))
        except Exception:  # no answer fails for what is kept of it
            log.exception("no sample", extra={"request_id": request_id})
            self.metrics.dropped.labels("samples").inc()

    def close(self) -> None:
        """Writes what waits."""
        for one in (self.rankings, self.samples):
            if one:
                one.close()
