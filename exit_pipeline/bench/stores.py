"""What shared stores cost: the demo on Postgres, Redis and S3, beside the demo in a home."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import report
from exit_pipeline.bench.processes import COMMAND, free_port
from exit_pipeline.bench.redis_server import RedisServer
from exit_pipeline.bench.servers import (
    BUCKET,
    database,
    mlflow_server,
    postgres_server,
    s3_server,
)

DEMOS = 2


def run(quick: bool = False) -> dict[str, Any]:
    """Measures the demo on servers of its own, and without any, in turn; the fastest counts.

    Args:
        quick: One of each.
    """
    seconds: dict[str, list[float]] = {"embedded": [], "shared": []}
    with tempfile.TemporaryDirectory(prefix="bench-stores-") as folder:
        for turn in range(1 if quick else DEMOS):
            seconds["embedded"].append(_demo(Path(folder) / f"embedded-{turn}", {}))
            with shared_stores(Path(folder)) as environment:
                seconds["shared"].append(_demo(Path(folder) / f"shared-{turn}", environment))
    embedded, shared = (min(seconds[name]) for name in ("embedded", "shared"))
    return report(
        "stores",
        {"demos": len(seconds["shared"])},
        {"seconds": seconds},
        None,
        {},
        {"shared_to_embedded": shared / embedded},
        {"embedded_seconds": embedded, "shared_seconds": shared},
    )


@contextmanager
def shared_stores(folder: Path) -> Iterator[dict[str, str]]:
    """Postgres, Redis, S3 and MLflow's server on the first and the last; yields the settings.

    Raises:
        UsageError: One of them is not installed.
    """
    redis = RedisServer(folder, free_port())
    redis.start()
    try:
        with postgres_server() as postgres, s3_server() as keys:
            store, models = database(postgres, "mlflow"), f"s3://{BUCKET}/models"
            with mlflow_server(store, models, keys) as mlflow:
                yield {
                    **keys,
                    "EXIT_LAKE": f"s3://{BUCKET}/tables",
                    "EXIT_REDIS": redis.address,
                    "EXIT_DAGSTER_POSTGRES": database(postgres, "dagster"),
                    "MLFLOW_TRACKING_URI": mlflow,
                }
    finally:
        redis.stop()


def _demo(home: Path, environment: dict[str, str]) -> float:
    home.mkdir()
    started = time.perf_counter()
    subprocess.run(
        [*COMMAND, "demo"], env={**os.environ, **environment, "EXIT_HOME": str(home)},
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return round(time.perf_counter() - started, 1)
