"""Which code made a file: what was made by other code is made again."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import exit_pipeline


@lru_cache(maxsize=8)
def code_digest(*names: str) -> str:
    """SHA-256 over some of the package's modules, and all of its folders' Python and SQL.

    Args:
        *names: Paths below the package, such as `model` or `experiments/trees.py`.
    """
    root, digest = Path(exit_pipeline.__file__).parent, hashlib.sha256()
    for name in names:
        place = root / name
        files = [f for f in place.rglob("*") if f.suffix in (".py", ".sql")]
        for file in sorted(files) if place.is_dir() else [place]:
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
