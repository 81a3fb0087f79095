"""What every asset is given: the settings, the profile and its lake."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from exit_pipeline.profile import Profile, load_profile
from exit_pipeline.settings import Home, Settings, load_settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import duckdb

    from exit_pipeline.lake import Connection, Lake


@dataclass(frozen=True)
class Pipeline:
    """The settings and the profile that this code location was loaded with."""

    settings: Settings
    profile: Profile

    @cached_property
    def home(self) -> Home:
        """The folders of this profile's state."""
        return self.settings.home_of(self.profile.name)

    def lake(self, run_id: str) -> Lake:
        """Returns the lake, whose commits will name the run."""
        from exit_pipeline.lake import Lake

        return Lake(self.home, run_id)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Opens an in-memory DuckDB."""
        from exit_pipeline.lake import connect

        return connect(self.settings, self.home)

    def engine(self) -> AbstractContextManager[Connection]:
        """Opens the engine of the settings, which fills label and feature tables.

        Raises:
            SettingsError: It is not there, or the profile asks for what it does not do.
        """
        from exit_pipeline.engines import check_engine, open_engine

        check_engine(self.settings, self.profile.spec)
        return open_engine(self.settings, self.home)

    def held_engine(self) -> AbstractContextManager[Connection | None]:
        """Starts Spark once for all who open the engine within; of DuckDB each opens its own.

        Raises:
            SettingsError: As `engine`.
        """
        return nullcontext() if self.settings.engine == "duckdb" else self.engine()


def load_pipeline() -> Pipeline:
    """Reads settings and profile from the environment (`EXIT_HOME`, `EXIT_PROFILE`, …)."""
    settings = load_settings()
    return Pipeline(settings, load_profile(settings.profile))


PIPELINE = load_pipeline()
# Seconds between a sensor's looks, at least; the daemon itself goes round every five.
EVERY = PIPELINE.settings.sensor_seconds
