"""From landing files to the tables of the contract: events, quarantine, items and users."""

from exit_pipeline.ingest.attributes import ingest_attributes
from exit_pipeline.ingest.day import IngestReport
from exit_pipeline.ingest.events import ingest_days
from exit_pipeline.ingest.landing import landed_days

__all__ = ["IngestReport", "ingest_attributes", "ingest_days", "landed_days"]
