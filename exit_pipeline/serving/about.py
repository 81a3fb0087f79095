"""What the service says of itself."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException

from exit_pipeline.profile.policy import scene_values
from exit_pipeline.serving.service import Service


def model_answer(service: Service) -> dict[str, Any]:
    """Answers `GET /v1/model`.

    Raises:
        RegistryError: There is no champion.
    """
    loaded, other = service.champion.get(), service.challenger and service.challenger.loaded
    version = loaded.version
    names = ("version", "aliases", "metrics", "decision", "reason", "created")
    return {
        "profile": service.profile.name,
        **{name: getattr(version, name) for name in names},
        "days": version.lineage.get("split", {}),
        "sources": list(service.spec.sources),
        "scene": {name: list(values) for name, values in scene_values(service.spec).items()},
        "challenger": other and other.version.version,
        "loaded_since": loaded.since,
        "items": len(loaded.items.catalogue),
        "features_as_of": loaded.items.as_of,
        "clock": service.clock,
    }


def ready_answer(service: Service) -> dict[str, Any]:
    """Answers `GET /readyz`."""
    loaded, reasons = service.champion.loaded, service.reasons()
    as_of = loaded and loaded.items.as_of
    return {
        "ready": not reasons,
        "reasons": reasons,
        "model_version": loaded and loaded.version.version,
        "features_as_of": as_of,
        "features_age_seconds": loaded
        and (service.at(loaded) - loaded.items.as_of).total_seconds(),
    }


def shadow_answer(service: Service) -> dict[str, Any]:
    """Answers `GET /v1/shadow`.

    Raises:
        HTTPException: The service was started without a shadow.
    """
    if service.shadow is None:
        raise HTTPException(404, "no version is scored beside the champion; see `serve --shadow`")
    return service.shadow.report()
