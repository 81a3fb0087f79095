"""How MLflow loads a registered model: from this code and its files; nothing is unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class RegisteredModel(PythonModel):
    """Scores rows as the model was registered: under the policy that was in force then."""

    def load_context(self, context: Any) -> None:
        """Loads the model's folder, whose hash is checked, and the policy kept beside it.

        Raises:
            ModelFileError: A file of the model is missing, or was changed.
            ProfileError: A rule names what the model does not know.
            UsageError: The model cannot be governed.
        """
        from exit_pipeline.profile.policy import RuleSpec
        from exit_pipeline.ranking.scorer import Scorer

        kept = json.loads(Path(context.artifacts["policy"]).read_text("utf-8"))
        self.free = Scorer.load(Path(context.artifacts["model"]))
        self.governed = Scorer(self.free.model, [RuleSpec(**rule) for rule in kept])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Scores n rows.

        Args:
            context: Read when the model was loaded.
            model_input: The training set's input columns, and those that a rule names.
            params: `governed`: whether the policy acts, by default it does.

        Returns:
            `score`, float64, the calibrated probability, and for each source `rule_SOURCE`, int64:
            which rule of `policy.json` acted, −1 where none.
        """
        import pyarrow as pa

        governed = (params or {}).get("governed", True)
        rows = pa.Table.from_pandas(model_input, preserve_index=False)
        scorer = self.governed if governed else self.free
        found = scorer.score(rows)
        rules = {f"rule_{s}": found.rule[:, k] for k, s in enumerate(scorer.sources)}
        return pd.DataFrame({"score": found.score, **rules})


mlflow.models.set_model(RegisteredModel())
