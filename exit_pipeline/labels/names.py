"""What the label SQL needs of a profile: names for its templates, values for its parameters."""

from __future__ import annotations

from datetime import date
from typing import Any

from exit_pipeline.profile import ProfileSpec
from exit_pipeline.times import DAY_US, HOUR_US


def names(spec: ProfileSpec, **extra: Any) -> dict[str, Any]:
    """Returns the checked names that label templates use."""
    return {
        "sources": spec.sources,
        "unit": spec.interest_unit,
        "scene": spec.scene,
        "group": spec.group,
        "segment": spec.segment,
        "context": spec.context,
        "outcome": spec.outcome,
        "consistency": spec.labels.consistency,
        "events": "events",
        "users": "users",
        "exposures": "impressions",
        "source_events": "source_events",
        "signed": "signed",
        **extra,
    }


def values(spec: ProfileSpec, first: date, last: date) -> dict[str, Any]:
    """Returns the parameters of the label SQL for the days `first`…`last`; times in µs."""
    labels = spec.labels
    return {
        "first": first,
        "last": last,
        "target": spec.target,
        "interest_types": list(spec.source_interest),
        "attribution_us": labels.attribution_hours * HOUR_US,
        "interest_us": labels.interest_hours * HOUR_US,
        "ahead_us": labels.ahead_hours * HOUR_US,
        "own_us": labels.consistency.own_response_days * DAY_US,
        "maturity_us": labels.maturity_days * DAY_US,
        "maturity_days": labels.maturity_days,
    }
