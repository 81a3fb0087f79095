"""An engine that is missing is refused before any work is done."""

from __future__ import annotations

import sys

import pytest

from exit_pipeline.engines import check_engine
from exit_pipeline.errors import SettingsError
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import load_settings
from exit_pipeline.stage_files import stage_files

SPARK = load_settings(engine="spark")
PROFILE = load_profile("simulated")


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr("exit_pipeline.engines.choose.find_spec", lambda name: object())


def java(folder, says: str) -> None:
    (folder / "bin").mkdir()
    program = folder / "bin" / "java"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint({says!r}, file=sys.stderr)\n")
    program.chmod(0o755)


def test_without_pyspark_the_extra_is_named_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("exit_pipeline.engines.choose.find_spec", lambda name: None)
    inputs = dict.fromkeys(("events", "items", "users"), tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="pyspark is not installed") as refusal:
        stage_files("labels", SPARK, PROFILE, inputs, tmp_path / "out")
    assert ".[spark]" in refusal.value.mend
    assert "EXIT_ENGINE" in refusal.value.where
    assert list(tmp_path.iterdir()) == []


def test_without_java_what_to_install_is_named(tmp_path, monkeypatch, installed):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="there is no Java") as refusal:
        check_engine(SPARK, PROFILE.spec)
    assert "openjdk-17-jre-headless" in refusal.value.mend


@pytest.mark.parametrize(
    ("says", "refused"),
    [
        ('openjdk version "17.0.15" 2025-04-15', None),
        ('openjdk version "25" 2025-09-16', None),
        ('openjdk version "11.0.2" 2019-01-15', "Java 11 at .* is older than Java 17"),
        ("Error: could not create the VM", "does not run"),
    ],
)
def test_javas_before_17_are_refused(tmp_path, monkeypatch, installed, says, refused):
    java(tmp_path, says)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if refused is None:
        check_engine(SPARK, PROFILE.spec)
    else:
        with pytest.raises(SettingsError, match=refused):
            check_engine(SPARK, PROFILE.spec)


def test_what_only_duckdb_does_is_refused():
    labels = PROFILE.spec.labels
    consistency = labels.consistency.model_copy(update={"expectation": "regression"})
    asked = {"labels": labels.model_copy(update={"consistency": consistency})}
    with pytest.raises(SettingsError, match="expectation is regression"):
        check_engine(SPARK, PROFILE.spec.model_copy(update=asked))
