"""What the registry is kept in: a store of its own, there whole or not there, and its entries."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

STORE = "mlflow.db"
TAKEN = "RESOURCE_ALREADY_EXISTS"


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


def make_sure(find: Callable[[], object], make: Callable[[], object]) -> None:
    """Makes what is not found; of two processes that make it at once, the later takes the other's.

    Raises:
        MlflowException: It could not be made, or its name is taken by what is not found.
    """
    if find():
        return
    try:
        make()
    except MlflowException as error:
        if error.error_code != TAKEN or not find():
            raise
