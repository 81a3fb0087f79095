"""Events that the service takes in, in the log contract's form, and what it says of them."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from exit_pipeline.profile import ProfileSpec
from exit_pipeline.serving.schema import Id

MOST_EVENTS = 500
TYPES = ("impression", "click", "order", "negative")
Reason = Literal["late", "future", "full", "forgotten"]


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a time is text in ISO 8601, with its zone")
    return value


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text)]


class Refused(BaseModel):
    """An event that was not taken in."""

    index: int = Field(description="Its place in the list that was sent, from 0.")
    event_id: str
    reason: Reason


class EventsAnswer(BaseModel):
    """What became of the events of one call."""

    accepted: int
    repeated: int = Field(description="Taken in before, by their `event_id`; nothing changed.")
    refused: list[Refused]
    lag_seconds: float = Field(description="Features show an event this long after its `ts`.")


def event_schema(spec: ProfileSpec) -> pa.Schema:
    """Returns the columns of the log contract, as landing files have them."""
    texts = ("user_id", "item_id", "domain", "event_type", "request_id")
    return pa.schema([
        ("event_id", pa.string()), ("ts", pa.timestamp("us", "UTC")),
        *((name, pa.string()) for name in texts),
        ("value", pa.float64()), ("position", pa.int32()),
        *((name, pa.string()) for name in spec.context),
    ])  # fmt: skip


def events_model(spec: ProfileSpec) -> type[BaseModel]:
    """Returns the form of a call's body: strict, with the values that the profile declares."""
    strict = ConfigDict(extra="forbid", strict=True)

    def one_of(values: Any) -> Any:
        return Literal[tuple(values)]

    context: dict[str, Any] = {
        name: (one_of(column.values) | None, None) for name, column in spec.context.items()
    }
    event = create_model(
        "Event", __config__=strict, __doc__="A row of the log contract.",
        event_id=(Id, ...), ts=(Moment, ...), user_id=(Id, ...), item_id=(Id, ...),
        domain=(one_of((spec.target, *spec.sources)), ...),
        event_type=(one_of(TYPES), ...),
        request_id=(Id | None, None),
        value=(Annotated[float, Field(ge=0, lt=1e15, allow_inf_nan=False)] | None, None),
        position=(Annotated[int, Field(ge=0, lt=2**31)] | None, None),
        **context,
    )  # fmt: skip
    many = Annotated[list[event], Field(min_length=1, max_length=MOST_EVENTS)]
    return create_model(
        "EventsAsk", __config__=strict, __doc__="Events, as they happened.", events=(many, ...)
    )


def event_table(spec: ProfileSpec, events: list[BaseModel]) -> pa.Table:
    """Returns events as rows of the log contract, with times in UTC."""
    rows = [event.model_dump() for event in events]
    for row in rows:
        row["ts"] = row["ts"].astimezone(UTC)
    return pa.Table.from_pylist(rows, event_schema(spec))
