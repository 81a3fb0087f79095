"""A home with two versions of a model that tell themselves apart, and a service on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from exit_pipeline.lake import Lake
from exit_pipeline.profile import load_profile
from exit_pipeline.registry import Registry
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.service import Options, Service
from exit_pipeline.settings import Settings, load_settings
from exit_pipeline.training import load_model
from exit_pipeline.training.artifact import save_model

SCENE = {"place": "home", "hour_band": "evening", "day_kind": "weekday"}


@dataclass(frozen=True)
class ServingHome:
    """Versions 1 and 2 are one model, but for the constant of its calibration; 1 is champion."""

    root: Path
    settings: Settings

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.home_of("simulated"))

    @property
    def registry(self) -> Registry:
        return Registry(self.lake.home, "simulated")

    def service(self, options: Options | None = None, **settings: Any) -> Service:
        return Service(
            self.settings.model_copy(update=settings),
            load_profile("simulated"),
            options or Options(),
        )


def _registers(source: Registry, target: Registry, folder: Path) -> None:
    model = load_model(source.folder("challenger"))
    assert model.calibration.kind == "platt"
    for constant in (-0.5, 0.5):
        there = folder / str(constant) / "model"
        calibration = replace(model.calibration, bias=constant)
        save_model(replace(model, calibration=calibration), there)
        lineage = {"model": "exit", "split": source.get("challenger").lineage["split"]}
        version = target.register({"model": there}, {}, lineage)
        target.record(version, {"logloss": 0.2, "gates_passed": 1.0}, "evaluation.json", {})


@pytest.fixture(scope="session")
def standing(small_home, tmp_path_factory) -> ServingHome:
    """A home that stays as it is."""
    root = tmp_path_factory.mktemp("serving")
    for part in ("lake", "feast"):
        shutil.copytree(small_home.lake.home.root / part, root / "simulated" / part)
    found = _home(root)
    _registers(Registry(small_home.lake.home, "simulated"), found.registry, root)
    found.registry.force(1, "the first")
    return found


@pytest.fixture
def home(standing, tmp_path) -> ServingHome:
    """A copy for one test, which may break what it likes but the models' files."""
    shutil.copytree(standing.root, tmp_path / "home")
    return _home(tmp_path / "home")


@pytest.fixture(scope="session")
def client(standing) -> Iterator[TestClient]:
    """Asks a service that stays as it is."""
    with TestClient(make_app(standing.service())) as running:
        yield running


def _home(root: Path) -> ServingHome:
    """Patient, quick to look again, and no question is kept for the skew check by chance."""
    settings = load_settings(
        home=root, serve_timeout=30.0, serve_store_timeout=10.0, serve_watch=0.05,
        serve_store_retry=0.05, serve_skew_share=0.0,
    )  # fmt: skip
    return ServingHome(root, settings)


def ask(client: TestClient, **changes: Any) -> Any:
    return client.post("/v1/rank", json={"user_id": "u0000001", "scene": SCENE, **changes})
