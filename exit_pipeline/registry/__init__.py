"""The model registry in MLflow: versions with their lineage, aliases, and why each was decided."""

from exit_pipeline.registry.models import CHALLENGER, CHAMPION, Registry, Version

__all__ = ["CHALLENGER", "CHAMPION", "Registry", "Version"]
