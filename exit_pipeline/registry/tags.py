"""What the registry keeps in MLflow's tags, whose lengths stores limit: entries and long texts.

Every decision and every move of an alias is an entry with a tag of its own; none is overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

# Stores limit a tag to as little as 5000 characters; quotes in a reason count twice in JSON.
REASON, PIECE = 2000, 4000


def new_entry(kind: str, tags: Mapping[str, str], reason: str, **values: Any) -> tuple[str, str]:
    """Returns the key and value of a tag that adds an entry after those that are there.

    Args:
        kind: What the entry is about, the key's first part.
        tags: The tags that are there.
        reason: Why; shortened where it is longer than a tag may be.
        **values: JSON-able, short.
    """
    entry = {
        **values,
        "reason": shortened(reason),
        "at": datetime.now(UTC).isoformat("T", "seconds"),
    }
    number = len(entries(kind, tags)) + 1
    # Two writers at once may count the same number: the suffix keeps both entries.
    return f"{kind}.{number:06d}.{uuid4().hex[:6]}", json.dumps(entry, ensure_ascii=False)


def entries(kind: str, tags: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Returns the entries of a kind by their tags' keys, oldest first."""
    return {key: json.loads(tags[key]) for key in sorted(tags) if key.startswith(f"{kind}.")}


def shortened(reason: str) -> str:
    """Returns a reason that a tag can hold."""
    return reason if len(reason) <= REASON else f"{reason[: REASON - 1]}…"


def cut(kind: str, text: str) -> dict[str, str]:
    """Cuts a text into tags; a longer tag would be cut off by the store, in silence."""
    starts = range(0, len(text), PIECE)
    return {f"{kind}.{n:06d}": text[at : at + PIECE] for n, at in enumerate(starts)}


def joined(kind: str, tags: Mapping[str, str]) -> str:
    """Returns the text that was cut."""
    return "".join(tags[key] for key in sorted(tags) if key.startswith(f"{kind}."))
