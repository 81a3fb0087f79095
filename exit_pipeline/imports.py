"""Imports Feast without what its import does to a whole process; who imports it first has it all.

It has typeguard write type checks into its classes, anew in every process, which is more than half
of what the import costs, and they are made at every call: what this project hands to Feast is
checked by mypy. It also has Prometheus' client keep every counter of the process, and of those that
it starts, in files of a folder that it makes, for workers that fork: here a service is one process.
Feast's own metrics server, which is not used, would find none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# Where Prometheus' client keeps counters in files; Feast sets both.
_FOLDERS = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


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
                import prometheus_client  # noqa: F401 — it decides now where counters are kept
                import typeguard

                sys.meta_path.remove(self)
                checked, typeguard.typechecked = typeguard.typechecked, _as_it_is
                missing = [name for name in _FOLDERS if name not in os.environ]
                os.environ.update(dict.fromkeys(missing, ""))  # or Feast makes a folder
                try:
                    execute(module)
                finally:
                    typeguard.typechecked = checked
                    for name in missing:
                        os.environ.pop(name)

            found.loader.exec_module = unchecked  # type: ignore[method-assign]
        return found


def _as_it_is(target: Any = None, **options: Any) -> Any:
    """What `typechecked` returns where Python runs without its assertions."""
    return target or _as_it_is
