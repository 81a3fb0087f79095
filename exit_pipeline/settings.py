"""Settings from the environment (prefix `EXIT_`), and the folders that follow from them."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from exit_pipeline.errors import SettingsError
from exit_pipeline.process import process_name

COPIES = "lake.s3"  # the folder of a home for copies of what object stores have


class Settings(BaseSettings):
    """What may differ from machine to machine; what describes the data is in the profile."""

    model_config = SettingsConfigDict(env_prefix="EXIT_", extra="ignore", frozen=True)

    home: Path = Field(
        Path(".exit"),
        description="Where all state lives that no server has; remove it to reset that.",
    )
    profile: str = Field("simulated", description="Built-in profile name or path of a YAML file.")
    threads: int = Field(2, ge=1, le=256, description="Threads of DuckDB and torch, a step.")
    memory_limit: str = Field(
        "4GB", pattern=r"^\d+(\.\d+)?\s?[KMGT]i?B$", description="DuckDB's memory limit, a step."
    )
    engine: Literal["duckdb", "spark"] = Field(
        "duckdb", description="What fills label and feature tables: duckdb, or spark (an extra)."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("cpu", description="Training device.")
    workers: int = Field(
        1, ge=1, le=256, description="Processes that fit one model together, started by torchrun."
    )
    executor: Literal["in_process", "multiprocess"] = Field(
        "multiprocess",
        description="How the steps of a run from the UI are run: one by one, or two at a time.",
    )
    sensor_seconds: int = Field(30, ge=1, description="Seconds between ticks of the sensors.")
    webhook: SecretStr | None = Field(
        None, description="http(s) address that gets a POST for each failed run."
    )
    api_key: SecretStr | None = Field(
        None, description="Key that requests to the ranking service must carry."
    )
    redis: SecretStr | None = Field(
        None,
        description="Redis for the features online, as host:port,db=0,password=…; else sqlite.",
    )
    lake: str | None = Field(
        None, description="Object store for the tables, as s3://bucket/path; else under the home."
    )
    dagster_postgres: SecretStr | None = Field(
        None, description="URL of the Postgres of Dagster's instance; else sqlite in the home."
    )
    serve_timeout: float = Field(2.0, gt=0, description="Seconds a request may take.")
    serve_concurrency: int = Field(
        64, ge=1, description="Requests in the ranking service at a time; more are sent away."
    )
    serve_store_timeout: float = Field(
        0.25, gt=0, description="Seconds that a read of the online store may take."
    )
    serve_store_retry: float = Field(
        1.0, gt=0, description="Seconds until an online store that failed is tried again."
    )
    serve_watch: float = Field(
        1.0, gt=0, description="Seconds between looks for a promotion or new features."
    )
    serve_stale_hours: float = Field(
        48.0, gt=0, description="Age from which features of the catalogue count as stale."
    )
    serve_canary_salt: str = Field(
        "canary", description="Salt of the hash that picks the canary's users."
    )
    serve_skew_share: float = Field(
        0.01, ge=0, le=1, description="Share of rankings whose inputs are kept for the skew check."
    )

    @field_validator("home")
    @classmethod
    def _is_no_copy(cls, home: Path) -> Path:
        if COPIES in home.absolute().parts:
            raise ValueError(f"a folder below {COPIES!r} holds copies of an object store's tables")
        return home

    @field_validator("webhook")
    @classmethod
    def _is_address(cls, webhook: SecretStr | None) -> SecretStr | None:
        if webhook and not webhook.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        return webhook

    @field_validator("lake")
    @classmethod
    def _is_store(cls, lake: str | None) -> str | None:
        # Those who read and those who write would make different places of dots and blanks.
        path, folder = (lake or "").rstrip("/"), r"/(?!\.+(/|$))[\w.=-]+"
        if path and not re.fullmatch(rf"s3://[a-z0-9][a-z0-9.-]+({folder})*", path, re.ASCII):
            raise ValueError("write s3://bucket/path, of letters, digits and . _ = - alone")
        return path or None

    @field_validator("redis")
    @classmethod
    def _is_place(cls, redis: SecretStr | None) -> SecretStr | None:
        # Feast takes this form alone, and says of a URL that its port is no number.
        if redis and not re.match(r"[^:/,=]+:\d+(,|$)", redis.get_secret_value()):
            raise ValueError("write host:port, then ,password=… or ,db=… if need be; no URL")
        return redis

    def home_of(self, profile_name: str) -> Home:
        """Returns the folders that hold the state of one profile."""
        root = (self.home / profile_name).absolute()
        return Home(root, f"{self.lake}/{profile_name}/lake" if self.lake else None)


class Home:
    """The folders of one profile under `EXIT_HOME`; made when first written to.

    Args:
        root: The profile's folder.
        store: The URL of the tables where an object store has them; `lake` is a copy then.
    """

    def __init__(self, root: Path, store: str | None = None) -> None:
        self.root = root
        self.copies = root / COPIES
        self.lake = self.copies / store.removeprefix("s3://") if store else root / "lake"
        self.landing = root / "landing"
        self.feast = root / "feast"
        self.online_days = self.feast / "online_days.json"
        self.mlflow = root / "mlflow"
        self.dagster = root / "dagster"
        self.reports = root / "reports"
        self.failures = root / "failures.jsonl"
        self.spill = root / "spill"
        self.models = root / "models"
        self.pushed = root / "pushed"
        self.sampled = root / "sampled"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yields a folder of its own beside what spills; it is removed afterwards.

        Its name says, as DuckDB's do, whose process it is of.
        """
        self.spill.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.spill, prefix=f"{process_name()}-") as folder:
            yield Path(folder)


def load_settings(**overrides: object) -> Settings:
    """Reads the settings from the environment.

    Args:
        **overrides: Values that win over the environment.

    Raises:
        SettingsError: A variable holds an unusable value.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = f"EXIT_{'_'.join(str(part) for part in first['loc']).upper()}"
        raise SettingsError(
            f"{name} is not usable: {first['msg']}",
            where=name if _is_secret(first) else f"{name}={first.get('input')!r}",
            mend="`exit-pipeline doctor` lists every setting with its meaning",
        ) from error


def _is_secret(error: ErrorDetails) -> bool:
    field = Settings.model_fields.get(str(error["loc"][0]))
    kept = field is not None and "Secret" in str(field.annotation)
    return kept or "@" in str(error.get("input"))  # an address with a word in it
