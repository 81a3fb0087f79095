"""A person's data: deleted from every place that holds it, and let in nowhere afterwards."""

from exit_pipeline.privacy.forgotten import Forgotten

__all__ = ["Forgotten"]
