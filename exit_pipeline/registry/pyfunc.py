"""How MLflow loads a registered model: from this code and its files; nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel


class RegisteredModel(PythonModel):
    """Scores rows of the training set's input columns; returns calibrated probabilities."""

    def load_context(self, context: Any) -> None:
        """Loads the model's folder; its hash is checked."""
        from exit_pipeline.ranking.scorer import Scorer

        self.scorer = Scorer.load(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """DataFrame with the input columns → float64[n]."""
        import pyarrow as pa

        return self.scorer.score(pa.Table.from_pandas(model_input, preserve_index=False)).score


mlflow.models.set_model(RegisteredModel())
