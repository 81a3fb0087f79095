"""What the page at `/` is made of, and whom it may name."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.front import EXAMPLES, FILES
from exit_pipeline.serving.schema import UsersAnswer
from exit_pipeline.serving.service import Options
from tests.serving.conftest import ask


@pytest.mark.parametrize("path", FILES)
def test_the_page_loads_its_own_files_alone_and_says_nothing_inline(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(FILES[path][1])
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    inline = r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]|https?://(?!www\.w3\.org/2000/svg)"
    assert not re.search(inline, answer.text)


def test_examples_are_few_and_known_and_named_only_where_that_is_allowed(standing, client):
    assert client.get("/v1/users").json() == {"users": []}
    with TestClient(make_app(standing.service(Options(examples=True)))) as open_one:
        told = open_one.get("/v1/users").json()
        UsersAnswer.model_validate(told)
        assert len(told["users"]) == EXAMPLES == len(set(told["users"]))
        assert told == open_one.get("/v1/users").json()
        best = ask(open_one, user_id=told["users"][0], k=1).json()
        assert best["flags"] == []


def test_the_page_is_there_without_a_key_and_its_data_is_not(standing):
    service = standing.service(Options(examples=True), api_key=SecretStr("a key of ours"))
    with TestClient(make_app(service)) as client:
        assert {client.get(path).status_code for path in FILES} == {200}
        assert client.get("/v1/users").status_code == 401


def test_who_answers_can_be_chosen(standing):
    with TestClient(make_app(standing.service(Options(shadow="2")))) as client:
        assert client.get("/v1/model").json()["challenger"] == 2
        told = [ask(client, k=1, served_by=role).json() for role in ("champion", "challenger")]
        assert [one["model_version"] for one in told] == [1, 2]
    with TestClient(make_app(standing.service(Options(canary=1.0, shadow="2")))) as client:
        told = [ask(client, k=1, **by).json() for by in ({}, {"served_by": "champion"})]
        assert [one["model_version"] for one in told] == [2, 1]


def test_a_challenger_that_is_not_there_is_a_flag(client):
    told = ask(client, k=1, served_by="challenger").json()
    assert told["served_by"] == "champion"
    assert told["flags"] == ["the challenger is not loaded: the champion answers"]
