"""Point-in-time features: daily snapshots, the user's interest state, and the training set."""

from exit_pipeline.features.build import FEATURE_TABLES, build_features, newest_feature_day
from exit_pipeline.features.inputs import input_spec, unit_input

__all__ = ["FEATURE_TABLES", "build_features", "input_spec", "newest_feature_day", "unit_input"]
