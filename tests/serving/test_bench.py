"""The benches of serving in their short form: the service itself, asked by another process."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
from copy import deepcopy

import numpy as np
import pytest

from exit_pipeline.bench import serving_load, soak
from exit_pipeline.bench.measure import end
from exit_pipeline.bench.processes import Load, bare_server, free_port, load
from exit_pipeline.bench.redis_server import RedisServer
from exit_pipeline.bench.serving import MODELS, of_service, run
from exit_pipeline.bench.serving_home import questions, with_versions
from exit_pipeline.bench.serving_load import asked, fault
from exit_pipeline.bench.soak import slope, without_store
from tests.conftest import SMALL

PATIENT = {"EXIT_SERVE_TIMEOUT": "30", "EXIT_SERVE_STORE_TIMEOUT": "10", "EXIT_SERVE_WATCH": "0.1"}
CHECK = {"k": 2, "bias": {"1": -0.5, "2": 0.5}}
ITEM = {"rank": 1, "score": 0.5, "own": 0.25, "bias": -0.5, "carry": {"search": 0.25}}
NEXT = ITEM | {"rank": 2, "own": 0.0, "score": 1 / (1 + np.exp(0.25))}
WELL = {"model_version": 1, "items": [ITEM, NEXT]}


def test_a_load_says_what_is_wrong_with_an_answer():
    def found(status=200, version=1, **changes):
        answer = deepcopy(WELL) | {"model_version": version}
        answer["items"][1] |= changes
        return fault(status, answer, CHECK)

    assert found() is None
    assert found(status=503) == "status 503"
    assert found(rank=3) == "2 items"
    assert found(score=0.6) == "items out of order"
    assert "add up" in found(own=-0.1)
    assert "another in its items" in found(version=2)
    assert "another in its items" in found(bias=0.5, own=-1.0)


@pytest.mark.parametrize("how", [{"connections": 3}, {"rate": 400.0}])
def test_each_question_is_asked_once_and_timed(tmp_path, how):
    file = tmp_path / "questions.jsonl"
    file.write_text("{}\n{}")
    with bare_server() as bare:
        found = load(bare, str(file), requests=60, **how)
    assert len(found["seconds"]) == len(found["sent"]) == 60
    assert 0 < min(found["seconds"]) < found["wall_s"]
    assert 0 < found["cpu_s"] < found["wall_s"] + 0.1
    assert [fault for fault, *_ in found["told"]] == [None] * 60
    if "rate" in how:  # waits count from when a question was due, whenever it could be sent
        rng = random.Random(7)
        gaps = [rng.expovariate(how["rate"]) for _ in range(60)][1:]
        assert np.diff(sorted(found["sent"])) == pytest.approx(gaps, abs=1e-6)


def test_a_question_that_nobody_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(serving_load, "ANSWER_SECONDS", 0.1)
    file = tmp_path / "questions.jsonl"
    file.write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        found = asked(deaf.getsockname()[1], str(file), requests=2)
    assert [fault for fault, *_ in found["told"]] == ["status 0"] * 2
    assert min(found["seconds"]) >= 0.1


def test_a_process_that_does_not_end_is_killed_and_leaves_nothing_open():
    deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", deaf], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline()
    end(process, seconds=0.1)
    assert process.returncode == -9
    assert process.stdin.closed
    assert process.stdout.closed


@pytest.mark.long
def test_the_service_is_measured_and_answers_all_through_promotions(home):
    found = of_service(with_versions(home.root), SMALL.users, quick=True, **PATIENT)
    assert (found["failed_requests"], found["faults"]) == (0, [])
    assert len(found["versions"]) == 2
    assert found["answers_under_swaps"] > 0
    for name in MODELS:
        assert 0 < found[name]["bare_us"] < found[name]["request_us"]
        assert 0 < found[name]["p50_ms"] <= found[name]["p99_ms"]
        assert found[name]["failed"] == 0


@pytest.mark.long
def test_the_command_reports_what_is_to_be_reached(monkeypatch):
    for name, value in PATIENT.items():
        monkeypatch.setenv(name, value)
    found = run(quick=True)
    ratios = ("gemm_floor", "bare_response", "speedup_feast_all", "p99_p50_at_60")
    assert found["ratios"].keys() == {*ratios, *(f"{name}_exit" for name in ratios)}
    assert min(found["ratios"].values()) > 0
    assert found["figures"]["failed_requests"] == 0
    assert found["figures"]["swaps"] == 2


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")
def test_the_service_outlives_its_store_under_load(home, tmp_path):
    served = with_versions(home.root)
    file = questions(served, SMALL.users, 50)
    redis = RedisServer(tmp_path, free_port())
    found = without_store(served, redis, file, 300, **PATIENT)
    assert (found["answers"], found["failed"], found["faults"]) == (300, 0, [])
    assert found["answers_while_gone"] > 0
    assert (found["unflagged_while_gone"], found["flagged_before"]) == (0, 0)


def test_memory_that_grows_shows_as_a_slope():
    grows = [(t, 100 + t / 3600 + (50 if t < 10 else 0)) for t in range(0, 100, 2)]
    assert slope(grows)["mb_per_hour"] == pytest.approx(1.0, abs=0.01)


def test_a_service_that_never_flags_is_told_as_such():
    answers = {
        "sent": [0.0, 5.0, 9.0], "seconds": [0.1] * 3, "told": [[None, 1, []]] * 3, "wall_s": 9.1
    }  # fmt: skip
    found = soak._looked_at(answers, gone=4.0, back=8.0)
    assert (found["answers_while_gone"], found["unflagged_while_gone"]) == (1, 1)
    assert found["flagged_seconds_after_return"] is None


def test_a_soak_does_not_wait_for_questions_that_nobody_asks(monkeypatch):
    monkeypatch.setattr(soak, "answered", lambda server: 10.0)
    dead = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    dead.wait()
    assert soak._reached(None, Load(dead), 9)
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        soak._reached(None, Load(dead), 10)
