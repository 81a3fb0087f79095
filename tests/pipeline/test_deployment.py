"""The compose file's own commands, run as processes on Debian's Postgres, Redis and Prometheus."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import psycopg2
import pytest
import yaml

from tests.conftest import SmallHome
from tests.servers import free_port, postgres_server
from tests.serving.conftest import SCENE
from tests.serving.test_failures import within
from tests.unit.test_deploy import DEPLOY, RULES, SECRETS, composed, expressions

PROGRAMS = ("redis-server", "prometheus", "docker-compose")


@dataclass
class Deployment:
    """The services of the compose file on this machine: their hosts and folders are others."""

    root: Path
    services: dict[str, Any]
    ports: dict[str, int]

    def local(self, text: str) -> str:
        """What the file says, with what is here in place of what is in the containers."""
        for name, inside in (
            ("postgres", 5432),
            ("redis", 6379),
            ("mlflow", 5000),
            ("service", 8000),
        ):
            text = text.replace(f"{name}:{inside}", f"127.0.0.1:{self.ports[name]}")
        text = text.replace("/var/lib/", f"{self.root}/").replace("$$", "$")
        return text.replace("0.0.0.0", "127.0.0.1")

    def environment(self, name: str) -> dict[str, str]:
        given = self.services[name]["environment"].items()
        told = {key: self.local(value) for key, value in given if value is not None}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        code = {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}
        return {"PATH": path, "HOME": str(self.root), **code, **told}

    def start(self, stack: ExitStack, name: str, *words: str) -> None:
        """Starts a service with its own command, and ends it with the stack."""
        command = [self.local(word) for word in self.services[name]["command"]]
        with (self.root / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *words],
                env=self.environment(name),
                cwd=self.root,
                stdout=log,
                stderr=log,
            )
        stack.callback(process.wait, 60)
        stack.callback(process.terminate)

    def get(self, name: str, path: str, body: Any = None) -> Any:
        """Asks a service; raises `URLError` where it does not answer well."""
        address = f"http://127.0.0.1:{self.ports[name]}{path}"
        headers = {"Authorization": "Bearer word", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(address, data, headers), timeout=60) as answer:
            return answer.read().decode()

    def up(self, name: str, path: str) -> None:
        assert within(180, lambda: _holds(lambda: self.get(name, path))), (
            self.root / f"{name}.log"
        ).read_text()


def _holds(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except (URLError, OSError):
        return False
    return True


@contextmanager
def deployed(root: Path) -> Iterator[Deployment]:
    for program in PROGRAMS:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: apt-get install {program}")
    services = yaml.safe_load(composed(**dict.fromkeys(SECRETS, "word")).stdout)["services"]
    with postgres_server() as url, ExitStack() as stack:
        ports = {name: free_port() for name in services}
        ports["postgres"] = int(url.split(":")[-1].split("/")[0])
        connection = psycopg2.connect(url)
        connection.autocommit = True
        for statement in ("create database dagster", (DEPLOY / "databases.sql").read_text()):
            connection.cursor().execute(statement)
        connection.close()
        one = Deployment(root, services, ports)
        redis = services["redis"]["command"]
        redis[-1] = redis[-1].replace("redis-server", f"redis-server --port {ports['redis']}")
        one.start(stack, "redis")
        one.start(stack, "mlflow", "--port", str(ports["mlflow"]))
        one.up("mlflow", "/health")
        yield one
        stack.close()


@pytest.mark.slow
def test_from_a_log_to_a_ranking_that_prometheus_sees(tmp_path):
    with deployed(tmp_path) as one, ExitStack() as stack:
        one.start(stack, "daemon")
        one.start(stack, "webserver", "--port", str(one.ports["webserver"]))
        one.start(stack, "service", "--port", str(one.ports["service"]))
        home = SmallHome(tmp_path / "exit")
        home.land()
        environment = one.environment("daemon")
        # The log is too small for a model that passes its gates.
        for command in (["run"], ["promote", "--force", "to see it served"]):
            words = ["exit-pipeline", *command]
            subprocess.run(words, env=environment, cwd=tmp_path, check=True)
        assert not list((tmp_path / "exit").rglob("online.db"))
        assert not list((tmp_path / "exit").rglob("mlflow.db"))

        one.up("service", "/readyz")
        ranked = json.loads(
            one.get("service", "/v1/rank", {"user_id": "u0000001", "scene": SCENE, "k": 3})
        )
        assert (len(ranked["items"]), ranked["flags"]) == (3, [])

        one.up("webserver", "/server_info")
        asked = {"query": "{ runsOrError { ... on Runs { results { status } } } }"}
        runs = json.loads(one.get("webserver", "/graphql", asked))["data"]["runsOrError"]["results"]
        assert "SUCCESS" in [run["status"] for run in runs]  # the daemon may have begun others
        alive = ["dagster-daemon", "liveness-check"]
        assert within(120, lambda: subprocess.run(alive, env=environment).returncode == 0)

        settings = one.local((DEPLOY / "prometheus.yml").read_text())
        (tmp_path / "api_key").write_text("word")
        (tmp_path / "prometheus.yml").write_text(
            settings.replace("/tmp/api_key", f"{tmp_path}/api_key").replace("15s", "1s")
        )
        shutil.copy(DEPLOY / "prometheus-rules.yml", tmp_path)
        one.services["prometheus"]["command"] = [
            "prometheus", f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/prometheus",
            f"--web.listen-address=127.0.0.1:{one.ports['prometheus']}",
        ]  # fmt: skip
        one.start(stack, "prometheus")
        one.up("prometheus", "/-/ready")

        def asked_of(expression: str) -> list[Any]:
            path = f"/api/v1/query?query={quote(expression)}"
            return json.loads(one.get("prometheus", path))["data"]["result"]

        assert within(60, lambda: [r["value"][1] for r in asked_of('up{job="service"}')] == ["1"])
        assert within(60, lambda: bool(asked_of("exit_model_version")))
        for expression in expressions():
            asked_of(expression)  # one that cannot be read is refused

        def rules() -> dict[str, str]:
            groups = json.loads(one.get("prometheus", "/api/v1/rules"))["data"]["groups"]
            return {rule["name"]: rule["health"] for rule in groups[0]["rules"]}

        assert within(120, lambda: rules() == {rule["alert"]: "ok" for rule in RULES})
        now = [panel for panel in expressions()[:7] if not asked_of(panel)]
        assert now == []
