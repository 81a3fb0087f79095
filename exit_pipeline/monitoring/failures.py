"""Failed runs: a line each in a log of the home, and a word to whoever is on call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from exit_pipeline.settings import Home

SECONDS = 5.0


def tell(home: Home, failure: Mapping[str, Any], why: str, webhook: str | None) -> None:
    """Writes a failure to the home's log, then posts it where there is a webhook.

    What is posted leaves out why: an error's text may quote what was in the data. A post that fails
    gets a line of its own in the log, and raises nothing.

    Args:
        home: Has the log.
        failure: What failed: names and numbers, no rows.
        why: The error's text.
        webhook: An http(s) address, which may be a secret: it is written nowhere.
    """
    told = {"at": datetime.now(UTC).isoformat("T", "seconds"), **failure}
    _write(home, {**told, "why": why})
    if webhook is None:
        return
    body = json.dumps(told, ensure_ascii=False).encode()
    request = Request(webhook, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urlopen(request, timeout=SECONDS):
            pass
    except (OSError, HTTPException, ValueError) as error:
        status = getattr(error, "code", None)
        problem = f"{type(error).__name__}{f' {status}' if status else ''}"
        _write(home, {**told, "webhook": problem})


def newest_failure(home: Home) -> dict[str, Any] | None:
    """Returns what the home's log says of the run that failed last, or None."""
    if not home.failures.exists():
        return None
    lines = home.failures.read_text("utf-8").splitlines()
    # A line without `why` is about a post that failed; the last may be half written.
    told = (json.loads(line) for line in reversed(lines) if line.endswith("}"))
    return next((failure for failure in told if "why" in failure), None)


def _write(home: Home, line: Mapping[str, Any]) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    with home.failures.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line, ensure_ascii=False) + "\n")
