"""States of interest between two daily batches: of what landed, and of what was pushed since."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pyarrow as pa

from exit_pipeline.errors import LakeError
from exit_pipeline.features.build import feature_parameters
from exit_pipeline.lake import Lake, connect, create_table, render
from exit_pipeline.lake.paths import commits
from exit_pipeline.profile import ProfileSpec
from exit_pipeline.settings import Settings


class InterestHistory:
    """Events that show interest, in an in-memory DuckDB of its own; for one thread at a time.

    A state is made of a user's events by the SQL of the daily batch: it is the row that the batch
    will write once the same events have landed.

    Args:
        settings: Threads and memory.
        lake: Where `events` and `items` are.
        spec: The profile.
        form: The columns of a pushed event, which are the log contract's.
        today: The day whose events are pushed.

    Raises:
        LakeError: Nothing has landed yet.
    """

    def __init__(
        self, settings: Settings, lake: Lake, spec: ProfileSpec, form: pa.Schema, today: date
    ) -> None:
        self.lake, self.spec, self._read = lake, spec, ("", "")
        self.connection = connect(settings, lake.home)
        self._table("pushed", form.empty_table(), "interest_pushed")
        self.refresh(today)
        self._states(form.empty_table(), today)
        self.connection.execute("create temp table pending as from states")

    def refresh(self, today: date) -> bool:
        """Reads what landed, if that changed; says whether it did.

        What was pushed of a day that has ended and landed is let go: the lake knows better.
        """
        stand = self._version("events"), self._version("items")
        if stand == self._read:
            return False
        since = today - timedelta(days=self.spec.features.reach_days)
        self.lake.view(self.connection, "events", [("ds", ">=", since)])
        self.lake.view(self.connection, "items")
        bound, names = feature_parameters(self.spec, today, today)
        create_table(self.connection, "landed_interest", "interest_events", bound, **names)
        self.connection.execute(
            "delete from pushed where ds < $today and list_contains($landed, ds)",
            {"today": today, "landed": list(self.lake.days("events"))},
        )
        self._read = stand
        return True

    def add(self, events: pa.Table, today: date) -> None:
        """Takes in new events; the states that follow from them wait until they may be seen.

        Args:
            events: Rows of the log contract, none of which was added before.
            today: The first day whose states are made.
        """
        self._table("arrived", events, "interest_pushed")
        self.connection.execute("insert into pushed by name from arrived")
        self._states(events, today)
        self.connection.execute("delete from pending where user_id in (from touched)")
        self.connection.execute("insert into pending by name from states")

    def due(self, now: datetime) -> pa.Table:
        """Returns the rows of `user_interest`, a user's newest, that may be seen by now."""
        found = self.connection.sql(render("interest_due"), params={"now": now})
        return found.to_arrow_table().combine_chunks()

    def seen(self, now: datetime) -> None:
        """Forgets the states that are due by now: they were brought online."""
        self.connection.execute("delete from pending where event_timestamp <= $now", {"now": now})

    def event_ids(self) -> set[str]:
        """Returns the ids of the events that were added and not let go."""
        return {row[0] for row in self.connection.execute("select event_id from pushed").fetchall()}

    def _states(self, events: pa.Table, today: date) -> None:
        """Makes the table `states`: rows of `user_interest` from today on, of some users."""
        self._table("touched", events.select(["user_id"]).group_by("user_id").aggregate([]))
        self.connection.execute("create or replace temp view events as from pushed")
        bound, names = feature_parameters(self.spec, today, today)
        create_table(self.connection, "pushed_interest", "interest_events", bound, **names)
        late = {"lateness_days": self.spec.landing.lateness_days}
        create_table(self.connection, "interest_events", "interest_known", late)
        create_table(self.connection, "states", "user_interest", bound, **names)

    def _table(self, name: str, rows: pa.Table, sql: str = "") -> None:
        self.connection.register("arriving", rows)
        query = render(sql) if sql else "from arriving"
        self.connection.execute(f"create or replace temp table {name} as {query}")
        self.connection.unregister("arriving")

    def _version(self, table: str) -> str:
        found = commits(self.lake.folder(table))
        if not found:
            raise LakeError(
                "no state of interest can be made before anything has landed",
                where=str(self.lake.folder(table)),
                mend="run the ingest group first",
            )
        return found[-1].name
