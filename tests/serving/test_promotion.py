"""A promotion and a rollback reach the service; no answer fails, none is of two versions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.service import Options
from exit_pipeline.serving.shadow import chosen, rank_correlation
from tests.serving.conftest import ask
from tests.serving.test_failures import within

SWAPS = 20
LOADS = 'exit_model_loads_total{role="champion"} '
OVERLAPS = "exit_shadow_overlap_count "


def served(client: TestClient) -> int:
    return client.get("/v1/model").json()["version"]


def counted(client: TestClient, line: str) -> float:
    """A counter; where Feast was imported first, the services of a process share them."""
    return float(client.get("/metrics").text.partition(line)[2].partition("\n")[0] or 0)


def biases(answer) -> set[float]:
    """What tells the versions apart stands in every item."""
    assert answer.status_code == 200, answer.text
    return {round(item["bias"], 6) for item in answer.json()["items"]}


@pytest.mark.slow
def test_twenty_promotions_and_rollbacks_under_load(home):
    own = {1: {-0.5}, 2: {0.5}}
    with TestClient(make_app(home.service())) as client, ThreadPoolExecutor(4) as threads:
        over, answers, loaded = threading.Event(), [], counted(client, LOADS)

        def asks() -> None:
            while not over.is_set():
                answers.append(ask(client, k=20))

        asking = [threads.submit(asks) for _ in range(4)]
        try:
            for swap in range(SWAPS):
                to = 2 - swap % 2
                if to == 1:
                    assert home.registry.rollback("the other was better") == 1
                else:
                    home.registry.force(2, "the next")
                assert within(30, lambda to=to: served(client) == to)
        finally:
            over.set()
        for one in asking:
            one.result()
        assert counted(client, LOADS) - loaded == SWAPS
    assert {a.json()["model_version"] for a in answers} == {1, 2}
    assert [a for a in answers if biases(a) != own[a.json()["model_version"]]] == []


def test_a_version_that_was_changed_on_disk_leaves_the_old_one_serving(home):
    weights = Path(home.registry.folder(2)) / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with TestClient(make_app(home.service())) as client:
            home.registry.force(2, "not looked at")
            assert within(20, lambda: client.get("/readyz").status_code == 503)
            assert "their hash differs" in client.get("/readyz").json()["reasons"][0]
            assert biases(ask(client)) == {-0.5}
            assert 'exit_model_load_failures_total{role="champion"}' in client.get("/metrics").text
            weights.write_bytes(whole)
            assert within(20, lambda: served(client) == 2)
            assert client.get("/readyz").status_code == 200
    finally:
        weights.write_bytes(whole)


def test_new_features_reach_the_service(home):
    service = home.service()
    with TestClient(make_app(service)) as client:
        before = client.get("/v1/model").json()["loaded_since"]
        days = home.lake.home.feast / "online_days.json"
        days.write_text(days.read_text() + " ")
        assert within(20, lambda: client.get("/v1/model").json()["loaded_since"] != before)


def test_the_shadow_is_scored_beside_and_not_shown(home):
    with TestClient(make_app(home.service(Options(shadow="2")))) as client:
        before = counted(client, OVERLAPS)
        assert biases(ask(client, k=5)) == {-0.5}
        assert within(20, lambda: client.get("/v1/shadow").json()["compared"] == 1)
        told = client.get("/v1/shadow").json()
        # Versions 1 and 2 order items alike.
        assert (told["champion"], told["shadow"], told["overlap_at_k"]) == (1, 2, 1.0)
        assert told["rank_correlation"] == pytest.approx(1.0)
        assert told["shadow_ms"] > 0
        assert counted(client, OVERLAPS) - before == 1


def test_a_shadow_that_fails_or_lags_hurts_nobody(home):
    service = home.service(Options(shadow="challenger"))
    with TestClient(make_app(service)) as client:
        go = threading.Event()
        service.shadow.threads.submit(go.wait, 30)
        for _ in range(34):
            assert ask(client, k=1).status_code == 200
        assert client.get("/v1/shadow").json()["dropped"] == 2
        go.set()
    with TestClient(make_app(home.service(Options(shadow="nosuch")))) as client:
        assert biases(ask(client)) == {-0.5}
        assert "nosuch" in client.get("/v1/shadow").json()["problem"]


def test_without_a_shadow_there_is_no_report(client):
    assert client.get("/v1/shadow").status_code == 404


def test_the_canary_answers_its_share_and_says_so(home):
    users = [f"u{n:07}" for n in range(40)]
    with TestClient(make_app(home.service(Options(canary=0.5)))) as client:
        answers = {user: ask(client, user_id=user, k=1) for user in users}
    for user, answer in answers.items():
        expected = (
            ({0.5}, 2, "challenger") if chosen(user, 0.5, "canary") else ({-0.5}, 1, "champion")
        )
        told = answer.json()
        assert (biases(answer), told["model_version"], told["served_by"]) == expected
    assert {a.json()["served_by"] for a in answers.values()} == {"champion", "challenger"}


@pytest.mark.parametrize(
    ("tag", "value", "why"),
    [
        ("decision.1", '{"decision": "refused", "reason": "worse", "at": ""}', "was refused"),
        ("withdrawn", "worse than it was", "was withdrawn"),
    ],
)
def test_by_the_alias_no_canary_gets_what_was_refused_or_withdrawn(home, tag, value, why):
    registry = home.registry
    registry.client.set_model_version_tag(registry.name, "2", tag, value)
    with TestClient(make_app(home.service(Options(canary=1.0)))) as client:
        told = ask(client, k=1).json()
        assert (told["served_by"], told["model_version"]) == ("champion", 1)
        assert told["flags"] == [f"the challenger {why}: the champion answers"]
        assert ask(client, k=1, served_by="challenger").json()["served_by"] == "challenger"
    with TestClient(make_app(home.service(Options(canary=1.0, shadow="2")))) as client:
        assert ask(client, k=1).json()["served_by"] == "challenger"


def test_no_canary_gets_what_the_gates_would_refuse(home):
    home.registry.record(2, {"gates_passed": 0.0}, "evaluation.json", {})
    with TestClient(make_app(home.service(Options(canary=1.0)))) as client:
        told = ask(client, k=1).json()
    assert told["flags"] == ["the challenger did not pass its gates: the champion answers"]
    assert told["served_by"] == "champion"


def test_no_canary_gets_what_is_not_evaluated_yet(home):
    folder = home.registry.folder(2)
    home.registry.register({"model": folder}, {}, home.registry.get(2).lineage)
    with TestClient(make_app(home.service(Options(canary=1.0)))) as client:
        told = ask(client, k=1).json()
    assert told["flags"] == ["the challenger is not evaluated yet: the champion answers"]
    assert told["served_by"] == "champion"


def test_a_share_is_stable_grows_and_has_its_size():
    users = [f"user {n}" for n in range(10_000)]
    few, more = ({u for u in users if chosen(u, share, "salt")} for share in (0.1, 0.3))
    assert few < more
    assert 900 < len(few) < 1100
    assert few != {u for u in users if chosen(u, 0.1, "another")}
    assert not any(chosen(u, 0.0, "salt") for u in users)
    assert all(chosen(u, 1.0, "salt") for u in users)


def test_rank_correlation_is_spearmans():
    a = np.array([0.1, 0.2, 0.3, 0.4])
    assert rank_correlation(a, a**3) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)
    # 1 − 6 Σ d² / (n (n² − 1)), the ranks of two neighbours swapped: 1 − 12 / 60.
    assert rank_correlation(a, np.array([0.2, 0.1, 0.3, 0.4])) == pytest.approx(0.8)
    # Two that tie share the mean of their ranks: Pearson's of (1.5, 1.5, 3, 4) and (1, 2, 3, 4).
    assert rank_correlation(np.array([0.1, 0.1, 0.3, 0.4]), a) == pytest.approx(0.9486833)
    assert rank_correlation(a[:1], a[:1]) == 1.0
