"""What the service takes and gives, as its OpenAPI description says it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from exit_pipeline.ranking.ranked import RankedItem

Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]
RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
SceneName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Scene = Annotated[dict[SceneName, Id], Field(max_length=32)]
Clock = Literal["now", "newest"]
Role = Literal["champion", "challenger"]


class Ask(BaseModel):
    """What every question says; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: Id = Field(description="Who asks; an unknown user gets what training learned for it.")
    scene: Scene = Field(description="Context and bands of time by name, as the profile declares.")
    request_id: RequestId | None = Field(None, description="Comes back, and stands in the log.")
    served_by: Role | None = Field(
        None, description="Who is to answer; by default the champion, or as the canary chooses."
    )


class RankAsk(Ask):
    """A ranking is asked for."""

    candidates: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Items to rank, each once; by default the whole catalogue."
    )
    k: int = Field(10, ge=1, le=200, description="How many items come back, at most.")


class ExplainAsk(Ask):
    """One item is to be taken apart."""

    item_id: Id


class Answer(BaseModel):
    """What every answer says of how it was made."""

    request_id: str
    user_id: str
    scene: dict[str, str] = Field(description="Completed by the bands of the request's time.")
    model_version: int
    served_by: Role
    at: datetime = Field(description="The request's time.")
    clock: Clock = Field(description="Whether that is now, or the moment of the newest features.")
    features_as_of: datetime | None = Field(description="When this user's interest last changed.")
    features_age_seconds: float | None
    flags: list[str] = Field(
        description="What a reader must know, such as defaults that were used."
    )


class RankAnswer(Answer):
    """A ranking; of each item `own + bias + Σ carry` is the logit of `score`."""

    items: list[RankedItem]


class Inputs(BaseModel):
    """What the model read of an item, null where nothing is known."""

    categorical: dict[str, str | None]
    numeric: dict[str, float | None]
    sources: dict[str, dict[str, float | None]]


class ExplainAnswer(Answer):
    """One item, taken apart in full."""

    item: RankedItem
    logit: float
    inputs: Inputs


class ModelAnswer(BaseModel):
    """The version that answers, and how it came to."""

    model_config = ConfigDict(protected_namespaces=())

    profile: str
    version: int
    aliases: list[str]
    metrics: dict[str, float]
    decision: str
    reason: str
    created: datetime
    days: dict[str, list[str]] = Field(description="Days of each part of its training set.")
    sources: list[str]
    scene: dict[str, list[str]] = Field(description="Values that each column of a scene may have.")
    challenger: int | None = Field(description="The version beside it, if one is in memory.")
    loaded_since: datetime
    items: int = Field(description="Size of the catalogue.")
    features_as_of: datetime = Field(description="Moment of the newest features of items.")
    clock: Clock


class UsersAnswer(BaseModel):
    """A few users to try."""

    users: list[str]


class ShadowAnswer(BaseModel):
    """How the rankings of another version differ, over the questions both answered; means."""

    champion: int | None
    shadow: int | None
    problem: str | None = Field(description="Why the shadow is not in memory.")
    compared: int
    dropped: int = Field(description="Rankings that the shadow had no time for.")
    overlap_at_k: float | None = Field(description="Share of the k items shown that both show.")
    rank_correlation: float | None = Field(description="Spearman's, over all candidates.")
    champion_ms: float | None
    shadow_ms: float | None


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether questions can be answered well; else why not."""

    ready: bool
    reasons: list[str]
    model_version: int | None
    features_as_of: datetime | None
    features_age_seconds: float | None


class Told(BaseModel):
    """What happened, where, and what can be done."""

    what: str
    where: str
    mend: str


class Failure(BaseModel):
    """The one form of every error."""

    error: Told


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns how OpenAPI describes errors, for a route that may answer with these statuses."""
    return {status: {"model": Failure} for status in statuses}
