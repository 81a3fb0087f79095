"""The Feast repository: by the real `feast` command, and a registry that outlives a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exit_pipeline.errors import LakeError, SettingsError
from exit_pipeline.feast_stores import repo
from exit_pipeline.feast_stores.place import feast_folder
from exit_pipeline.settings import load_settings
from tests.logs import PROFILE, SmallLog

VIEWS = {"user_features", "item_features", "scene_features", "user_interest"}


def feast(*arguments: str, **environment: str) -> str:
    """Runs the command as a user does: in the repository's folder."""
    command = str(Path(sys.executable).with_name("feast"))
    done = subprocess.run(
        [command, *arguments], cwd=repo.repo_folder(), check=False, text=True, timeout=120,
        capture_output=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_feast_command_in_a_new_home(tmp_path):
    log = SmallLog(tmp_path / "log", PROFILE.replace("[search, channel]", "[search, mail]"))
    variables = {
        "EXIT_HOME": str(tmp_path / "home"),
        "EXIT_PROFILE": str(log.profile.file),
    }
    feast("apply", **variables)
    listed = feast("feature-views", "list", **variables)
    assert all(view in listed for view in VIEWS)
    assert [folder.name for folder in (tmp_path / "home").iterdir()] == ["small"]
    home = load_settings(home=tmp_path / "home").home_of("small")
    assert {file.name for file in home.feast.iterdir()} == {"registry.db", "online.db"}
    view = repo.open_store(log.settings, home).get_feature_view("user_features")
    assert "user_mail" in {field.name for field in view.features}


def test_the_home_of_the_feast_command(monkeypatch):
    """Without EXIT_HOME it is the `.exit` beside the repository, wherever the command runs."""
    monkeypatch.delenv("EXIT_HOME", raising=False)
    monkeypatch.delenv("EXIT_PROFILE", raising=False)
    beside = repo.repo_folder().parent / ".exit" / "simulated" / "feast"
    assert feast_folder() == beside
    monkeypatch.setenv("EXIT_HOME", "/elsewhere")
    monkeypatch.setenv("EXIT_PROFILE", "complete_journey")
    assert feast_folder() == Path("/elsewhere/complete_journey/feast")


@pytest.fixture
def log(tmp_path):
    return SmallLog(tmp_path)


def apply(log):
    return repo.apply(log.settings, log.lake.home, log.profile)


def test_only_a_change_is_applied(log):
    store = apply(log)
    assert {view.name for view in store.list_feature_views()} == VIEWS
    registry = log.lake.home.feast / "registry.db"
    before = registry.read_bytes()
    apply(log)
    assert registry.read_bytes() == before
    changed = SmallLog(log.root, PROFILE.replace("segment: {}", "segment: {}, town: {}"))
    columns = {field.name for field in apply(changed).get_feature_view("user_features").features}
    assert "town" in columns


@pytest.mark.parametrize("left", [0, 1, 100, -1])
def test_a_torn_registry_is_written_again(log, left):
    apply(log)
    registry = log.lake.home.feast / "registry.db"
    registry.write_bytes(registry.read_bytes()[:left])
    if left == -1:
        with pytest.raises(LakeError, match="registry is damaged"):
            repo.open_store(log.settings, log.lake.home).list_feature_views()
    store = apply(log)
    assert {view.name for view in store.list_feature_views()} == VIEWS
    assert [service.name for service in store.list_feature_services()] == ["ranking"]


def test_two_at_once_and_one_that_waits_in_vain(log, monkeypatch):
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: apply(log), range(2)))
    assert all({v.name for v in store.list_feature_views()} == VIEWS for store in stores)
    monkeypatch.setattr(repo, "LOCK_SECONDS", 0.1)
    changed = SmallLog(log.root, PROFILE.replace("segment: {}", "segment: {}, town: {}"))
    with (
        repo.writing_registry(log.lake.home),
        pytest.raises(LakeError, match="another process has been writing Feast's registry"),
    ):
        apply(changed)


def test_a_service_is_kept_for_each_version(log):
    def register(log, version):
        return repo.register_version_service(log.settings, log.lake.home, log.profile, version)

    assert register(log, 7) == "ranking_v7"
    changed = SmallLog(log.root, PROFILE.replace("segment: {}", "segment: {}, town: {}"))
    assert register(changed, 8) == "ranking_v8"
    register(changed, 7)  # it stays as it was
    store = apply(changed)
    assert {s.name for s in store.list_feature_services()} == {
        "ranking",
        "ranking_v7",
        "ranking_v8",
    }

    def columns(name):
        projections = store.get_feature_service(name).feature_view_projections
        return {field.name for projection in projections for field in projection.features}

    assert columns("ranking_v8") - columns("ranking_v7") == {"town"}


@pytest.mark.parametrize("place", ["redis://:s3cret@127.0.0.1:6379/0", "127.0.0.1,password=s3cret"])
def test_a_redis_in_another_form_is_refused_and_not_shown(monkeypatch, place):
    monkeypatch.setenv("EXIT_REDIS", place)
    with pytest.raises(SettingsError, match=r"EXIT_REDIS .* host:port") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)
