"""Versions of a profile's model: registered with what they were made from, and what is kept."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types import ParamSchema, ParamSpec

from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.registry.champions import CHAMPION, Champions
from exit_pipeline.registry.reading import reaching
from exit_pipeline.registry.tags import cut
from exit_pipeline.registry.version import Version

__all__ = ["CHALLENGER", "CHAMPION", "Registry", "Version"]

# MLflow passes on only the parameters that a signature names.
SIGNATURE = ModelSignature(params=ParamSchema([ParamSpec("governed", "boolean", True)]))
CHALLENGER = "challenger"


class Registry(Champions):
    """The registry of one profile: what can be done with its versions."""

    @reaching
    def register(
        self,
        models: Mapping[str, Path],
        params: Mapping[str, Any],
        lineage: Mapping[str, Any],
        policy: Sequence[RuleSpec] = (),
        documents: Mapping[str, Any] | None = None,
    ) -> int:
        """Registers a trained model as a new version and names it challenger.

        Everything is kept before there is a version, so that none is ever seen without it.

        Args:
            models: Folders that `save_model` wrote: `model`, and the baseline it is gated against.
            params: Settings, by name.
            lineage: What it was made from; kept with the version.
            policy: What governs transfer where MLflow loads the version, away from the profile.
            documents: JSON documents kept beside the model, by file name.

        Returns:
            The version's number.
        """
        client = self.client
        experiment = client.get_experiment_by_name(self.name)
        assert experiment is not None  # made with the client
        run = client.create_run(experiment.experiment_id, run_name=lineage["model"])
        run_id, text = run.info.run_id, json.dumps(lineage, sort_keys=True)
        client.log_batch(
            run_id,
            params=[Param(name, str(value)) for name, value in params.items()],
            tags=[RunTag(*one) for one in cut("lineage", text).items()],
        )
        with tempfile.TemporaryDirectory() as folder:
            target, rules = Path(folder) / "model", Path(folder) / "policy.json"
            kept = [rule.model_dump(mode="json", exclude_defaults=True) for rule in policy]
            rules.write_text(json.dumps(kept), "utf-8")
            mlflow.pyfunc.save_model(
                target,
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={name: str(place) for name, place in {**models, "policy": rules}.items()},
                pip_requirements=["exit-pipeline"],
                signature=SIGNATURE,
            )
            client.log_artifacts(run_id, str(target), "model")
        for name, document in (documents or {}).items():
            client.log_dict(run_id, document, name)
        client.set_terminated(run_id)
        version = client.create_model_version(
            self.name, f"{run.info.artifact_uri}/model", run_id, description="not decided yet"
        )
        self._alias(CHALLENGER, int(version.version), "registered", "registered")
        return int(version.version)

    @reaching
    def record(self, version: int, metrics: Mapping[str, float], name: str, document: Any) -> None:
        """Keeps figures with a version, and a JSON document beside its model.

        Of figures of one time MLflow shows the largest: those of now stand for those before.
        """
        now = int(time.time() * 1000)
        run_id = str(self.client.get_model_version(self.name, str(version)).run_id)
        self.client.log_batch(run_id, metrics=[Metric(n, v, now, 0) for n, v in metrics.items()])
        self.client.log_dict(run_id, document, name)

    @reaching
    def attach(self, version: int, file: Path, folder: str) -> None:
        """Keeps a copy of a file with a version, in a folder beside its model."""
        run_id = str(self.client.get_model_version(self.name, str(version)).run_id)
        self.client.log_artifact(run_id, str(file), folder)
