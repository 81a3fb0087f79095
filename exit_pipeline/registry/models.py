"""Versions of a profile's model: registered, promoted, refused, rolled back, and why."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types import ParamSchema, ParamSpec

from exit_pipeline.errors import GateRefusal, RegistryError, UsageError
from exit_pipeline.evaluation.gates import Decision
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.registry.reading import RegistryReader, reaching
from exit_pipeline.registry.tags import champion_stack, cut, new_entry, shortened
from exit_pipeline.registry.version import Version

# MLflow passes on only the parameters that a signature names.
SIGNATURE = ModelSignature(params=ParamSchema([ParamSpec("governed", "boolean", True)]))
CHAMPION, CHALLENGER = "champion", "challenger"
PROMOTED, REFUSED = "promoted", "refused"
ROLLED_BACK, WITHDRAWN = "rolled back to", "rolled back from"


class Registry(RegistryReader):
    """The registry of one profile: what can be done with its versions."""

    @reaching
    def register(
        self,
        models: Mapping[str, Path],
        params: Mapping[str, Any],
        lineage: Mapping[str, Any],
        policy: Sequence[RuleSpec] = (),
    ) -> int:
        """Registers a trained model as a new version and names it challenger.

        Args:
            models: Folders that `save_model` wrote: `model`, and the baseline it is gated against.
            params: Settings, by name.
            lineage: What it was made from; kept with the version.
            policy: What governs transfer where MLflow loads the version, away from the profile.

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
        client.set_terminated(run_id)
        version = client.create_model_version(
            self.name, f"{run.info.artifact_uri}/model", run_id, description="not decided yet"
        )
        self._alias(CHALLENGER, int(version.version), "registered", "registered")
        return int(version.version)

    @reaching
    def record(self, version: int, metrics: Mapping[str, float], name: str, document: Any) -> None:
        """Keeps figures with a version, and a JSON document beside its model."""
        run_id = str(self.client.get_model_version(self.name, str(version)).run_id)
        self.client.log_batch(run_id, metrics=[Metric(n, v, 0, 0) for n, v in metrics.items()])
        self.client.log_dict(run_id, document, name)

    @reaching
    def attach(self, version: int, file: Path, folder: str) -> None:
        """Keeps a copy of a file with a version, in a folder beside its model."""
        run_id = str(self.client.get_model_version(self.name, str(version)).run_id)
        self.client.log_artifact(run_id, str(file), folder)

    @reaching
    def decide(self, version: int, decision: Decision) -> bool:
        """Writes down a decision, and makes the version champion if it is to promote.

        Returns:
            Whether it became champion; False where it was champion already: nothing is written.

        Raises:
            GateRefusal: The decision is to refuse; it is written down first.
        """
        found = self.get(version)
        if CHAMPION in found.aliases:
            return False
        if decision.promote:
            self._crown(found, PROMOTED, decision.reason)
            return True
        self._note(version, REFUSED, decision.reason)
        raise GateRefusal(
            f"version {version} stays challenger: {decision.reason}",
            where=self.name,
            mend="`exit-pipeline evaluate` shows every gate; `promote --force` overrides them",
        )

    @reaching
    def force(self, version: int, reason: str) -> bool:
        """Makes a version champion whatever the gates say; the reason is kept.

        Returns:
            Whether it became champion; False where it was champion already: nothing is written.
        """
        found = self.get(version)
        if CHAMPION in found.aliases:
            return False
        self._crown(found, PROMOTED, f"by hand: {reason}")
        return True

    @reaching
    def rollback(self, reason: str, to: int | None = None) -> int:
        """Makes the champion before this one, or a given earlier one, champion again.

        The version rolled back from is withdrawn: no later decision promotes it but by force.

        Raises:
            RegistryError: There is no earlier champion.
            UsageError: The version named is champion, or never was.
        """
        present, target = self.find(CHAMPION), self.earlier() if to is None else to
        if target is None:
            raise RegistryError(
                "there is no earlier champion", where=self.name, mend="promote a version instead"
            )
        self._check_earlier(target, present, {entry["version"] for entry in self._moves()})
        if present:
            self._withdraw(present.version, reason)
        self._crown(self.get(target), ROLLED_BACK, reason)
        return target

    def earlier(self) -> int | None:
        """The champion before this one, to which a rollback goes; None where there is none."""
        moves = ((e["version"], e["move"] == ROLLED_BACK) for e in self._moves())
        stack, present = champion_stack(moves), self.number(CHAMPION)
        while stack and stack[-1] == present:
            stack.pop()
        return stack[-1] if stack else None

    def _moves(self) -> list[dict[str, Any]]:
        return [entry for entry in self.history() if entry["alias"] == CHAMPION]

    def _check_earlier(self, version: int, present: Version | None, champions: set[int]) -> None:
        is_champion = present is not None and present.version == version
        if is_champion or version not in champions:
            raise UsageError(
                f"version {version} {'is the champion' if is_champion else 'never was champion'}",
                where=f"{self.name}, --to {version}",
                mend="`exit-pipeline models` lists earlier champions; `promote` makes new ones",
            )

    def _withdraw(self, version: int, reason: str) -> None:
        self._note(version, WITHDRAWN, reason)
        self.client.set_model_version_tag(self.name, str(version), "withdrawn", shortened(reason))

    def _note(self, version: int, word: str, reason: str) -> None:
        tags = self.client.get_model_version(self.name, str(version)).tags
        key, value = new_entry("decision", tags, reason, decision=word)
        self.client.set_model_version_tag(self.name, str(version), key, value)
        text = f"{word}: {shortened(reason)}"
        self.client.update_model_version(self.name, str(version), text)

    def _crown(self, version: Version, move: str, reason: str) -> None:
        self._note(version.version, move, reason)
        if version.withdrawn:
            self.client.delete_model_version_tag(self.name, str(version.version), "withdrawn")
        self._alias(CHAMPION, version.version, move, reason)

    def _alias(self, alias: str, version: int, move: str, reason: str) -> None:
        key, value = new_entry(
            "alias", self._tags(), reason, alias=alias, version=version, move=move
        )
        self.client.set_registered_model_tag(self.name, key, value)
        # The alias is what readers follow: it moves last, when everything else is written.
        self.client.set_registered_model_alias(self.name, alias, str(version))
