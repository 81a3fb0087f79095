"""Small files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def beside(path: Path) -> Path:
    """Names what is to take the place of a file or folder once it is whole: this process's own."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def write_text(file: Path, text: str) -> None:
    """Writes a text file; a reader sees the old one or the new one."""
    partial = beside(file)
    partial.write_text(text, "utf-8")
    os.replace(partial, file)


def put_to_disk(partial: Path, file: Path) -> None:
    """Puts a file that was written beside another in its place; the disk has it on return."""
    to_disk(partial)
    os.replace(partial, file)
    to_disk(file.parent)


def to_disk(path: Path) -> None:
    """Returns when the disk has a file's content, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
