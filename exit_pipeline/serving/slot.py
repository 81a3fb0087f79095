"""Follows an alias of the registry: the one reference that requests read, swapped when it moves."""

from __future__ import annotations

import logging

from exit_pipeline.errors import ExitPipelineError, RegistryError
from exit_pipeline.lake import Lake
from exit_pipeline.profile import Profile
from exit_pipeline.registry import Registry
from exit_pipeline.registry.champions import REFUSED
from exit_pipeline.registry.version import PASSED
from exit_pipeline.serving.champion import Loaded
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.schema import Role
from exit_pipeline.settings import Settings

log = logging.getLogger(__name__)


class Slot:
    """A version in memory, by an alias or a number.

    Args:
        settings: Threads and memory.
        lake: The lake; its home has the registry and says which features are online.
        profile: The data set.
        which: The alias or number to follow.
        role: What it is to the service.
        metrics: Where loads and failures are counted.
    """

    def __init__(
        self, settings: Settings, lake: Lake, profile: Profile, which: str, role: Role,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self.settings, self.lake, self.profile = settings, lake, profile
        self.which, self.role, self.metrics = which, role, metrics
        self.registry = Registry(lake.home, profile.name)
        self.loaded: Loaded | None = None
        self.problem: ExitPipelineError | None = None
        self.unread = False  # whether the problem is that nobody says what the alias names
        self.refusal = ""
        self._key: tuple[int, str] | None = None

    def get(self) -> Loaded:
        """Returns what is in memory.

        Raises:
            ExitPipelineError: Nothing is, and why.
        """
        if self.loaded is None:
            raise self.problem or RegistryError("the model is being loaded", mend="ask again soon")
        return self.loaded

    def look(self) -> None:
        """Loads what the alias names now, aside, if that or the features changed; then swaps.

        What cannot be loaded leaves the old version where it is, and is tried again at each look.
        """
        number = None
        try:
            number = self.registry.number(self.which)
            if number is None:
                raise self._absent()
            key = number, self._online()
            if key != self._key:
                loaded = Loaded.load(self.settings, self.lake, self.profile, number)
                self._moved(loaded)  # counted first, so that who sees it finds it counted
                self.loaded, self._key = loaded, key
            self.refusal = self._refusal(number)
            self.problem = None
        except Exception as error:  # noqa: BLE001 — whatever it is, the old version goes on
            self._failed(number, error)

    def _refusal(self, number: int) -> str:
        """Why it answers nobody who did not ask for it; a version named by its number always may.

        The alias `challenger` is set before a version was evaluated, and stays when it was refused.
        """
        if self.role == "champion" or self.which.isdecimal():
            return ""
        version = self.registry.get(number)
        if version.withdrawn:
            return "was withdrawn"
        if version.decision == REFUSED:
            return "was refused"
        if PASSED not in version.metrics:
            return "is not evaluated yet"
        return "" if version.metrics[PASSED] else "did not pass its gates"

    def _online(self) -> str:
        """What says which days of features are online; the daily materialization writes it last."""
        file = self.lake.home.online_days
        return file.read_text("utf-8") if file.exists() else ""

    def _moved(self, loaded: Loaded) -> None:
        number = loaded.version.version
        self.metrics.version.labels(self.role).set(number)
        self.metrics.created.labels(self.role).set(loaded.version.created.timestamp())
        self.metrics.loads.labels(self.role).inc()
        self.metrics.features_at.set(loaded.items.as_of.timestamp())
        log.info("model loaded", extra={"role": self.role, "version": number})

    def _failed(self, number: int | None, error: Exception) -> None:
        told = error if isinstance(error, ExitPipelineError) else RegistryError(
            f"{self.which} could not be loaded: {error!r}", where=self.registry.name,
            mend="`exit-pipeline doctor` says what is reachable",
        )  # fmt: skip
        self.metrics.load_failures.labels(self.role).inc()
        self.unread = number is None
        if str(told) != str(self.problem):
            log.error(
                "model not loaded",
                extra={"role": self.role, "version": number, "why": told.what},
            )
        self.problem = told

    def _absent(self) -> RegistryError:
        return RegistryError(
            f"there is no {self.which} yet",
            where=self.registry.name,
            mend="`exit-pipeline run` trains one; `exit-pipeline promote` makes it champion",
        )
