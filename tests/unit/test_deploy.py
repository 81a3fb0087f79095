"""What `deploy/` says fits together, as far as that shows without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.standing import TABLES

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "exit.json").read_text("utf-8"))
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
KINDS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count"),
         "summary": ("_sum", "_count")}  # fmt: skip
SECRETS = ("EXIT_API_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRAFANA_PASSWORD")


def composed(**secrets: str) -> subprocess.CompletedProcess:
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed: apt-get install docker-compose")
    return subprocess.run(
        ["docker-compose", "-f", DEPLOY / "compose.yaml", "config"],
        env={"PATH": os.environ["PATH"], **secrets}, capture_output=True, text=True,
    )  # fmt: skip


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def test_the_compose_file_fits_the_schema_and_wants_every_secret():
    found = composed(**dict.fromkeys(SECRETS, "word"))
    assert found.returncode == 0, found.stderr
    assert set(yaml.safe_load(found.stdout)["services"]) == {
        "postgres", "redis", "mlflow", "daemon", "webserver", "service", "prometheus", "grafana",
    }  # fmt: skip
    for left_out in SECRETS:
        found = composed(**{name: "word" for name in SECRETS if name != left_out})
        assert found.returncode != 0
        assert left_out in found.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_private_unprivileged_and_watched(name):
    service = SERVICES[name]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("user") or service["cap_drop"] == ["ALL"]
    assert service["healthcheck"]["test"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for mounted in service["volumes"]:
        if mounted.startswith("./"):
            assert (DEPLOY / mounted.split(":")[0]).exists()


def test_the_image_runs_as_an_ordinary_user_and_the_example_names_every_variable():
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER exit"]
    asked = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    example = (DEPLOY / ".env.example").read_text("utf-8")
    assert asked == set(re.findall(r"(?m)^([A-Z_]+)=", example)) - {"COMPOSE_PROJECT_NAME"}
    assert not re.findall(r"(?m)^(?:EXIT_API_KEY|.*PASSWORD)=.+", example)


def test_prometheus_can_read_its_settings():
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: apt-get install prometheus")
    subprocess.run(
        ["promtool", "check", "config", "--syntax-only", DEPLOY / "prometheus.yml"], check=True
    )
    target = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))["scrape_configs"][0]
    host, port = target["static_configs"][0]["targets"][0].split(":")
    assert SERVICES[host]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_dashboard_names_metrics_that_are_there():
    said = re.findall(r"(?m)^# TYPE (\S+) (\S+)$", Metrics().text().decode())
    there = {
        name.removesuffix("_total") + end if kind == "counter" else name + end
        for name, kind in said for end in KINDS[kind]
    }  # fmt: skip
    named = {name for text in expressions() for name in re.findall(r"\bexit_[a-z_]+", text)}
    assert named <= there
    assert len(named) > 15
    tables = {name for text in expressions() for name in re.findall(r'table="(\w+)"', text)}
    assert tables <= set(TABLES)


def test_grafana_finds_its_data_source():
    folder = DEPLOY / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text("utf-8"))
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    assert used == {source["datasources"][0]["uid"]}
    provider = yaml.safe_load((folder / "dashboards" / "exit.yaml").read_text("utf-8"))
    mounted = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    assert provider["providers"][0]["options"]["path"] in mounted
