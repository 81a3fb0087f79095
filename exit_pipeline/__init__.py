"""Explicit interest transfer for cross-domain recommendation (arXiv 2407.20121)."""

import os
import sys

from exit_pipeline.imports import Unchecked

__version__ = "0.1.0"

# Nothing phones home or draws bars of its own; libraries read these on their first import.
for _switch in ("FEAST_USAGE", "GX_ANALYTICS_ENABLED", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"):
    os.environ.setdefault(_switch, "False")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# torch's threads wait for each other without holding a core: what else runs beside them, such as
# another step, costs seven times as much otherwise (docs/decisions.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
sys.meta_path.insert(0, Unchecked())
