"""The registry's own sqlite store: there whole, or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mlflow.tracking import MlflowClient

STORE = "mlflow.db"


def make_store(file: Path) -> None:
    """Makes MLflow's store unless it stands.

    MLflow makes its tables one by one, and a process that dies meanwhile leaves a store that nobody
    can open. So it is made aside, and linked to its name when it is whole; of two processes that
    make it at once, the first wins.

    Args:
        file: Where it is to lie.
    """
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".making-") as folder:
        made = Path(folder) / STORE
        MlflowClient(tracking_uri=f"sqlite:///{made}").search_experiments(max_results=1)
        try:
            os.link(made, file)
        except FileExistsError:
            return
