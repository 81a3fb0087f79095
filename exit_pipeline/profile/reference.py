"""Writes the tables of `docs/profile.md` and `docs/settings.md` out of the models themselves.

`python -m exit_pipeline.profile.reference` prints them; a test compares them with the pages.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from exit_pipeline.profile.schema import ProfileSpec
from exit_pipeline.settings import Settings

HEAD = ["| key | value | default | meaning |", "|---|---|---|---|"]
KINDS = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false",
    "Path": "folder", "SecretStr": "text, never shown",
}  # fmt: skip
FORMS: dict[Any, tuple[str, str]] = {
    dict: ("section by name", "NAME."),
    tuple: ("list of sections", "N."),
}


def keys_table() -> str:
    """Every key of a profile, with its kind, default and meaning, as a Markdown table."""
    return "\n".join([*HEAD, *_rows(ProfileSpec, "")])


def settings_table() -> str:
    """Every setting, with its kind, default and meaning, as a Markdown table."""
    rows = []
    for name, info in Settings.model_fields.items():
        kind, default = _kind(info.annotation), _default(info)
        rows.append(f"| `EXIT_{name.upper()}` | {kind} | {default} | {info.description} |")
    return "\n".join(["| variable | value | default | meaning |", HEAD[1], *rows])


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in model.model_fields.items():
        section, shown = _section(info.annotation), f"{prefix}{name}"
        if section is None:
            kind, default = _kind(info.annotation), _default(info)
            yield f"| `{shown}` | {kind} | {default} | {info.description or ''} |"
            continue
        kind, below = FORMS.get(typing.get_origin(info.annotation), ("section", ""))
        if info.description:
            yield f"| `{shown}` | {kind} | {_default(info)} | {info.description} |"
        yield from _rows(section, f"{shown}.{below}")


def _section(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *typing.get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _kind(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kind(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(a) for a in arguments if a is not type(None))
    if origin is tuple:
        kinds = dict.fromkeys(_kind(a) for a in arguments if a is not Ellipsis)
        return f"list of {', '.join(kinds)}"
    if origin is dict:
        return f"{_kind(arguments[1])} by name"
    return KINDS.get(annotation.__name__, annotation.__name__)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None or value in ("", {}, ()):
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"`{k}: {v}`" for k, v in value.items())
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return "–" if isinstance(value, BaseModel) else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(f"{keys_table()}\n\n{settings_table()}\n")
