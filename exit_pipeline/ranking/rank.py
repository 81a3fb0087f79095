"""One explained ranking: the user from Feast's online store, the model from the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa

from exit_pipeline.errors import LakeError, UsageError
from exit_pipeline.feast_stores.repo import apply, open_store
from exit_pipeline.lake import Lake, connect, render
from exit_pipeline.profile import Profile, ProfileSpec
from exit_pipeline.profile.policy import scene_values
from exit_pipeline.ranking.examples import example_users
from exit_pipeline.ranking.ranked import Ranking, best_items
from exit_pipeline.ranking.rows import UserReader, online_rows
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.registry import CHAMPION, Registry
from exit_pipeline.settings import Settings
from exit_pipeline.times import instant
from exit_pipeline.validation.verdicts import passed


class Ranker:
    """Ranks items for users with the champion.

    Args:
        settings: Threads and memory.
        lake: The lake; its home has the feature store and the registry.
        profile: The data set; its policy governs every score.

    Raises:
        RegistryError: There is no champion yet.
        ProfileError: The policy names what the champion does not know.
        UsageError: The champion cannot be governed.
    """

    def __init__(self, settings: Settings, lake: Lake, profile: Profile) -> None:
        registry = Registry(lake.home, profile.name)
        self.version = registry.get(CHAMPION).version
        self.scorer = Scorer.load(registry.folder(self.version), profile.spec.policy)
        self.settings, self.lake, self.spec = settings, lake, profile.spec
        # A home that reads another's lake has no definitions yet.
        stands = (lake.home.feast / "registry.db").exists()
        home = lake.home
        self.store = open_store(settings, home) if stands else apply(settings, home, profile)
        self.read_user = UserReader(self.store, self.spec)

    def catalogue(self) -> list[str]:
        """Items known at the newest day, by id."""
        with connect(self.settings, self.lake.home) as connection:
            self.lake.view(connection, "item_features", passed(self.lake, "item_features"))
            return [row[0] for row in connection.execute(render("catalogue")).fetchall()]

    def newest(self) -> datetime:
        """The moment of the newest features: the end of the last day with its lag; now if none."""
        with connect(self.settings, self.lake.home) as connection:
            self.lake.view(connection, "item_features", passed(self.lake, "item_features"))
            found = connection.execute(render("newest_features")).fetchone()
        return found[0] or datetime.now(UTC)  # type: ignore[index]

    def example_user(self) -> str:
        """A user whose fresh source interest carries over, so that there is much to explain.

        Raises:
            LakeError: Nobody has shown any interest lately.
        """
        found = example_users(self.settings, self.lake, self.spec, 1)
        if not found:
            raise LakeError(
                "nobody has shown any interest that a ranking could go by",
                where="user_interest, its newest day",
                mend="land more days, or name a user: `exit-pipeline rank --user U`",
            )
        return found[0]

    def rank(
        self,
        user_id: str,
        scene: Mapping[str, str],
        *,
        k: int = 10,
        candidates: Sequence[str] | None = None,
        at: datetime | None = None,
    ) -> Ranking:
        """Ranks items for a user in a scene.

        Args:
            user_id: Who asks; an unknown user gets what training learned for the unknown.
            scene: Context columns and scene bands by name, as the profile declares them.
            k: How many items to return; fewer come back where there are fewer.
            candidates: Items to rank, each once; by default the whole catalogue.
            at: The request's time; by default the moment of the newest features.

        Returns:
            The best items; none, and a flag, where there is nothing to rank.

        Raises:
            UsageError: The scene names an unknown column or value, or `k` is less than 1.
        """
        if k < 1:
            raise UsageError(f"{k} items cannot be ranked", where="k", mend="ask for 1 or more")
        at = at or self.newest()
        complete = scene_of(self.spec, scene, at)
        items = list(dict.fromkeys(self.catalogue() if candidates is None else candidates))
        found = Ranking(user_id, complete, self.version, at.isoformat(), None, [])
        if not items:
            return replace(found, flags=["there is no item to rank"])
        rows, flags = self.rows(user_id, items, complete, at)
        scores = self.scorer.score(rows)
        return replace(
            found,
            features_as_of=_iso(rows.column("state_us")[0].as_py()),
            items=best_items(self.scorer, items, rows.column("unit").to_pylist(), scores, k),
            flags=[*scene_flags(self.spec, complete), *flags],
        )

    def rows(
        self, user_id: str, items: Sequence[str], scene: Mapping[str, str], at: datetime
    ) -> tuple[pa.RecordBatch, list[str]]:
        """Returns the scorer's inputs for some items, and flags for what was not known."""
        user = self.read_user(user_id, at)
        return online_rows(self.store, self.spec, user, items, scene, at)


def scene_flags(spec: ProfileSpec, scene: Mapping[str, str]) -> list[str]:
    """What a reader of the ranking must know of its scene."""
    absent = [name for name in spec.context if name not in scene]
    return [f"the scene has no {', '.join(absent)}: taken as unknown"] if absent else []


def scene_of(spec: ProfileSpec, given: Mapping[str, str], at: datetime) -> dict[str, str]:
    """Completes a scene: bands of time from the request's time, unless they are given.

    Raises:
        UsageError: An unknown column, or a value that the profile does not declare.
    """
    local = at.astimezone(ZoneInfo(spec.scene.timezone))
    band = [name for name, hour in spec.scene.hour_bands.items() if hour <= local.hour][-1]
    declared = scene_values(spec)
    for name, value in given.items():
        if name not in declared or value not in declared[name]:
            where = f"{name}={value}"
            if name not in declared:
                raise UsageError(
                    "no such scene column", where=where, mend=f"one of {', '.join(declared)}"
                )
            raise UsageError(
                "no such value", where=where, mend=f"one of {', '.join(declared[name])}"
            )
    bands = {"hour_band": band, "day_kind": "weekend" if local.weekday() >= 5 else "weekday"}
    return {**bands, **given}


def _iso(us: int | None) -> str | None:
    return None if us is None else instant(us).isoformat()
