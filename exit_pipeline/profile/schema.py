"""The keys of a profile, their defaults and what they mean; `docs/profile.md` shows them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import Field, StringConstraints, field_validator, model_validator

from exit_pipeline.profile.labels import FeatureSpec, LabelSpec
from exit_pipeline.profile.learning import GatesSpec, ModelSpec, SplitSpec, Strict, TrainingSpec
from exit_pipeline.profile.monitoring import MonitoringSpec
from exit_pipeline.profile.names import name_problems
from exit_pipeline.profile.policy import RuleSpec, policy_problems

# Names become SQL identifiers and parts of column names, so nothing else is let in.
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Value = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^|\x00-\x1f]+$")]


def _need(condition: bool, key: str, message: str) -> None:
    if not condition:
        raise ValueError(f"{key}: {message}")


def _one_of(key: str, value: str, choices: list[str]) -> None:
    _need(value in choices, key, f"{value!r} is not one of {', '.join(choices)}")


class LandingSpec(Strict):
    """Where raw files land, and how much that is broken a day may bring."""

    path: str | None = Field(
        None, description="Folder of the raw files; default: `landing` under the profile's home."
    )
    package: str | None = Field(
        None, description="Folder inside an installed Python package that holds the raw files."
    )
    tables: dict[Identifier, str] = Field(
        default_factory=lambda: {
            "events": "events/ds=*/*.parquet",
            "items": "items/*.parquet",
            "users": "users/*.parquet",
        },
        description="Raw tables by name, each a glob under `path`; the adapter reads `raw_NAME`.",
    )
    broken_share: float = Field(
        0.01, ge=0, le=1, description="A day with a larger share of broken rows fails."
    )
    lateness_days: int = Field(
        7, ge=0, le=60, description="Rows later than this are quarantined as `too_late`."
    )


class AttributeSpec(Strict):
    """One attribute of items or users."""

    type: Literal["categorical", "numeric"] = Field("categorical", description="Text, or a number.")


class ContextSpec(Strict):
    """One context column of the log, with its declared values."""

    values: tuple[Value, ...] = Field(
        min_length=1, max_length=1000, description="All values it may have; others are quarantined."
    )


class SceneSpec(Strict):
    """The scene: which columns, and how time is banded."""

    timezone: str = Field("UTC", description="IANA zone in which hours and weekdays are read.")
    hour_bands: dict[Identifier, int] = Field(
        default_factory=lambda: {"night": 0, "morning": 6, "day": 11, "evening": 17},
        min_length=1,
        description="Name and first hour of each band; the first must start at 0.",
    )
    columns: tuple[Identifier, ...] = Field(
        ("hour_band", "day_kind"),
        min_length=1,
        description="`hour_band`, `day_kind` and context columns that make up the scene.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _need(len(set(self.columns)) == len(self.columns), "columns", "a name appears twice")
        hours = list(self.hour_bands.values())
        if hours[0] != 0 or hours != sorted(set(hours)) or hours[-1] > 23:
            raise ValueError("hour_bands: must start at hour 0 and rise, at most to 23")
        if self.timezone not in available_timezones():
            raise ValueError(f"timezone: {self.timezone!r} is not an IANA zone")
        return self


class ScheduleSpec(Strict):
    """When the graph runs by itself (UTC)."""

    daily: str = Field("0 3 * * *", description="Cron of `daily_ingest`.")
    retrain: str = Field("0 5 * * *", description="Cron of `retrain`.")

    @field_validator("daily", "retrain")
    @classmethod
    def _is_cron(cls, text: str) -> str:
        # Half a second, for those alone who write one.
        from dagster import DagsterInvalidDefinitionError, ScheduleDefinition

        try:
            ScheduleDefinition(job_name="any", cron_schedule=text)
        except DagsterInvalidDefinitionError as error:
            raise ValueError(
                f"{text!r} is no cron; write minute, hour, day, month and weekday: 0 3 * * *"
            ) from error
        return text


class ProfileSpec(Strict):
    """A data set, as the pipeline needs to know it."""

    name: Identifier = Field(description="Of the data set: its folder under `EXIT_HOME`.")
    description: str = Field("", description="A sentence for people.")
    start: date = Field(description="First day of the log; the first daily partition.")
    end: date | None = Field(None, description="Last day of a finished log; none for a live one.")
    landing: LandingSpec = LandingSpec()
    adapter: dict[Literal["events", "items", "users"], str] = Field(
        default_factory=lambda: {t: f"{t}.sql" for t in ("events", "items", "users")},
        description="One SQL SELECT per table, as files beside the profile.",
    )
    target: Identifier = Field(description="The domain whose exposures are ranked.")
    sources: tuple[Identifier, ...] = Field(
        min_length=1, max_length=32, description="Domains that interest may come from."
    )
    outcome: Literal["click", "order", "either"] = Field("either", description="What y counts.")
    source_interest: tuple[Literal["click", "order", "impression"], ...] = Field(
        ("click", "order"), min_length=1, description="Events that show source interest."
    )
    interest_unit: Identifier = Field(
        "item_id", description="`item_id` or a categorical item attribute: c(i)."
    )
    items: dict[Identifier, AttributeSpec] = Field(
        default_factory=dict, description="Attributes of items, such as `category: {}`."
    )
    users: dict[Identifier, AttributeSpec] = Field(
        default_factory=dict, description="Attributes of users."
    )
    segment: Identifier | None = Field(
        None,
        description="User attribute named `segment` beside labels; each of its values is a slice "
        "that the gates guard.",
    )
    context: dict[Identifier, ContextSpec] = Field(
        default_factory=dict, description="Columns of the log that say where a request came from."
    )
    scene: SceneSpec = SceneSpec()
    group: tuple[Identifier, ...] = Field(
        ("hour_band",),
        description="Scene columns and user attributes of a group; with none all are in one.",
    )
    use_position: bool = Field(
        False, description="Whether training sees the position; scoring never does."
    )
    labels: LabelSpec = LabelSpec()
    features: FeatureSpec = FeatureSpec()
    split: SplitSpec = SplitSpec()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    gates: GatesSpec = GatesSpec()
    policy: tuple[RuleSpec, ...] = Field(
        (), description="Rules that govern transfer when scoring; training does not read them."
    )
    monitoring: MonitoringSpec = MonitoringSpec()
    schedule: ScheduleSpec = ScheduleSpec()

    @property
    def reach_days(self) -> int:
        """Whole days back that a day of any table may read: windows, and rows that came late."""
        labels = self.labels
        window = max(
            self.features.reach_days, labels.consistency.own_response_days, labels.history_days
        )
        return window + self.landing.lateness_days + labels.maturity_days

    @property
    def trained_days(self) -> int:
        """Whole days back from the newest mature one that a model may be made of."""
        split, gaps = self.split, 3 * self.labels.horizon_days
        parts = split.validation_days + split.calibration_days + split.evaluation_days
        return split.train_days + parts + gaps

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        _need(self.end is None or self.end >= self.start, "end", "it lies before start")
        _need(self.target not in self.sources, "target", f"{self.target!r} is a source too")
        for key in ("sources", "source_interest", "group"):
            names = getattr(self, key)
            _need(len(set(names)) == len(names), key, "a name appears twice")
        missing = {"events", "items", "users"} - set(self.adapter)
        _need(not missing, "adapter", f"no file is named for {', '.join(sorted(missing))}")
        categorical = [n for n, a in self.items.items() if a.type == "categorical"]
        _one_of("interest_unit", self.interest_unit, ["item_id", *categorical])
        scene_columns = ["hour_band", "day_kind", *self.context]
        for column in self.scene.columns:
            _one_of("scene.columns", column, scene_columns)
        users = [n for n, a in self.users.items() if a.type == "categorical"]
        for column in self.group:
            _one_of("group", column, [*scene_columns, *users])
        if self.segment is not None:
            _one_of("segment", self.segment, users)
        for key, problem in (*name_problems(self), *policy_problems(self)):
            raise ValueError(f"{key}: {problem}")
        return self
