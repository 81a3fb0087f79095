"""Imports Feast without the type checks that it has typeguard write into its classes.

They are written anew in every process, which is more than half of what Feast's import costs, and
are then made at every call. What this project hands to Feast is checked by mypy. A program that
imports Feast first has it as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class Unchecked(MetaPathFinder):
    """Stands before Python's own finders until Feast is imported, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds Feast as Python would, and sees to its import; nothing else."""
        if name != "feast":
            return None
        found = PathFinder.find_spec(name, path)
        if found and found.loader:
            execute = found.loader.exec_module

            def unchecked(module: ModuleType) -> None:
                import typeguard

                sys.meta_path.remove(self)
                checked, typeguard.typechecked = typeguard.typechecked, _as_it_is
                try:
                    execute(module)
                finally:
                    typeguard.typechecked = checked

            found.loader.exec_module = unchecked  # type: ignore[method-assign]
        return found


def _as_it_is(target: Any = None, **options: Any) -> Any:
    """What `typechecked` returns where Python runs without its assertions."""
    return target or _as_it_is
