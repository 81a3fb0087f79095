"""Dagster's instance and MLflow's registry on a Postgres that the environment names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dagster import DagsterRunStatus, asset, materialize

from assets.instance import open_instance
from exit_pipeline.bench.servers import database
from exit_pipeline.registry import Registry
from exit_pipeline.settings import Home
from tests.servers import postgres_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def test_a_run_is_kept_in_postgres(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("EXIT_DAGSTER_POSTGRES", database(postgres, "dagster"))

    @asset
    def one() -> int:
        return 1

    with open_instance(Home(tmp_path)) as instance:
        run = materialize([one], instance=instance).run_id
    assert not list(tmp_path.rglob("*.db"))
    assert "psycopg2" not in (tmp_path / "dagster" / "dagster.yaml").read_text()
    with open_instance(Home(tmp_path)) as instance:
        assert instance.get_run_by_id(run).status == DagsterRunStatus.SUCCESS
        assert instance.get_latest_materialization_event(one.key).run_id == run


def test_a_model_is_registered_in_postgres(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database(postgres, "mlflow"))
    model, home = tmp_path / "model", Home(tmp_path / "home")
    model.mkdir()
    (model / "description.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    lineage = {"model": "exit", "seed": 7}
    made = Registry(home, "small").register({"model": model}, {"epochs": 3}, lineage)
    registry = Registry(home, "small")
    registry.force(made, "the first")
    assert registry.get("champion").lineage == lineage
    assert (registry.folder("champion") / "model.safetensors").read_bytes() == b"weights"
    assert not list(tmp_path.rglob("*.db"))
