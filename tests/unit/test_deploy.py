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
from exit_pipeline.serving.pipeline_metrics import TABLES
from exit_pipeline.settings import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "exit.json").read_text("utf-8"))
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
RULES = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text("utf-8"))["groups"][0]["rules"]
KINDS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count"),
         "summary": ("_sum", "_count")}  # fmt: skip
SECRETS = ("EXIT_API_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "GRAFANA_PASSWORD")


def composed(*also: Path, **secrets: str) -> subprocess.CompletedProcess:
    """What docker-compose makes of the file, and of others that are laid over it."""
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed: apt-get install docker-compose")
    files = [word for file in (DEPLOY / "compose.yaml", *also) for word in ("-f", file)]
    return subprocess.run(
        ["docker-compose", *files, "config"],
        env={"PATH": os.environ["PATH"], **secrets}, capture_output=True, text=True,
    )  # fmt: skip


def promtool(*words: str | Path) -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed: apt-get install prometheus")
    subprocess.run(["promtool", *words], check=True)


def expressions() -> list[str]:
    """What the dashboard asks Prometheus."""
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


@pytest.mark.parametrize("name", ["daemon", "webserver", "service"])
def test_what_is_passed_on_are_settings_that_can_be_used(monkeypatch, name):
    """What `.env` leaves out, too."""
    found = yaml.safe_load(composed(**dict.fromkeys(SECRETS, "word")).stdout)["services"][name]
    for variable, value in found["environment"].items():
        if value is not None:
            monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert not settings.webhook
    assert settings.home_of("simulated").lake.name == "lake"
    assert (settings.device, settings.workers) == ("cpu", 1)
    assert ("EXIT_WEBHOOK" in found["environment"]) == (name == "daemon")


@pytest.mark.parametrize("name", ["daemon", "webserver", "service", "mlflow"])
def test_keys_of_an_object_store_are_passed_on_where_there_are_any(name):
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "word", "AWS_REGION": "here"}
    for given in ({}, keys):
        found = yaml.safe_load(composed(**dict.fromkeys(SECRETS, "word"), **given).stdout)
        passed = found["services"][name]["environment"]
        assert {key: passed[key] for key in keys if passed[key] is not None} == given


def test_a_data_set_of_ones_own_is_laid_over_it_as_the_documentation_says(tmp_path):
    text = (DEPLOY.parent / "docs" / "deploy.md").read_text("utf-8")
    (example,) = re.findall(r"(?ms)^```yaml\n(.*?)^```", text)
    (tmp_path / "compose.override.yaml").write_text(example)
    own = {"EXIT_PROFILE": "/mine/profile.yaml", "PROFILE_NAME": "mine"}
    found = composed(tmp_path / "compose.override.yaml", **dict.fromkeys(SECRETS, "word"), **own)
    services = yaml.safe_load(found.stdout)["services"]
    for name in ("daemon", "webserver", "service"):
        assert {v.split(":")[-2] for v in services[name]["volumes"]} == {"/mine", "/var/lib/exit"}
        assert services[name]["command"][-1] == "/mine/profile.yaml"
        assert services[name]["environment"]["DAGSTER_HOME"] == "/var/lib/exit/mine/dagster"


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
    promtool("check", "config", "--syntax-only", DEPLOY / "prometheus.yml")
    settings = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    mounted = {volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{name}" for name in settings["rule_files"]} <= mounted
    (target,) = settings["scrape_configs"]
    host, port = target["static_configs"][0]["targets"][0].split(":")
    assert SERVICES[host]["ports"] == [f"127.0.0.1:{port}:{port}"]


def _of_watch(now: str, at_promotion: str) -> dict[str, str]:
    name = 'exit_watch{check="champion_performance",figure="predicted_to_actual_%s"}'
    return {name % "now": now, name % "at_promotion": at_promotion}


# By alert: figures that set it off when they come each minute for 150 hours, its labels beside the
# severity, and figures that do not. Time begins at 0.
DRIFT = 'exit_watch{check="feature_drift",figure="drifted_days"}'
LOADS = 'exit_model_load_failures_total{role="champion"}'
LABELS = 'exit_table_day_timestamp_seconds{table="icl_labels"}'
SET_OFF = {
    "ServiceDown": ({'up{job="service"}': "0"}, {"job": "service"}, {'up{job="service"}': "1"}),
    "OnlineStoreDown": ({"exit_online_store_up": "0"}, {}, {"exit_online_store_up": "1"}),
    "RegistryDown": ({"exit_registry_up": "0"}, {}, {"exit_registry_up": "1"}),
    "LoadsFail": ({LOADS: "0+15"}, {"role": "champion"}, {LOADS: "7"}),
    "FeaturesTooOld": (
        {"exit_features_timestamp_seconds": "1"}, {},
        {"exit_features_timestamp_seconds": "0"},  # nothing is loaded yet
    ),
    "LabelsTooOld": ({LABELS: "-86400"}, {"table": "icl_labels"}, {LABELS: "0"}),
    "QuarantineRises": (
        {"exit_quarantine_share": "0.006"}, {}, {"exit_quarantine_share": "0.004"}
    ),
    "InputsDrift": (
        {DRIFT: "2"}, {"check": "feature_drift", "figure": "drifted_days"}, {DRIFT: "1"}
    ),
    "ChampionOffCalibration": (
        _of_watch("0.9", "1.1"), {"check": "champion_performance"}, _of_watch("0.9", "1.05")
    ),
    "FiguresTooOld": (
        {"exit_pipeline_looked_timestamp_seconds": "0"}, {},  # looking never worked
        {"exit_pipeline_looked_timestamp_seconds": "0+60"},
    ),
}  # fmt: skip


def test_every_alert_goes_off_on_figures_that_ask_for_it_and_on_no_others(tmp_path):
    assert set(SET_OFF) == {rule["alert"] for rule in RULES}
    tests = []
    for rule in RULES:
        off, labels, quiet = SET_OFF[rule["alert"]]
        told = {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": rule["annotations"]}
        for figures, alerts in ((off, [told]), (quiet, [])):
            series = [
                {"series": name, "values": f"{values}x9000"} for name, values in figures.items()
            ]
            asked = {"eval_time": "150h", "alertname": rule["alert"], "exp_alerts": alerts}
            tests.append({"interval": "1m", "input_series": series, "alert_rule_test": [asked]})
    rules = {"rule_files": [str(DEPLOY / "prometheus-rules.yml")], "evaluation_interval": "1h"}
    (tmp_path / "tests.yml").write_text(json.dumps({**rules, "tests": tests}))
    promtool("test", "rules", tmp_path / "tests.yml")


def test_dashboard_and_alerts_name_metrics_that_are_there():
    said = re.findall(r"(?m)^# TYPE (\S+) (\S+)$", Metrics().text().decode())
    there = {
        name.removesuffix("_total") + end if kind == "counter" else name + end
        for name, kind in said for end in KINDS[kind]
    }  # fmt: skip
    told = [*expressions(), *(rule["expr"] for rule in RULES)]
    named = {name for text in told for name in re.findall(r"\bexit_[a-z_]+", text)}
    assert named <= there
    assert len(named) > 15
    tables = {name for text in told for name in re.findall(r'table="(\w+)"', text)}
    assert tables <= set(TABLES)


def test_grafana_finds_its_data_source():
    folder = DEPLOY / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text("utf-8"))
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if "datasource" in panel}
    assert used == {source["datasources"][0]["uid"]}
    provider = yaml.safe_load((folder / "dashboards" / "exit.yaml").read_text("utf-8"))
    mounted = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    assert provider["providers"][0]["options"]["path"] in mounted
