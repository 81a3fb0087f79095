"""A Feast data source over a Delta table, read through the table's own list of files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import copy
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.type_map import pa_to_feast_value_type
from feast.value_type import ValueType

from exit_pipeline.errors import LakeError
from exit_pipeline.lake.paths import check_folder, is_table, table_files
from exit_pipeline.lake.remote import fetched, followed


class DeltaSource(DataSource):
    """A Delta table as a Feast data source.

    Args:
        name: Unique within the Feast project.
        path: The table's folder or URL.
        version: A version to read; the newest by default.
        **options: Feast's own: `timestamp_field`, `created_timestamp_column`, `field_mapping`,
            `description`, `tags`, `owner`.
    """

    def __init__(self, *, name: str, path: str, version: int | None = None, **options: Any) -> None:
        super().__init__(name=name, **options)
        self.path = path
        self.version = version

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DeltaSource)
            and super().__eq__(other)
            and (self.path, self.version) == (other.path, other.version)
        )

    def __hash__(self) -> int:
        return super().__hash__()

    def at(self, version: int | None) -> DeltaSource:
        """Returns the source as it was at a version; as it is now for None."""
        there = copy(self)
        there.version = version
        return there

    def source_type(self) -> Any:
        """Feast's kind of this source."""
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> DeltaSource:
        """Reads the source out of Feast's registry."""
        options = json.loads(data_source.custom_options.configuration)
        return DeltaSource(
            name=data_source.name,
            path=options["path"],
            version=options["version"],
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column,
            field_mapping=dict(data_source.field_mapping),
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )

    def _to_proto_impl(self) -> DataSourceProto:
        options = json.dumps({"path": self.path, "version": self.version})
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{__name__}.DeltaSource",
            custom_options=DataSourceProto.CustomSourceOptions(configuration=options.encode()),
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            field_mapping=self.field_mapping,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def validate(self, config: RepoConfig) -> None:
        """Checks that the table can be read, once it is built: definitions come before data."""
        followed(Path(self.path))
        if DeltaTable.is_deltatable(self.path):
            self.files()

    def get_table_query_string(self) -> str:
        """Names the table in Feast's messages."""
        return self.path

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Returns the map from Arrow's type names to Feast's."""
        return pa_to_feast_value_type

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Returns the table's columns with the names of their Arrow types."""
        schema = pa.schema(self.open().schema().to_arrow())
        return [(field.name, str(field.type)) for field in schema]

    def open(self) -> DeltaTable:
        """Opens the table at its version.

        Raises:
            LakeError: There is no such table.
        """
        check_folder(self.path)
        followed(Path(self.path))
        if not is_table(self.path):
            raise LakeError(
                f"the source {self.name!r} has no Delta table",
                where=self.path,
                mend=f"materialize {self.name!r} first",
            )
        return DeltaTable(self.path, version=self.version)

    def files(self) -> list[str]:
        """Returns the table's Parquet files, sorted.

        Raises:
            LakeError: There is no such table, or it has deletion vectors.
        """
        return fetched(Path(self.path), table_files(self.open()))
