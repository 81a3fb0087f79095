"""Whether the servers that the environment names answer; no password is ever shown."""

from __future__ import annotations

import os
from http.client import HTTPException, InvalidURL
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

if TYPE_CHECKING:
    from exit_pipeline.settings import Settings

SECONDS = 2
NOT_AN_ADDRESS = "not an address"
DRIVER = "pip install -c constraints.txt -e '.[deploy]' brings postgresql+psycopg2://…"
GUARDED = (401, 403)  # it is there, and asks who it is
Row = dict[str, Any]


def servers(settings: Settings) -> list[Row]:
    """Returns a row for each server that is named: reachable, or the reason why it is not."""
    rows = []
    if uri := os.environ.get("MLFLOW_TRACKING_URI", ""):
        mend = "start it, or unset MLFLOW_TRACKING_URI to use sqlite"
        if uri.startswith(("http://", "https://")):
            rows.append(_row("MLFLOW_TRACKING_URI", _web(uri), mend))
        elif "://" in uri and not uri.startswith(("sqlite:", "file:")):
            rows.append(_row("MLFLOW_TRACKING_URI", _database(uri), mend))
    if settings.lake:
        mend = "see that AWS_ENDPOINT_URL, AWS_REGION and the AWS keys are right"
        rows.append(_row("EXIT_LAKE", _lake(settings.lake), mend))
    if settings.redis:
        mend = "start it, or unset EXIT_REDIS to use sqlite"
        rows.append(_row("EXIT_REDIS", _redis(settings), mend))
    if settings.dagster_postgres:
        mend = "start it, or unset EXIT_DAGSTER_POSTGRES to use sqlite"
        url = settings.dagster_postgres.get_secret_value()
        rows.append(_row("EXIT_DAGSTER_POSTGRES", _database(url), mend))
    return rows


def _row(what: str, problem: str | None, mend: str) -> Row:
    return {"what": what, "ok": problem is None, "found": problem or "reachable", "mend": mend}


def _web(uri: str) -> str | None:
    """Asks an MLflow server whether it is well; a name and word in the address are left out."""
    try:
        parts = urlsplit(uri)
        if not parts.hostname:
            return NOT_AN_ADDRESS
        place = f"{parts.scheme}://{_host(parts)}{parts.path.rstrip('/')}/health"
        with urlopen(place, timeout=SECONDS):
            return None
    except HTTPError as error:
        return None if error.code in GUARDED else f"{_host(parts)} answers {error.code}"
    except (ValueError, InvalidURL):
        return NOT_AN_ADDRESS
    except (OSError, HTTPException) as error:
        return f"{_host(parts)}: {_reason(error)}"


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, TimeoutError):
        return f"no answer within {SECONDS} s"
    strerror = inner.strerror if isinstance(inner, OSError) else None
    return strerror or type(inner).__name__


def _database(text: str) -> str | None:
    """Connects to a database; its own words are said without what the address has for a password.

    The driver may be missing, and so may be the database on a server that is there.
    """
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        url = make_url(text)
        with create_engine(
            url, connect_args={"connect_timeout": SECONDS}, poolclass=NullPool
        ).connect():
            return None
    except (ArgumentError, ValueError):
        return NOT_AN_ADDRESS
    except ModuleNotFoundError as error:
        return f"the driver {error.name} is not installed; {DRIVER}"
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or type(error).__name__).strip()
        said = (said.splitlines() or [""])[0]
        secrets = (url.password, url.query.get("password"))
        return _without(said, *(secret for secret in secrets if isinstance(secret, str)))


def _without(text: str, *secrets: str) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, "…")
    return text


def _lake(url: str) -> str | None:
    """Asks the object store for the bucket."""
    from exit_pipeline.errors import LakeError
    from exit_pipeline.lake.remote import check

    try:
        check(url.removeprefix("s3://"))
    except LakeError as error:
        return error.what
    return None


def _redis(settings: Settings) -> str | None:
    """Asks Redis whose the database is."""
    from exit_pipeline.errors import ExitPipelineError
    from exit_pipeline.profile import load_profile

    try:
        from exit_pipeline.feast_stores.online_redis import identity
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed: pip install -c constraints.txt -e '.[deploy]'"
    assert settings.redis
    address = f"socket_timeout={SECONDS},{settings.redis.get_secret_value()}"
    try:
        identity(address, load_profile(settings.profile).name)
    except ExitPipelineError as error:
        return error.what
    except (ValueError, TypeError, LookupError):
        return NOT_AN_ADDRESS
    return None
