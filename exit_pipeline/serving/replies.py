"""Answers as bytes: JSON, and errors in their one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from exit_pipeline.errors import ExitPipelineError


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a JSON answer; dataclasses and moments are written as they are, NaN as null."""
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers, media_type="application/json")


def refusal(
    status: int,
    what: str,
    *,
    where: str = "",
    mend: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Returns an error: what happened, where, and what can be done."""
    told = {"what": _clean(what), "where": _clean(where), "mend": _clean(mend)}
    return reply({"error": told}, status, headers)


def refusal_of(status: int, error: ExitPipelineError, retry: int | None = None) -> Response:
    """Returns an error of ours as an answer."""
    headers = {} if retry is None else {"Retry-After": str(retry)}
    return refusal(status, error.what, where=error.where, mend=error.mend, headers=headers)


def _clean(text: str) -> str:
    """JSON may name characters that no text has (lone surrogates)."""
    return text.encode("utf-8", "replace").decode("utf-8")
