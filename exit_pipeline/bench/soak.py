"""The service for long: the online store is killed and brought back, and memory is looked at."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydantic import SecretStr

from exit_pipeline.bench.measure import measure, report, resident_mb
from exit_pipeline.bench.processes import (
    Load,
    Server,
    free_port,
    service,
    under_load,
    wait_until,
)
from exit_pipeline.bench.redis_server import RedisServer
from exit_pipeline.bench.serving import faults
from exit_pipeline.bench.serving_home import ServedHome, make_home, questions
from exit_pipeline.bench.serving_scoring import CANDIDATES
from exit_pipeline.ranking.online import materialize_online
from exit_pipeline.serving.users import UNREACHABLE
from exit_pipeline.simulator import SimulationConfig

HERE = "exit_pipeline.bench.soak"
CONNECTIONS = 4
ANSWERED = re.compile(rb'exit_requests_total\{route="/v1/rank",status="\d+"\} ([\d.e+]+)')
WARM = 0.2  # of the time, before memory is looked at
SLOWEST = 10  # answers a second; fewer end the bench
START = 600.0  # seconds for the home, the service, and what is under way


def run(rows: int = 100_000, quick: bool = False) -> dict[str, Any]:
    """Asks for rankings from features in Redis, which is gone for the second third of them.

    Args:
        rows: Requests; at some hundred a second half an hour takes half a million.
        quick: 1,000 on a small home.
    """
    rows = 1_000 if quick else rows
    soak = {"soak": (f"{HERE}:soaked", {"requests": rows, "quick": quick})}
    found = measure(soak, 1, 2 * START + rows / SLOWEST)["soak"]
    return report("soak", {"requests": rows}, found, None, {}, {}, found)


def soaked(requests: int, quick: bool) -> dict[str, Any]:
    """Makes a home and its Redis, then asks."""
    config = SimulationConfig.sized("quick" if quick else "demo")
    with TemporaryDirectory(prefix="bench-soak-") as folder:
        home = make_home(Path(folder), config)
        redis = RedisServer(Path(folder), free_port())
        return without_store(home, redis, questions(home, config.users, CANDIDATES), requests)


def without_store(
    home: ServedHome, redis: RedisServer, file: str, requests: int, **environment: str
) -> dict[str, Any]:
    """Kills Redis after a third of the requests, and brings it back, refilled, after two."""
    settings = home.settings.model_copy(update={"redis": SecretStr(redis.address)})
    redis.start()
    try:
        materialize_online(settings, home.lake, home.profile)
        environment["EXIT_REDIS"] = redis.address
        with service(home.root, **environment) as server, _memory(server) as memory:
            asking = {"requests": requests, "connections": CONNECTIONS, "check": home.check}
            third = START + requests / 3 / SLOWEST  # seconds
            with under_load(server, file, third, **asking) as load:
                wait_until(lambda: _reached(server, load, requests / 3), third)
                redis.stop()
                gone = time.monotonic()
                wait_until(lambda: _reached(server, load, 2 * requests / 3), third)
                back = time.monotonic()
                redis.start()
                materialize_online(settings, home.lake, home.profile)
    finally:
        redis.stop()
    return {**_looked_at(load.answers, gone, back), **slope(memory)}


def answered(server: Server) -> float:
    """Rankings so far, whatever came of them."""
    return sum(map(float, ANSWERED.findall(server.get("/metrics"))))


def _reached(server: Server, load: Load, requests: float) -> bool:
    """Whether there were more answers than that; raises where nobody asks for more."""
    if answered(server) > requests:
        return True
    if load.process.poll() is not None:
        raise subprocess.CalledProcessError(load.process.returncode, load.process.args)
    return False


def _looked_at(answers: dict[str, Any], gone: float, back: float) -> dict[str, Any]:
    """What came before, while and after the store was gone."""
    flagged = [UNREACHABLE in flags for _, _, flags in answers["told"]]
    each = list(zip(answers["sent"], answers["seconds"], flagged, strict=True))
    while_gone = [flag for sent, took, flag in each if sent > gone and sent + took < back]
    last = max((sent for sent, _, flag in each if flag), default=None)  # none: it never told
    return {
        "answers": len(each),
        "failed": len(faults(answers)),
        "faults": faults(answers)[:5],
        "answers_while_gone": len(while_gone),
        "unflagged_while_gone": while_gone.count(False),
        "flagged_before": sum(flag for sent, _, flag in each if sent < gone - 1),
        "flagged_seconds_after_return": None if last is None else round(last - back, 1),
        "flagged_at_end": flagged[-1],
        "per_s": round(len(each) / answers["wall_s"], 1),
        "p99_ms": round(1000 * float(np.percentile(answers["seconds"], 99)), 1),
        "wall_s": round(answers["wall_s"], 1),
    }


@contextmanager
def _memory(server: Server) -> Iterator[list[tuple[float, float]]]:
    """Looks at a server's memory meanwhile: (seconds, MB), twice a second."""
    found: list[tuple[float, float]] = []
    over = threading.Event()

    def look() -> None:
        while True:
            with suppress(OSError):  # it has ended, which others will tell
                found.append((time.monotonic(), resident_mb(server.pid)))
            if over.wait(0.5):
                return

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield found
    finally:
        over.set()
        looking.join()


def slope(memory: list[tuple[float, float]]) -> dict[str, float]:
    """Least squares over all but the first fifth of the time."""
    seconds, mb = np.array(memory).T
    warm = seconds >= seconds[0] + WARM * (seconds[-1] - seconds[0])
    per_second = np.polyfit(seconds[warm], mb[warm], 1)[0]
    return {
        "mb_first": round(float(mb[warm][0]), 1),
        "mb_last": round(float(mb[-1]), 1),
        "mb_most": round(float(mb.max()), 1),
        "mb_per_hour": round(3600 * float(per_second), 2),
    }
