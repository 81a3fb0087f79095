"""Feast's registry in one file that is written whole or not at all, under the profile's home."""

from __future__ import annotations

import os
from pathlib import Path

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
from feast.repo_config import RegistryConfig
from feast.utils import _utc_now
from google.protobuf.message import DecodeError

from exit_pipeline.errors import LakeError
from exit_pipeline.feast_stores.place import feast_folder
from exit_pipeline.files import beside


class HomeRegistryStore(FileRegistryStore):
    """The registry's file; a relative path is under the home and profile of the environment."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        absolute = Path(registry_config.path).is_absolute()
        super().__init__(registry_config, repo_path if absolute else feast_folder())

    def get_registry_proto(self) -> RegistryProto:
        """Reads the registry.

        Raises:
            FileNotFoundError: There is none yet; Feast makes one.
            LakeError: The file is damaged.
        """
        try:
            return super().get_registry_proto()
        except DecodeError as error:
            raise LakeError(
                "Feast's registry is damaged",
                where=str(self._filepath),
                mend="remove the file, then materialize `online_store`, which writes it again",
            ) from error

    def _write_registry(self, registry_proto: RegistryProto) -> None:
        registry_proto.version_id = os.urandom(16).hex()
        registry_proto.last_updated.FromDatetime(_utc_now())
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        partial = beside(self._filepath)
        with partial.open("wb") as file:
            file.write(registry_proto.SerializeToString())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._filepath)
