"""Reads a profile strictly: an unknown key is an error that names the nearest right one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from exit_pipeline.errors import ProfileError
from exit_pipeline.profile.schema import ProfileSpec

BUILT_IN = Path(__file__).parents[1] / "profiles"
MAX_BYTES = 1_000_000
# Of these neither a table nor a model is made, so a change of them makes none stale.
MAKE_NOTHING = {"description", "gates", "policy", "monitoring", "schedule"}


@dataclass(frozen=True)
class Profile:
    """A profile that was read, with the folder that its adapter files lie in."""

    spec: ProfileSpec
    file: Path
    text: str

    @property
    def name(self) -> str:
        """The profile's name, which is also its folder under `EXIT_HOME`."""
        return self.spec.name

    def adapter_sql(self, table: str) -> str:
        """Returns the SQL SELECT that turns raw files into one table of the contract."""
        return (self.file.parent / self.spec.adapter[table]).read_text("utf-8")  # type: ignore[index]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the adapters and all settings but `MAKE_NOTHING`; lineages record it."""
        digest = hashlib.sha256(self.spec.model_dump_json(exclude=MAKE_NOTHING).encode())
        for table in sorted(self.spec.adapter):
            digest.update(self.adapter_sql(table).encode())
        return digest.hexdigest()


def built_in_profiles() -> list[str]:
    """Names of the profiles that come with the package."""
    return sorted(p.parent.name for p in BUILT_IN.glob("*/profile.yaml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """Reads a profile by the name of a built-in one or by the path of a YAML file.

    Args:
        name_or_path: `simulated`, `complete_journey`, or a path to a `profile.yaml`.

    Raises:
        ProfileError: No such profile, bad YAML, an unknown key, a bad value or a missing adapter;
            the message carries the line and, for a key, the nearest right one.
    """
    file = _find(name_or_path)
    try:
        text = file.read_text("utf-8")
        node = yaml.compose(text)
        data = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(
            f"the profile is not readable YAML: {error}", where=str(file), mend="mend the syntax"
        ) from error
    if not isinstance(data, dict):
        raise ProfileError(
            "the profile is empty or no mapping",
            where=str(file),
            mend="`exit-pipeline profile init LANDING` drafts one",
        )
    _refuse_repeats(node, file)
    try:
        spec = ProfileSpec.model_validate(data)
    except ValidationError as error:
        raise _explain(error, node, file) from error
    profile = Profile(spec, file, text)
    _check_adapters(profile)
    return profile


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if text in built_in_profiles():
        return BUILT_IN / text / "profile.yaml"
    file = Path(text)
    if file.is_dir():
        file = file / "profile.yaml"
    if not file.is_file():
        near = get_close_matches(text, built_in_profiles(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ProfileError(
            f"there is no profile {text!r}",
            where=str(file),
            mend=f"{hint}give a YAML file or one of: {', '.join(built_in_profiles())}",
        )
    if file.stat().st_size > MAX_BYTES:
        raise ProfileError("the profile is larger than 1 MB", where=str(file), mend="is it YAML?")
    return file.absolute()


def _refuse_repeats(root: Any, file: Path) -> None:
    """Of two equal keys YAML keeps the last in silence; here that is an error."""
    for mapping in _mappings(root, set()):
        lines: dict[str, int] = {}
        for key, _ in mapping.value:
            line, name = key.start_mark.line + 1, str(key.value)
            if name in lines:
                raise ProfileError(
                    f"line {line}: {name}: the key stands on line {lines[name]} already",
                    where=str(file),
                    mend="keep one of the two",
                )
            lines[name] = line


def _mappings(node: Any, seen: set[int]) -> Iterator[Any]:
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return  # a scalar, or an alias of what was seen
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
        children = [value for _, value in node.value]
    else:
        children = node.value
    for child in children:
        yield from _mappings(child, seen)


def _check_adapters(profile: Profile) -> None:
    for table, name in profile.spec.adapter.items():
        file = profile.file.parent / name
        if not file.is_file():
            raise ProfileError(
                f"the adapter for {table!r} does not exist",
                where=str(file),
                mend=f"write one SQL SELECT that returns the columns of {table!r} into that file",
            )


def _explain(error: ValidationError, node: Any, file: Path) -> ProfileError:
    lines, mend = [], "see docs/profile.md for every key with its meaning and default"
    for problem in error.errors():
        path = [part for part in problem["loc"] if not str(part).startswith("function-")]
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "value_error" and re.match(r"[\w.]+: ", message):
            key, _, message = message.partition(": ")  # which keys do not fit together
            path += [int(part) if part.isdigit() else part for part in key.split(".")]
        key = ".".join(map(str, path)) or "profile"
        if problem["type"] == "extra_forbidden":
            message = "unknown key"
            near = get_close_matches(str(path[-1]), _keys_at(path[:-1]), n=1, cutoff=0.5)
            if near:
                message += f"; did you mean {near[0]!r}?"
        lines.append(f"line {_line(node, path)}: {key}: {message}")
    return ProfileError("\n".join(lines), where=str(file), mend=mend)


def _keys_at(path: Sequence[Any]) -> list[str]:
    model: Any = ProfileSpec
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:  # a name inside a mapping such as `items`: its own model comes next
            continue
        model = field.annotation
        for argument in getattr(model, "__args__", ()):
            if isinstance(argument, type) and issubclass(argument, BaseModel):
                model = argument
    return list(getattr(model, "model_fields", {}))


def _line(node: Any, path: Sequence[Any]) -> int:
    line = node.start_mark.line
    for part in path:
        if isinstance(node, yaml.MappingNode):
            entry = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
    return line + 1
