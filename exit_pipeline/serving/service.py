"""The service behind the routes: which version answers, as of when, and from what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exit_pipeline.lake import Lake
from exit_pipeline.profile import Profile
from exit_pipeline.ranking.rank import scene_of
from exit_pipeline.registry import CHALLENGER, CHAMPION
from exit_pipeline.serving.champion import Loaded, Question
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.pipeline_metrics import LOOK_SECONDS, PipelineMetrics
from exit_pipeline.serving.pushes import Pushes
from exit_pipeline.serving.ranking_logs import RankingLogs
from exit_pipeline.serving.schema import Ask, Clock, ExplainAsk, RankAsk, Role
from exit_pipeline.serving.shadow import Shadow, chosen
from exit_pipeline.serving.slot import Slot
from exit_pipeline.serving.users import UNREACHABLE, Users
from exit_pipeline.settings import Settings

# Candidates that are scored in the event loop. Two threads of Python at a time cost each other more
# than the wait of the others for one such request.
FEW = 250


@dataclass(frozen=True)
class Options:
    """How a service is started.

    Args:
        clock: The time of a request: now, or the moment of the newest features; None for now where
            the profile's log goes on, and the newest features where it has an end.
        shadow: An alias or number to score beside the champion; None for none.
        log_rankings: Folder to which what is shown is written; None for nowhere.
        canary: Share of users who are answered by the challenger: `shadow`, or else that alias,
            which gives nobody what is not evaluated, did not pass, was refused or withdrawn.
        examples: Whether the page may name a few users to whoever reaches the service.
        hosts: The names under which it may be asked (`Host`, without the port); none for any.
    """

    clock: Clock | None = None
    shadow: str | None = None
    canary: float = 0.0
    log_rankings: Path | None = None
    examples: bool = False
    hosts: tuple[str, ...] = ()


class Service:
    """Ranks and explains for requests.

    Args:
        settings: Limits, times and threads.
        profile: The data set.
        options: How it is started.
    """

    def __init__(self, settings: Settings, profile: Profile, options: Options) -> None:
        self.settings, self.profile, self.spec = settings, profile, profile.spec
        self.examples, self.hosts = options.examples, options.hosts
        self.clock: Clock = options.clock or ("newest" if profile.spec.end else "now")
        lake, self.log_rankings = Lake(settings.home_of(profile.name)), options.log_rankings
        self.home, self.metrics = lake.home, Metrics()
        self.logs: RankingLogs | None = None  # while the service runs
        self.users = Users(settings, lake.home, profile.spec, self.metrics)
        self.pushes = Pushes(settings, lake, profile, self.metrics)
        self.champion = Slot(settings, lake, profile, CHAMPION, "champion", self.metrics)
        self.pipeline = PipelineMetrics(lake, self.champion.registry, self.metrics)
        self.canary = options.canary
        self.challenger: Slot | None = None
        self.shadow: Shadow | None = None
        if options.shadow or options.canary:
            which = options.shadow or CHALLENGER
            self.challenger = Slot(settings, lake, profile, which, "challenger", self.metrics)
            if options.shadow:
                self.shadow = Shadow(self.challenger, self.metrics)
        self.threads = ThreadPoolExecutor(settings.threads, "score")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks for the champion at once and from then on; lets go of threads at the end."""
        await asyncio.gather(self._look(), self.users.look())
        self.logs = RankingLogs(
            self.settings, self.spec, self.home, self.log_rankings, self.metrics
        )
        watching = (
            self._watch(),
            self._watch_pipeline(),
            self.users.watch(),
            self.pushes.watch(self._now),
        )
        tasks = [asyncio.create_task(one) for one in watching]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self.users.close()
            self.pushes.close()
            if self.shadow:
                self.shadow.close()
            self.threads.shutdown(wait=False, cancel_futures=True)
            await asyncio.to_thread(self.logs.close)

    async def rank(self, ask: RankAsk, request_id: str) -> dict[str, Any]:
        """Answers `POST /v1/rank`.

        Raises:
            RegistryError: There is no champion.
            UsageError: The scene names what the profile does not declare.
        """
        loaded, role, flags = self._serving(ask)
        candidates = ask.candidates and list(dict.fromkeys(ask.candidates))
        question = await self._question(loaded, ask, candidates, ask.k)
        few = candidates is not None and len(candidates) <= FEW and loaded.fast is not None
        ranked = loaded.rank(question) if few else await self._score(loaded.rank, question)
        if self.logs:
            self.logs.keep(loaded, question, ranked, request_id)
        if self.shadow and role == "champion":
            self.shadow.beside(loaded, question, ranked)
        flags = [*flags, *ranked.flags]
        return {
            **self._made_from(loaded, role, question, flags, request_id),
            "items": ranked.items,
        }

    async def explain(self, ask: ExplainAsk, request_id: str) -> dict[str, Any]:
        """Answers `POST /v1/explain`; raises as `rank` does."""
        loaded, role, flags = self._serving(ask)
        question = await self._question(loaded, ask, [ask.item_id], 1)
        told = await self._score(loaded.explain, question, ask.item_id)
        flags = [*flags, *told.pop("flags")]
        made_from = self._made_from(loaded, role, question, flags, request_id)
        return {**made_from, **told}

    async def push(self, events: list[Any]) -> dict[str, Any]:
        """Answers `POST /v1/events`.

        Raises:
            LakeError: Nothing has landed yet.
            RegistryError: The clock is that of the newest features, and there is no champion.
        """
        at = self._now() or self.at(self.champion.get())
        return await self.pushes.push(events, at)

    def at(self, loaded: Loaded) -> datetime:
        """Returns the time of a request that comes now."""
        return loaded.items.as_of if self.clock == "newest" else datetime.now(UTC)

    def stale(self, loaded: Loaded) -> bool:
        """Whether the newest features are older than they should be."""
        age = (self.at(loaded) - loaded.items.as_of).total_seconds()
        return age > self.settings.serve_stale_hours * 3600

    def reasons(self) -> list[str]:
        """Why questions cannot be answered well; nothing if they can."""
        loaded, problem = self.champion.loaded, self.champion.problem
        # While the registry is away, what is in memory answers as well as before.
        found = [str(problem)] if problem and not (loaded and self.champion.unread) else []
        if loaded and self.stale(loaded):
            found.append(f"the newest features are of {loaded.items.as_of.isoformat()}")
        return found if self.users.reachable else [*found, UNREACHABLE]

    def _now(self) -> datetime | None:
        """The time of the service's clock; None before anything says what it is."""
        if self.clock == "now":
            return datetime.now(UTC)
        return self.at(self.champion.loaded) if self.champion.loaded else None

    def _serving(self, ask: Ask) -> tuple[Loaded, Role, list[str]]:
        """The version that answers: one, from the start of a request to its end."""
        champion = self.champion.get()
        other = self.challenger.loaded if self.challenger else None
        share, salt = self.canary, self.settings.serve_canary_salt
        wanted = ask.served_by == "challenger"
        if ask.served_by is None and self.challenger:
            wanted = chosen(ask.user_id, share, salt)
        if not wanted:
            return champion, "champion", []
        if other is None:
            return champion, "champion", ["the challenger is not loaded: the champion answers"]
        if ask.served_by is None and self.challenger and (why := self.challenger.refusal):
            return champion, "champion", [f"the challenger {why}: the champion answers"]
        return other, "challenger", []

    async def _question(
        self, loaded: Loaded, ask: Ask, candidates: list[str] | None, k: int
    ) -> Question:
        at = self.at(loaded)
        scene = scene_of(self.spec, ask.scene, at)
        return Question(await self.users.read(ask.user_id, at), scene, at, candidates, k)

    async def _score(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)

    def _made_from(
        self, loaded: Loaded, role: Role, question: Question, flags: list[str], request_id: str
    ) -> dict[str, Any]:
        if self.stale(loaded):
            flags = [*flags, f"features are older than {self.settings.serve_stale_hours:g} hours"]
        self.metrics.flagged(flags)
        self.metrics.served.labels(loaded.version.version).inc()
        as_of = question.user.as_of
        return {
            "request_id": request_id,
            "user_id": question.user.user_id,
            "scene": question.scene,
            "model_version": loaded.version.version,
            "served_by": role,
            "at": question.at,
            "clock": self.clock,
            "features_as_of": as_of,
            "features_age_seconds": as_of and (question.at - as_of).total_seconds(),
            "flags": flags,
        }

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.settings.serve_watch)
            await self._look()

    async def _watch_pipeline(self) -> None:
        while True:
            await asyncio.to_thread(self.pipeline.look)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        for slot in filter(None, (self.champion, self.challenger)):
            await asyncio.to_thread(slot.look)
