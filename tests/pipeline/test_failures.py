"""A run that fails is told: in the home's log, and to a webhook that may itself fail."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from dagster import DagsterInstance, build_run_status_sensor_context, job, op

from assets import failures
from assets.resources import Pipeline
from exit_pipeline.errors import LandingError, SettingsError
from exit_pipeline.settings import load_settings


@op
def reading():
    raise LandingError("u0000042 is no number", where="part-0.parquet", mend="land it again")


@job
def breaking():
    reading()


@pytest.fixture
def server():
    """Answers with `status`; `got` is what was posted, `secret` the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.got.append((self.path, json.loads(body)))
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        found.got, found.status = [], 200
        found.secret = f"http://127.0.0.1:{found.server_port}/hook/s3cret"
        Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def tick(tmp_path, monkeypatch, simulated, webhook: str | None) -> list[dict]:
    """Runs what fails and ticks the sensor; returns the log's lines."""
    pipeline = Pipeline(load_settings(home=tmp_path, webhook=webhook), simulated)
    monkeypatch.setattr(failures, "PIPELINE", pipeline)
    with DagsterInstance.ephemeral() as instance:
        result = breaking.execute_in_process(instance=instance, raise_on_error=False)
        context = build_run_status_sensor_context(
            "failure_sensor", result.get_run_failure_event(), instance, result.dagster_run
        )
        failures.failure_sensor(context.for_run_failure())
    return [json.loads(line) for line in pipeline.home.failures.read_text().splitlines()]


def test_what_failed_and_why_is_one_line(tmp_path, monkeypatch, simulated):
    (line,) = tick(tmp_path, monkeypatch, simulated, None)
    assert (line["job"], line["steps"], line["error"]) == ("breaking", ["reading"], "LandingError")
    assert "u0000042 is no number" in line["why"]
    assert "mend:  land it again" in line["why"]


def test_a_webhook_is_told_what_failed_and_nothing_of_the_data(
    tmp_path, monkeypatch, simulated, server
):
    (line,) = tick(tmp_path, monkeypatch, simulated, server.secret)
    ((path, told),) = server.got
    assert path == "/hook/s3cret"
    assert told == {name: value for name, value in line.items() if name != "why"}
    assert "u0000042" not in json.dumps(told)


@pytest.mark.parametrize("away", [False, True])
def test_a_webhook_that_fails_is_logged_and_hides_nothing(
    tmp_path, monkeypatch, simulated, server, away
):
    server.status, address = 500, server.secret
    if away:
        server.shutdown()
        server.server_close()
    first, second = tick(tmp_path, monkeypatch, simulated, address)
    assert "u0000042" in first["why"]
    assert second["webhook"] == ("URLError" if away else "HTTPError 500")
    assert "s3cret" not in (tmp_path / "simulated" / "failures.jsonl").read_text()


def test_an_address_that_is_none_is_refused_and_not_shown(monkeypatch):
    monkeypatch.setenv("EXIT_WEBHOOK", "file:///s3cret")
    with pytest.raises(SettingsError, match="EXIT_WEBHOOK") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)
