"""What the moves of the champion's alias say: who can be gone back to, and what never came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PROMOTED, ROLLED_BACK = "promoted", "rolled back to"
Move = Mapping[str, Any]  # `version`, `move` and more, see `Champions`


def reached(moves: Sequence[Move], present: int | None) -> list[Move]:
    """Returns the moves without a newest one that never reached the alias.

    A move is written down before the alias is set. Where a process died between, the champion is
    still who it was before that move.

    Args:
        moves: Oldest first.
        present: The champion.
    """
    *_, before, newest = (None, None, *(move["version"] for move in moves))
    return list(moves[:-1] if newest != present == before else moves)


def champion_stack(moves: Sequence[Move], present: int | None) -> list[int]:
    """Returns the champions that can be gone back to, the present one last.

    A promotion lays a version on top; a rollback takes off what lies above the one it goes back to.
    What was moved after the present champion became so does not count: it is not so any more, or
    never was.

    Args:
        moves: Oldest first.
        present: The champion.
    """
    at = [n for n, move in enumerate(moves, 1) if move["version"] == present]
    stack: list[int] = []
    for move in moves[: at[-1]] if at else moves:
        version = move["version"]
        if move["move"] == ROLLED_BACK and version in stack:
            while stack[-1] != version:
                stack.pop()
        else:
            stack.append(version)
    return stack
