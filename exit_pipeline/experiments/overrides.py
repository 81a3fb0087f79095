"""Settings changed by dotted keys, strictly: how a study says what differs from the profile."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from exit_pipeline.errors import UsageError

Settings = TypeVar("Settings", bound=BaseModel)


def overridden(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Returns settings with some keys changed.

    Args:
        settings: A profile, or a section of one.
        changes: Dotted key → value, such as `labels.consistency.definition` → `rate`.

    Raises:
        UsageError: There is no such key, with the nearest one, or the value does not fit.
    """
    data = settings.model_dump()
    for key, value in changes.items():
        *path, last = key.split(".")
        section = data
        for part in path:
            section = section[known(part, section, key)]
        section[known(last, section, key)] = value
    try:
        return type(settings).model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"a setting does not fit: {first['msg']}", where=where) from error


def known(part: str, section: Any, key: str) -> str:
    """Returns a name that a section has.

    Args:
        part: The name.
        section: Names and their values.
        key: The whole of what was asked for.

    Raises:
        UsageError: There is no such name, with the nearest one.
    """
    if isinstance(section, dict) and part in section:
        return part
    names = list(section) if isinstance(section, dict) else []
    near = get_close_matches(part, names, n=1)
    raise UsageError(
        f"there is no setting {part!r}",
        where=key,
        mend=f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(names)}",
    )
