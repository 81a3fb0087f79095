"""Failed runs: a line each in a log of the home, and a word to whoever is on call."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

from exit_pipeline.settings import Home

SECONDS = 5.0


def tell(home: Home, failure: Mapping[str, Any], why: str, webhook: str | None) -> None:
    """Posts a failure where there is a webhook, and writes it to the home's log.

    Posted first, since a home that cannot be written to is why runs fail, too.

    What is posted leaves out why: an error's text may quote what was in the data. A post that fails
    gets a line of its own in the log, and raises nothing.

    Args:
        home: Has the log.
        failure: What failed: names and numbers, no rows.
        why: The error's text.
        webhook: An http(s) address, which may be a secret: it is written nowhere.
    """
    told = {"at": datetime.now(UTC).isoformat("T", "seconds"), **failure}
    problem = None if webhook is None else _post(told, webhook)
    _write(home, {**told, "why": why})
    if problem:
        _write(home, {**told, "webhook": problem})


def _post(told: Mapping[str, Any], webhook: str) -> str | None:
    """Posts it; returns why that failed, if it did."""
    body = json.dumps(told, ensure_ascii=False).encode()
    request = Request(webhook, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urlopen(request, timeout=SECONDS):
            return None
    except (OSError, HTTPException, ValueError) as error:
        status = getattr(error, "code", None)
        return f"{type(error).__name__}{f' {status}' if status else ''}"


def newest_failure(home: Home) -> dict[str, Any] | None:
    """Returns what the home's log says of the run that failed last, or None."""
    if not home.failures.exists():
        return None
    lines = home.failures.read_text("utf-8").splitlines()
    # A line without `why` is about a post that failed.
    told = (_read(line) for line in reversed(lines))
    return next((failure for failure in told if "why" in failure), None)


def _read(line: str) -> dict[str, Any]:
    """What a line says; nothing where the disk was full before its end."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


def _write(home: Home, line: Mapping[str, Any]) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    with home.failures.open("a+b") as log:
        log.seek(max(log.seek(0, os.SEEK_END) - 1, 0))
        whole = log.read() in (b"", b"\n")  # else the disk was full in the middle of a line
        text = json.dumps(line, ensure_ascii=False)
        log.write((b"" if whole else b"\n") + text.encode() + b"\n")
