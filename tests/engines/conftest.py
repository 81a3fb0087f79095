"""One Spark session for all tests of this folder; without Java or pyspark they are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from exit_pipeline.engines import check_engine, open_engine
from exit_pipeline.errors import SettingsError
from exit_pipeline.lake import Connection
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import Home, load_settings


@pytest.fixture(scope="session")
def spark(tmp_path_factory) -> Iterator[Connection]:
    # Nothing here runs long enough for a compiler, Java's second or Spark's own, to pay.
    os.environ["JDK_JAVA_OPTIONS"] = (
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        " -Dspark.sql.codegen.wholeStage=false -Dspark.sql.codegen.factoryMode=NO_CODEGEN"
    )
    settings = load_settings(engine="spark", threads=1, memory_limit="1GB")
    try:
        check_engine(settings, load_profile("simulated").spec)
    except SettingsError as missing:
        pytest.skip(missing.what)
    with open_engine(settings, Home(tmp_path_factory.mktemp("spark"))) as engine:
        yield engine
