"""What shared stores cost: the demo on Postgres, Redis and S3, beside the demo in a home."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exit_pipeline.bench.measure import report
from exit_pipeline.bench.processes import free_port, seconds_of
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
            seconds["embedded"].append(seconds_of(Path(folder) / f"embedded-{turn}", "demo"))
            with shared_stores(Path(folder)) as environment:
                home = Path(folder) / f"shared-{turn}"
                seconds["shared"].append(seconds_of(home, "demo", **environment))
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
