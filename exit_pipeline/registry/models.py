"""Versions of a profile's model: registered, promoted, refused, rolled back, and why."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from exit_pipeline.errors import GateRefusal, RegistryError
from exit_pipeline.evaluation.gates import Decision
from exit_pipeline.settings import Home

for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module=r"mlflow\.")

CHAMPION, CHALLENGER = "champion", "challenger"
PROMOTED, REFUSED, ROLLED_BACK = "promoted", "refused", "rolled back to"


@dataclass(frozen=True)
class Version:
    """One registered version."""

    version: int
    aliases: list[str]
    metrics: dict[str, float]
    decision: str
    reason: str
    created: datetime
    lineage: dict[str, Any] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """What `exit-pipeline models --json` shows of a version."""
        names = ("version", "aliases", "metrics", "decision", "reason")
        return {**{n: getattr(self, n) for n in names}, "created": self.created.isoformat()}


class Registry:
    """The registry of one profile; nothing global is set, and nothing is opened before it is used.

    Args:
        home: Its `mlflow` folder holds a sqlite store, unless `MLFLOW_TRACKING_URI` names another.
        profile: The profile's name; the model is `exit-NAME`.
    """

    def __init__(self, home: Home, profile: str) -> None:
        self.home, self.name = home, f"exit-{profile}"

    @property
    def uri(self) -> str:
        """The store's address."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home.mlflow}/mlflow.db"

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client; the store, the experiment and the model are made if need be."""
        self.home.mlflow.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        if client.get_experiment_by_name(self.name) is None:
            local = "MLFLOW_TRACKING_URI" not in os.environ
            place = (self.home.mlflow / "artifacts").as_uri() if local else None
            client.create_experiment(self.name, artifact_location=place)
        if not client.search_registered_models(f"name = '{self.name}'"):
            client.create_registered_model(self.name)
        return client

    def register(
        self,
        models: Mapping[str, Path],
        params: Mapping[str, Any],
        lineage: Mapping[str, Any],
    ) -> int:
        """Registers a trained model as a new version and names it challenger.

        Args:
            models: Folders that `save_model` wrote: `model`, and the baseline it is gated against.
            params: Settings, by name.
            lineage: What it was made from; kept with the version.

        Returns:
            The version's number.
        """
        client = self.client
        experiment = client.get_experiment_by_name(self.name)
        assert experiment is not None  # made with the client
        run = client.create_run(experiment.experiment_id, run_name=lineage["model"])
        run_id = run.info.run_id
        client.log_batch(
            run_id,
            params=[Param(name, str(value)) for name, value in params.items()],
            tags=[RunTag("lineage", json.dumps(lineage, sort_keys=True))],
        )
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "model"
            mlflow.pyfunc.save_model(
                target,
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={name: str(place) for name, place in models.items()},
                pip_requirements=["exit-pipeline"],
            )
            client.log_artifacts(run_id, str(target), "model")
        client.set_terminated(run_id)
        version = client.create_model_version(
            self.name, f"{run.info.artifact_uri}/model", run_id, description="not decided yet"
        )
        self._alias(CHALLENGER, int(version.version), "registered")
        return int(version.version)

    def record(self, version: int, metrics: Mapping[str, float], name: str, document: Any) -> None:
        """Keeps figures with a version, and a JSON document beside its model."""
        run_id = str(self.client.get_model_version(self.name, str(version)).run_id)
        self.client.log_batch(run_id, metrics=[Metric(n, v, 0, 0) for n, v in metrics.items()])
        self.client.log_dict(run_id, document, name)

    def decide(self, version: int, decision: Decision) -> None:
        """Writes down a decision, and makes the version champion if it is to promote.

        Raises:
            GateRefusal: The decision is to refuse; it is written down first.
        """
        self.get(version)
        word = PROMOTED if decision.promote else REFUSED
        self._note(version, word, decision.reason, decision.to_dict())
        if not decision.promote:
            raise GateRefusal(
                f"version {version} stays challenger: {decision.reason}",
                where=self.name,
                mend="`exit-pipeline models` shows every gate; `promote --force` overrides them",
            )
        self._alias(CHAMPION, version, decision.reason)

    def force(self, version: int, reason: str) -> None:
        """Makes a version champion whatever the gates say; the reason is kept."""
        self.get(version)
        self._note(version, PROMOTED, f"by hand: {reason}", None)
        self._alias(CHAMPION, version, f"by hand: {reason}")

    def rollback(self, reason: str, to: int | None = None) -> int:
        """Makes the champion before this one, or a given version, champion again.

        Raises:
            RegistryError: There is no earlier champion.
        """
        was = [entry["version"] for entry in self.history() if entry["alias"] == CHAMPION]
        earlier = [version for version in was if version != was[-1]]
        if to is None and not earlier:
            raise RegistryError(
                "there is no earlier champion", where=self.name, mend="name one with --to"
            )
        version = self.get(to if to is not None else earlier[-1]).version
        self._note(version, ROLLED_BACK, reason, None)
        self._alias(CHAMPION, version, f"rollback: {reason}")
        return version

    def history(self) -> list[dict[str, Any]]:
        """Who held which alias since when, and why; oldest first."""
        tags = self.client.get_registered_model(self.name).tags
        return json.loads(tags.get("alias_history", "[]"))

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        numbers = sorted(int(version.version) for version in found)
        return [self.get(number) for number in numbers]

    def get(self, which: int | str) -> Version:
        """Returns a version by its number or an alias.

        Raises:
            RegistryError: There is none.
        """
        try:
            if isinstance(which, int) or which.isdigit():
                found = self.client.get_model_version(self.name, str(which))
            else:
                found = self.client.get_model_version_by_alias(self.name, which)
        except MlflowException as error:
            raise RegistryError(
                f"there is no version or alias {which!r}",
                where=self.name,
                mend="`exit-pipeline models` lists them; `exit-pipeline run` trains the first",
            ) from error
        run = self.client.get_run(str(found.run_id))
        return Version(
            version=int(found.version),
            aliases=sorted(found.aliases),
            metrics=dict(run.data.metrics),
            decision=found.tags.get("decision", "undecided"),
            reason=found.tags.get("reason", ""),
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
            lineage=json.loads(run.data.tags.get("lineage", "{}")),
        )

    def find(self, which: int | str) -> Version | None:
        """Like `get`, but None where there is none."""
        try:
            return self.get(which)
        except RegistryError:
            return None

    def folder(self, which: int | str, model: str = "model") -> Path:
        """Returns the local folder of a version's model, or of its baseline; fetched if remote."""
        version = self.client.get_model_version(self.name, str(self.get(which).version))
        place = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{version.source}/artifacts", tracking_uri=self.uri
        )
        return Path(place) / model

    def _note(self, version: int, word: str, reason: str, gates: Any) -> None:
        for key, value in (("decision", word), ("reason", reason), ("gates", json.dumps(gates))):
            self.client.set_model_version_tag(self.name, str(version), key, value[:5000])
        self.client.update_model_version(self.name, str(version), f"{word}: {reason}")

    def _alias(self, alias: str, version: int, reason: str) -> None:
        entry = {"alias": alias, "version": version, "reason": reason,
                 "at": datetime.now(UTC).isoformat(timespec="seconds")}  # fmt: skip
        history = json.dumps([*self.history(), entry])
        self.client.set_registered_model_tag(self.name, "alias_history", history)
        # The alias is what readers follow: it moves last, when everything else is written.
        self.client.set_registered_model_alias(self.name, alias, str(version))
