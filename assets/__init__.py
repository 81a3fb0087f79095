"""The lineage graph: Dagster definitions, a module per stage. Work is done in `exit_pipeline`."""

import warnings

from dagster import BetaWarning

# The partition mappings and freshness policies that the graph uses are marked beta; the pinned
# version is tested, and the notice would come up in every command.
warnings.filterwarnings("ignore", category=BetaWarning)
