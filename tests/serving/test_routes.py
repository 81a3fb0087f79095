"""What the routes answer, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial
from html import unescape
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient
from uvicorn import Config

from exit_pipeline.profile import load_profile
from exit_pipeline.ranking.rank import Ranker, scene_of
from exit_pipeline.serving import run
from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.schema import ExplainAnswer, ModelAnswer, RankAnswer
from exit_pipeline.serving.service import Options
from tests.serving.conftest import SCENE, ask

JSON = {"content-type": "application/json"}


def test_the_service_ranks_as_the_command_does_and_says_what_from(standing, client):
    answer = ask(client, k=5, request_id="r-1")
    assert answer.status_code == 200
    told = answer.json()
    RankAnswer.model_validate(told)
    ranking = Ranker(standing.settings, standing.lake, load_profile("simulated")).rank(
        "u0000001", SCENE, k=5
    )
    assert [i["item_id"] for i in told["items"]] == [i.item_id for i in ranking.items]
    for served, direct in zip(told["items"], ranking.items, strict=True):
        assert served["score"] == pytest.approx(direct.score, abs=1e-5)
        assert served["carry"] == pytest.approx(direct.carry, abs=1e-5)
    assert (told["request_id"], told["model_version"], told["served_by"]) == ("r-1", 1, "champion")
    assert (told["clock"], told["flags"]) == ("newest", [])
    assert told["features_age_seconds"] > 0
    assert answer.headers["x-request-id"] == "r-1"


def test_the_documentation_says_what_each_number_of_an_item_is(client):
    told = client.get("/openapi.json").json()["components"]["schemas"]["RankedItem"]["properties"]
    (item, *_) = ask(client).json()["items"]
    assert told.keys() == item.keys()
    assert [name for name, one in told.items() if not one.get("description")] == []
    assert "before calibration" in told["p_target"]["description"]
    assert told["p_target"]["description"] in unescape(client.get("/docs").text)


@pytest.mark.parametrize("user", ["u0000001", "nobody"])
def test_the_scores_are_those_of_the_scorer_on_rows_out_of_feast(standing, client, user):
    """All the catalogue and an unknown item, so that nothing is cut off at k."""
    ranker = Ranker(standing.settings, standing.lake, load_profile("simulated"))
    items = [*ranker.catalogue(), "nosuch"]
    told = ask(client, user_id=user, candidates=items, k=200).json()["items"]
    rows, _ = ranker.rows(user, items, scene_of(ranker.spec, SCENE, ranker.newest()),
                          ranker.newest())  # fmt: skip
    expected = dict(zip(items, ranker.scorer.score(rows).score.tolist(), strict=True))
    assert {item["item_id"]: item["score"] for item in told} == pytest.approx(expected, abs=1e-5)


def test_candidates_are_ranked_once_each_and_unknown_ones_are_flagged(client):
    told = ask(client, candidates=["i000003", "i000001", "nosuch", "i000003"]).json()
    assert sorted(i["item_id"] for i in told["items"]) == ["i000001", "i000003", "nosuch"]
    assert [i["rank"] for i in told["items"]] == [1, 2, 3]
    assert told["flags"] == ["1 unknown items: defaults are used"]


def test_what_nobody_knows_gets_the_defaults_and_a_flag(client):
    told = client.post("/v1/rank", json={"user_id": "nobody", "scene": {}, "k": 1}).json()
    assert told["flags"] == ["the scene has no place: taken as unknown",
                             "unknown user: defaults are used"]  # fmt: skip
    assert (told["features_as_of"], told["features_age_seconds"]) == (None, None)


def test_an_explanation_adds_up_and_shows_what_was_read(client):
    best = ask(client, k=1).json()["items"][0]
    body = {"user_id": "u0000001", "scene": SCENE, "item_id": best["item_id"]}
    told = client.post("/v1/explain", json=body).json()
    ExplainAnswer.model_validate(told)
    item = told["item"]
    assert item["score"] == pytest.approx(best["score"], abs=1e-5)
    assert told["logit"] == pytest.approx(item["own"] + item["bias"] + sum(item["carry"].values()))
    assert told["inputs"]["categorical"]["place"] == "home"
    assert told["inputs"]["numeric"]["item_shown"] > 0
    assert set(told["inputs"]["sources"]) == {"search", "channel"}


def test_the_model_its_state_and_its_numbers(client):
    told = client.get("/v1/model").json()
    ModelAnswer.model_validate(told)
    assert (told["version"], told["aliases"], told["items"]) == (1, ["champion"], 118)
    assert set(told["days"]) >= {"train", "evaluation"}
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json()["ready"]
    ask(client)
    lines = client.get("/metrics").text.splitlines()
    assert any(
        line.startswith('exit_requests_total{route="/v1/rank",status="200"}') for line in lines
    )
    assert 'exit_model_version{role="champion"} 1.0' in lines


def test_the_reference_loads_nothing_from_elsewhere(client):
    page = client.get("/docs").text
    assert "POST /v1/rank" in page
    assert not [part for part in ("//", "<script", "<link", "src=") if part in page]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"k": 0}, "body.k"),
        ({"k": 201}, "body.k"),
        ({"k": "5"}, "body.k"),
        ({"k": True}, "body.k"),
        ({"user_id": ""}, "body.user_id"),
        ({"user_id": "x" * 257}, "body.user_id"),
        ({"user_id": 7}, "body.user_id"),
        ({"candidates": []}, "body.candidates"),
        ({"candidates": ["i"] * 1001}, "body.candidates"),
        ({"request_id": "a b"}, "body.request_id"),
        ({"path": "/etc/passwd"}, "body.path"),
        ({"scene": {"plaice": "home"}}, "plaice=home"),
        ({"scene": {"place": "moon"}}, "place=moon"),
    ],
)  # fmt: skip
def test_a_question_out_of_bounds_is_refused_with_its_place(client, change, where):
    answer = ask(client, **change)
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == where
    assert answer.json()["error"].keys() == {"what", "where", "mend"}


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status"),
    [
        ("POST", "/v1/rank", b"{", JSON, 422),
        ("POST", "/v1/rank", b"[" * 100_000, JSON, 422),
        ("POST", "/v1/rank", rb'{"user_id": "\ud800", "scene": {}}', JSON, 422),
        ("POST", "/v1/rank", rb'{"user_id": "u", "scene": {}, "\ud800": 1}', JSON, 422),
        ("POST", "/v1/rank", b"{}", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/rank", b"{}", {}, 415),
        ("POST", "/v1/rank", b" " * (256 * 1024 + 1), JSON, 413),
        ("GET", "/v1/rank", b"", {}, 405),
        ("GET", "/../../etc/passwd", b"", {}, 404),
    ],
)  # fmt: skip
def test_every_error_has_one_form(client, method, path, content, headers, status):
    answer = client.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"what", "where", "mend"}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_without_a_length_is_bounded_too(client):
    parts = (b" " * 65536 for _ in range(5))
    assert client.post("/v1/rank", content=parts, headers=JSON).status_code == 413


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/readyz", 200), ("/nosuch", 404)])
def test_every_answer_keeps_to_its_origin(client, path, status):
    answer = client.get(path, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == status
    told = answer.headers
    policy = dict(part.split(" ", 1) for part in told["content-security-policy"].split("; "))
    assert policy == {"default-src": "'self'"} | dict.fromkeys(
        ("object-src", "base-uri", "form-action", "frame-ancestors"), "'none'"
    )
    names = ("x-content-type-options", "x-frame-options", "referrer-policy", "cache-control",
             "cross-origin-opener-policy", "cross-origin-resource-policy")  # fmt: skip
    assert [told[name] for name in names] == [
        "nosniff", "DENY", "no-referrer", "no-store", "same-origin", "same-origin",
    ]  # fmt: skip
    assert "access-control-allow-origin" not in told


def test_a_name_that_was_turned_to_this_machine_is_refused(standing):
    """A page elsewhere could read a service without a key by such a name (DNS rebinding)."""
    names = ("localhost", "[::1]")
    with TestClient(make_app(standing.service(Options(hosts=names)))) as client:
        for host, status in (("localhost:8000", 200), ("[::1]:80", 200), ("LocalHost", 200),
                             ("evil.example:8000", 421), ("localhost.evil.example", 421)):  # fmt: skip
            answer = client.get("/v1/users", headers={"Host": host})
            assert answer.status_code == status, host


@pytest.mark.parametrize(
    ("host", "key", "hosts"),
    [("127.0.0.1", None, True), ("127.0.0.1", "k", False), ("0.0.0.0", None, False)],
)
def test_who_is_asked_beyond_this_machine_without_a_key_is_warned(
    standing, monkeypatch, caplog, host, key, hosts
):
    started = []
    server = SimpleNamespace(run=lambda: None)
    monkeypatch.setattr(run, "uvicorn", SimpleNamespace(Config=lambda *_, **__: None))
    monkeypatch.setattr(run, "Server", lambda _: server)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    monkeypatch.setattr(run, "make_app", lambda service: started.append(service))
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    settings = standing.settings.model_copy(update={"api_key": key and SecretStr(key)})
    run.serve(settings, load_profile("simulated"), Options(), host, 8000)
    assert bool(started[0].hosts) == hosts
    warned = "listens beyond this machine without a key: set EXIT_API_KEY" in caplog.messages
    assert warned == (host == "0.0.0.0" and not key)
    assert started[0].examples == (not warned)


def test_collections_of_garbage_pass_over_what_stands_when_the_service_begins(monkeypatch):
    done = []

    async def startup(self, sockets=None):
        done.append("startup")

    monkeypatch.setattr("uvicorn.Server.startup", startup)
    steps = {name: partial(done.append, name) for name in ("collect", "freeze")}
    monkeypatch.setattr(run, "gc", SimpleNamespace(**steps))
    asyncio.run(run.Server(Config(None)).startup())
    assert done == ["startup", "collect", "freeze", "collect"]


def test_a_key_when_one_is_set(standing):
    service = standing.service(api_key=SecretStr("a key of ours"))
    with TestClient(make_app(service)) as client:
        assert ask(client).status_code == 401
        assert client.get("/v1/model", headers={"X-API-Key": "another"}).status_code == 401
        assert client.get("/v1/model", headers={"X-API-Key": "a key of ours"}).status_code == 200
        bearer = {"Authorization": "Bearer a key of ours"}
        assert client.get("/metrics", headers=bearer).status_code == 200
        assert client.get("/readyz").status_code == 200


def test_the_log_is_json_and_names_nobody(client):
    from exit_pipeline.serving.log import JsonLines

    lines: list[str] = []
    handler = logging.Handler()
    handler.setFormatter(JsonLines())
    handler.emit = lambda record: lines.append(handler.format(record))
    logger = logging.getLogger("exit_pipeline.serving")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        ask(client, candidates=["i000001"], request_id="seen")
        ask(client, user_id="u0000001", k=0)
    finally:
        logger.removeHandler(handler)
    told = [json.loads(line) for line in lines]
    assert [(t["route"], t["status"]) for t in told] == [("/v1/rank", 200), ("/v1/rank", 422)]
    assert (told[0]["request_id"], told[0]["model_version"]) == ("seen", 1)
    assert not any(name in line for line in lines for name in ("u0000001", "i000001"))


def test_the_clock_is_now_where_the_log_goes_on(standing):
    service = standing.service(Options(clock="now"))
    with TestClient(make_app(service)) as client:
        told = ask(client, k=1).json()
        assert told["clock"] == "now"
        assert "features of this user are older than 30 days: defaults are used" in told["flags"]
        assert "features are older than 48 hours" in told["flags"]
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
