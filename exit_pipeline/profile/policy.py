"""The policy of a profile: where people said how much may carry over, whatever a model learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from exit_pipeline.profile.learning import Strict

if TYPE_CHECKING:
    from exit_pipeline.profile.schema import ProfileSpec


class RuleSpec(Strict):
    """One rule (ours): which cells it is about, and how much may carry over there."""

    source: str | None = Field(None, description="The source it is about; default: every source.")
    unit: str | None = Field(None, description="An interest unit; default: every unit.")
    scene: dict[str, str] = Field(
        default_factory=dict, description="Values of scene columns that must all hold."
    )
    segment: dict[str, str] = Field(
        default_factory=dict, description="Values of user attributes that must all hold."
    )
    cap: float | None = Field(None, ge=0, le=1, description="p_transfer is at most this.")
    fix: float | None = Field(None, ge=0, le=1, description="p_transfer is this.")
    forbid: bool = Field(False, description="Nothing of the source is seen or carried.")
    reason: str = Field(
        min_length=1, max_length=300, description="Why, in words for people; rankings show it."
    )

    @model_validator(mode="after")
    def _one_effect(self) -> Self:
        effects = {"cap": self.cap is not None, "fix": self.fix is not None, "forbid": self.forbid}
        named = [name for name, is_set in effects.items() if is_set]
        if len(named) != 1:
            raise ValueError(f"a rule has one of cap, fix, forbid; found {len(named)} of them")
        return self

    @property
    def limit(self) -> float:
        """The p_transfer that it names; 0 is forbidden, whichever way it is said."""
        if self.forbid:
            return 0.0
        return self.fix if self.fix is not None else self.cap  # type: ignore[return-value]

    @property
    def restricts(self) -> bool:
        """Whether it can only lessen what carries over; a fixed value may raise it."""
        return self.fix is None or self.limit == 0

    @property
    def effect(self) -> str:
        """What it does to a source, in words."""
        if self.limit == 0:
            return "forbidden"
        return f"{'fixed' if self.fix is not None else 'capped'} at {self.limit:g}"


def policy_problems(spec: ProfileSpec) -> Iterator[tuple[str, str]]:
    """Yields (key, what is wrong) for what a rule names and the profile does not have.

    Units, and values of user attributes, are known from data alone: `ranking.policy` asks for them.
    """
    scene = scene_values(spec)
    users = [name for name, attribute in spec.users.items() if attribute.type == "categorical"]
    for number, rule in enumerate(spec.policy):
        key = f"policy.{number}"
        if rule.source is not None and rule.source not in spec.sources:
            yield f"{key}.source", unknown("source", rule.source, spec.sources)
        for name, value in rule.scene.items():
            if name not in scene:
                yield f"{key}.scene.{name}", unknown("scene column", name, list(scene))
            elif value not in scene[name]:
                yield f"{key}.scene.{name}", unknown(f"value of {name}", value, scene[name])
        for name in rule.segment:
            if name not in users:
                yield f"{key}.segment.{name}", unknown("attribute of users", name, users)


def scene_values(spec: ProfileSpec) -> dict[str, tuple[str, ...]]:
    """Returns the values that each column of a scene may have: bands of time, and context."""
    bands = {"hour_band": tuple(spec.scene.hour_bands), "day_kind": ("weekday", "weekend")}
    return {**bands, **{name: column.values for name, column in spec.context.items()}}


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """Says that a name is not known, and what the nearest is that is, or the first few."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    few = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    hint = f"did you mean {near[0]!r}?" if near else f"known are {few or 'none'}"
    return f"{name!r} is no {kind}; {hint}"
