"""One arm of the closed loop: it ranks, its rankings land, and it learns from what followed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from exit_pipeline.evaluation import evaluate
from exit_pipeline.evaluation.bootstrap import paired
from exit_pipeline.evaluation.rows import read_rows
from exit_pipeline.experiments.contenders import SIZES
from exit_pipeline.experiments.overrides import overridden
from exit_pipeline.experiments.tables import build_landed
from exit_pipeline.feast_stores.repo import apply
from exit_pipeline.features import input_spec, unit_input
from exit_pipeline.features.build import build_features
from exit_pipeline.features.inputs import view_columns
from exit_pipeline.ingest import ingest_days
from exit_pipeline.lake import Lake, connect
from exit_pipeline.profile import load_profile
from exit_pipeline.ranking.fast_scorer import FastScorer
from exit_pipeline.ranking.nets import FORMS
from exit_pipeline.ranking.rank import scene_of
from exit_pipeline.ranking.rows import UserRow
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.ranking.snapshot import Snapshot
from exit_pipeline.registry.lineage import FITTED, TABLE, files_of
from exit_pipeline.registry.version import Version
from exit_pipeline.serving.champion import Loaded, Question
from exit_pipeline.serving.ranking_logs import Shown, impressions
from exit_pipeline.settings import Home, Settings
from exit_pipeline.simulator.faults import Landing
from exit_pipeline.simulator.feed import SLATE
from exit_pipeline.simulator.live import LiveDay
from exit_pipeline.simulator.rows import EVENTS, names
from exit_pipeline.simulator.world import World
from exit_pipeline.training import split_days, train_model


class Arm:
    """A lake of its own, on a copy of the common history, and the model that ranks on it.

    Args:
        name: A name of `MODELS`.
        settings: Threads and memory.
        history: A folder with `log` and, made of it, `home`.
        folder: Gets the copy.
        world: The truth, without planted faults.
        changes: Keys of the profile, such as `model.members`.
    """

    def __init__(
        self, name: str, settings: Settings, history: Path, folder: Path, world: World,
        changes: Mapping[str, Any],
    ) -> None:  # fmt: skip
        # Feast's registry names the folder that it was made in.
        shutil.copytree(history, folder, ignore=shutil.ignore_patterns("feast"))
        self.name, self.settings, self.events = name, settings, folder / "log" / "events"
        found = load_profile(folder / "log" / "profile")
        spec = overridden(found.spec, {"end": None, **SIZES.get(name, {}), **changes})
        self.profile, self.spec = replace(found, spec=spec), spec
        self.lake, self.landing = Lake(Home(folder / "home"), "loop"), Landing(world)
        self.champion: Scorer | None = None
        self.promoted = 0
        self.trained: tuple[date, ...] = ()  # on these days the champion was

    def learn(self) -> None:
        """Trains on what has matured; the new model ranks from now on unless it is surely worse."""
        spec, lake = self.spec, self.lake
        days = [day for day, state in lake.days(TABLE).items() if state.rows]
        split = split_days(days, spec.split, spec.labels.horizon_days)
        parts = {
            part: files_of(lake, found, lake.version(TABLE))
            for part, found in split.to_dict().items()
        }
        with lake.home.scratch() as scratch:
            model = train_model(
                self.name, input_spec(spec), {part: parts[part] for part in FITTED},
                unit_input(spec), spec.model, spec.training, scratch=scratch,
                outcome=spec.outcome, device=self.settings.device,
                threads=self.settings.threads, memory_limit=self.settings.memory_limit,
            )  # fmt: skip
        challenger = Scorer(model)
        if self.champion is None or not self._surely_worse(challenger, parts["evaluation"]):
            self.champion, self.promoted = challenger, self.promoted + 1
            self.trained = split.train

    def _surely_worse(self, challenger: Scorer, files: list[str]) -> bool:
        """Whether all of the paired 95 % interval of the logloss is above the champion's."""
        assert self.champion is not None
        rows = read_rows(files, [challenger.model, self.champion.model])
        ours, theirs = evaluate(challenger, rows), evaluate(self.champion, rows)
        draws = self.spec.gates.bootstrap_draws
        told = paired(ours.loss, theirs.loss, ours.user, margin=0.0, draws=draws, seed=0)
        return told.low > 0

    def live(self, today: LiveDay, day: date) -> np.ndarray:
        """Ranks a day's requests; what is shown and what follows lands as that day.

        Sources are read first, as their events are pushed when they happen. What the day's own
        rankings brought about is seen from the next day on.

        Returns:
            int64[requests, 6], numbers of the candidates that are shown.
        """
        self._land(day, "part-0", today.source)
        with connect(self.settings, self.lake.home) as connection:
            for _ in ingest_days(connection, self.lake, self.profile, [day]):
                pass
            build_features(connection, self.lake, self.profile, day, day, table="user_interest")
        shown, log = self._rank(today)
        happened = pa.concat_tables([log, today.followed(shown)])
        self._land(day, "part-1", self.landing.land(today.day, happened))
        build_landed(self.settings, self.lake, self.profile, [day])
        return shown

    def _land(self, day: date, name: str, rows: pa.Table) -> None:
        folder = self.events / f"ds={day}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / f"{name}.parquet")

    def _rank(self, today: LiveDay) -> tuple[np.ndarray, pa.Table]:
        """What is shown, and its impressions as the ranking service logs them."""
        loaded, shown, logged = self._loaded(), [], []
        requests = list(today.requests())
        users = self._users([(request.user_id, request.at) for request in requests])
        for request, user in zip(requests, users, strict=True):
            scene = scene_of(self.spec, {"place": request.place}, request.at)
            question = Question(user, scene, request.at, list(request.candidates), SLATE)
            items = [item.item_id for item in loaded.rank(question).items]
            shown.append([request.candidates[item] for item in items])
            logged.append(Shown(question, items, request.request_id))
        log = impressions(self.spec, logged).select(EVENTS.names).cast(EVENTS)
        ids = names(f"f{today.day:04d}-", np.arange(log.num_rows))  # the service draws them
        return np.array(shown), log.set_column(0, EVENTS.field(0), pa.array(ids))

    def _loaded(self) -> Loaded:
        """The champion with the item side of the newest day, as the ranking service holds it."""
        assert self.champion is not None
        items = Snapshot.load(self.settings, self.lake, self.spec)
        known = isinstance(self.champion.model.module, FORMS)
        now = datetime.now(UTC)
        return Loaded(
            Version(self.promoted, [], {}, [], "", now, {}), self.champion,
            FastScorer(self.champion, items) if known else None, items, self.spec, now,
        )  # fmt: skip

    def _users(self, asked: list[tuple[str, datetime]]) -> list[UserRow]:
        """What the online store would say of some users, each at a time: Feast's own join."""
        stranger = UserRow.unknown(self.spec, "", "").values
        of_user = set(view_columns(self.spec)["user_features"])
        features = [
            f"{'user_features' if name in of_user else 'user_interest'}:{name}" for name in stranger
        ]
        store = apply(self.settings, self.lake.home, self.profile)
        with self.lake.home.scratch() as scratch:
            file = scratch / "asked.parquet"
            rows = [
                {"n": n, "user_id": u, "event_timestamp": at} for n, (u, at) in enumerate(asked)
            ]
            pq.write_table(pa.Table.from_pylist(rows), file)
            found = store.get_historical_features(entity_df=str(file), features=features)
            known = found.to_arrow().sort_by("n").to_pylist()
        return [UserRow(row["user_id"], {name: row[name] for name in stranger}) for row in known]
