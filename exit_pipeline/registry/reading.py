"""Reading a profile's registry: versions, aliases and their history, and the models' files."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from exit_pipeline.errors import RegistryError
from exit_pipeline.registry.store import STORE, make_store, make_sure
from exit_pipeline.registry.tags import entries, joined
from exit_pipeline.registry.version import UNDECIDED, Version
from exit_pipeline.settings import Home

for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module=r"mlflow\.")

# What MLflow says of a version and of an alias that is not there; anything else is a failure.
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


Result = TypeVar("Result")


def reaching(method: Callable[..., Result]) -> Callable[..., Result]:
    """Makes a method say so, in an error of ours, when the store is away."""

    @wraps(method)
    def guarded(self: Any, *arguments: Any, **named: Any) -> Result:
        with self._reaching():
            return method(self, *arguments, **named)

    return guarded


class RegistryReader:
    """The registry of one profile; nothing global is set, and nothing is opened before it is used.

    Args:
        home: Its `mlflow` folder holds a sqlite store, unless `MLFLOW_TRACKING_URI` names another.
        profile: The profile's name; the model is `exit-NAME`.
    """

    def __init__(self, home: Home, profile: str) -> None:
        self.home, self.name = home, f"exit-{profile}"
        self._client: MlflowClient | None = None

    @property
    def uri(self) -> str:
        """The store's address."""
        return os.environ.get("MLFLOW_TRACKING_URI") or self._local

    @property
    def _local(self) -> str:
        return f"sqlite:///{self.home.mlflow / STORE}"

    @property
    def served(self) -> bool:
        """Whether a server has the store, and the models' files with it."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; the store, the experiment and the model are made if need be.

        Raises:
            RegistryError: The store cannot be reached.
        """
        # Not a cached property: in Python 3.11 these share one lock, and a store that hangs would
        # hold up every other registry of the process.
        if self._client is None:
            self._client = self._connected()
        return self._client

    def _connected(self) -> MlflowClient:
        with self._reaching():
            if self.uri == self._local:
                make_store(self.home.mlflow / STORE)
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            # A server says itself where files lie; a database cannot.
            place = None if self.served else (self.home.mlflow / "artifacts").as_uri()
            make_sure(
                lambda: client.get_experiment_by_name(self.name),
                lambda: client.create_experiment(self.name, artifact_location=place),
            )
            make_sure(
                lambda: client.search_registered_models(f"name = '{self.name}'"),
                lambda: client.create_registered_model(self.name),
            )
        return client

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        client = self.client
        with self._reaching():
            found = client.search_model_versions(f"name = '{self.name}'")
        numbers = sorted(int(version.version) for version in found)
        return [self.get(number) for number in numbers]

    def decisions(self) -> list[str]:
        """The newest decision about each version; one call, whatever their number.

        Raises:
            RegistryError: The store cannot be read.
        """
        client = self.client
        with self._reaching():
            found = client.search_model_versions(f"name = '{self.name}'")
        histories = [[*entries("decision", version.tags).values()] for version in found]
        return [history[-1]["decision"] if history else UNDECIDED for history in histories]

    def get(self, which: int | str) -> Version:
        """Returns a version by its number or an alias.

        Raises:
            RegistryError: There is none, or the store cannot be read.
        """
        found = self.find(which)
        if found is None:
            raise RegistryError(
                f"there is no version or alias {which!r}",
                where=self.name,
                mend="`exit-pipeline models` lists them; `exit-pipeline run` trains the first",
            )
        return found

    def find(self, which: int | str) -> Version | None:
        """Like `get`, but None where there is none.

        Raises:
            RegistryError: The store cannot be read: that says nothing about what it holds.
        """
        client = self.client
        with self._reaching():
            found = self._look_up(which)
            if found is None:
                return None
            run = client.get_run(str(found.run_id))
        return Version(
            version=int(found.version),
            aliases=sorted(found.aliases),
            metrics=dict(run.data.metrics),
            history=[*entries("decision", found.tags).values()],
            withdrawn=found.tags.get("withdrawn", ""),
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
            lineage=json.loads(joined("lineage", run.data.tags) or "{}"),
        )

    def number(self, which: int | str) -> int | None:
        """The number of a version or alias, None where there is none; cheaper than `find`.

        Raises:
            RegistryError: The store cannot be read.
        """
        with self._reaching():
            found = self._look_up(which)
        return None if found is None else int(found.version)

    def folder(self, which: int | str, model: str = "model") -> Path:
        """Returns the local folder of a version's model, or of its baseline; fetched if remote."""
        number = str(self.get(which).version)
        with self._reaching():
            version = self.client.get_model_version(self.name, number)
            source = f"{version.source}/artifacts"
            if self.served:
                return self._fetched(source, str(version.run_id)) / model
            place = mlflow.artifacts.download_artifacts(artifact_uri=source, tracking_uri=self.uri)
        return Path(place) / model

    def _fetched(self, source: str, run_id: str) -> Path:
        """A server's files in the home, fetched once; MLflow would leave a copy in /tmp each time.

        They lie where a deletion looks for what models know.
        """
        kept = self.home.mlflow / "artifacts" / run_id / "fetched"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with self.home.scratch() as scratch:
                place = mlflow.artifacts.download_artifacts(
                    artifact_uri=source, tracking_uri=self.uri, dst_path=str(scratch)
                )
                try:
                    os.rename(place, kept)
                except OSError:
                    if not kept.exists():  # else another process was quicker
                        raise
        return kept

    def document(self, version: int, name: str) -> Any:
        """Returns a JSON document that was kept with a version, or None where there is none."""
        with self._reaching():
            run_id = str(self.client.get_model_version(self.name, str(version)).run_id)
            if name not in (file.path for file in self.client.list_artifacts(run_id)):
                return None
            with self.home.scratch() as scratch:
                place = self.client.download_artifacts(run_id, name, str(scratch))
                return json.loads(Path(place).read_text("utf-8"))

    def history(self) -> list[dict[str, Any]]:
        """Who held which alias since when, and why; oldest first."""
        return [*entries("alias", self._tags()).values()]

    def _look_up(self, which: int | str) -> ModelVersion | None:
        try:
            if isinstance(which, int) or which.isdigit():
                return self.client.get_model_version(self.name, str(which))
            return self.client.get_model_version_by_alias(self.name, which)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise

    def _tags(self) -> dict[str, str]:
        client = self.client
        with self._reaching():
            return client.get_registered_model(self.name).tags

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            raise RegistryError(
                f"the model registry's store could not be reached: {error}",
                where=self.name,
                mend="see that MLflow's store is up, then run again",
            ) from error
