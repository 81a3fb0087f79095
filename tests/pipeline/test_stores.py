"""The graph on Postgres, Redis and an object store makes what it makes in a home."""

from __future__ import annotations

import json

import pyarrow.fs as pafs
import pytest

from exit_pipeline.bench.stores import shared_stores
from exit_pipeline.errors import UsageError
from exit_pipeline.registry import CHAMPION, Registry
from tests.conftest import SmallHome


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Servers of this test alone; the environment names them until it ends."""
    try:
        with shared_stores(tmp_path) as environment, monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            yield environment
    except UsageError as absent:
        pytest.skip(f"{absent.what}: {absent.mend}")


def weights(registry: Registry) -> bytes:
    return (registry.folder(1) / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_graph_on_servers_makes_what_it_makes_in_a_home(
    small_home, shared, tmp_path, monkeypatch
):
    home, other = SmallHome(tmp_path / "one"), SmallHome(tmp_path / "other")
    home.land()
    home.run("run")
    registry = Registry(home.lake.home, "simulated")
    if registry.find(CHAMPION) is None:
        registry.force(1, "the test needs a champion")
    assert not [*home.root.rglob("mlflow.db"), *home.root.rglob("online.db")]
    store = pafs.S3FileSystem(endpoint_override=shared["AWS_ENDPOINT_URL"])
    assert store.get_file_info(pafs.FileSelector("lakes/models", recursive=True))

    # Another machine has all of it, by settings alone.
    other.root.mkdir()
    asked = ("rank", "--user", "u0000001", "--json")
    assert json.loads(other.run(*asked)) == json.loads(home.run(*asked))
    elsewhere = Registry(other.lake.home, "simulated")
    tables, model, version = other.hashes(), weights(elsewhere), elsewhere.get(1)

    # A context of its own: undone with the test's, it would bring the servers' settings back.
    with monkeypatch.context() as alone:
        for name in shared:
            alone.delenv(name)
        here = Registry(small_home.lake.home, "simulated")
        assert tables == small_home.hashes()
        assert model == weights(here)
        assert version.metrics == pytest.approx(here.get(1).metrics)
