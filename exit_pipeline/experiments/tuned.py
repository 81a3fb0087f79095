"""Settings that tuning found, by world and model; kept in `tuned.json` beside this module."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from exit_pipeline.experiments.specs import WorldSpec

# The simulated worlds share what was found on A: that it holds in B is then a finding.
TUNED_ON = ("A", "complete_journey")
FILE = Path(__file__).with_name("tuned.json")


def tuned_settings(world: WorldSpec, model: str) -> dict[str, Any]:
    """Returns the dotted settings found for a model on a world; none where it was not tuned.

    Every simulated world has the standard A's settings; a quick one none.
    """
    if world.size == "quick":
        return {}
    return dict(_record(world).get(model, {}).get("settings", {}))


def is_tuned(world: WorldSpec, model: str) -> bool:
    """Says whether a model is on the record; its best settings may be the profile's own."""
    return model in _record(world)


def _record(world: WorldSpec) -> dict[str, Any]:
    name = TUNED_ON[0] if world.simulated else world.name
    return dict(read_tuned().get(name, {}))


@lru_cache(maxsize=1)
def read_tuned() -> dict[str, Any]:
    """Returns the record: world → model → what tuning found."""
    return json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
