"""Whatever is asked in the form of the OpenAPI description, or just beside it, gets what that says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from exit_pipeline.serving.app import make_app
from exit_pipeline.serving.service import Options
from tests.serving.conftest import SCENE

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
PATHS = {"/v1/rank", "/v1/explain", "/v1/events", "/v1/model", "/v1/users", "/v1/shadow",
         "/healthz", "/readyz", "/metrics"}  # fmt: skip
EXAMPLES = 40  # a path with a body, and kind of data


@pytest.fixture
def client(home) -> Iterator[asgi.ASGIClient]:
    with asgi.get_client(make_app(home.service(Options(shadow="2")))) as running:
        yield running
    asgi.shutdown_lifespans()


def operations(client: asgi.ASGIClient) -> list:
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    found = [result.ok() for result in schema.get_all_operations()]
    assert {operation.path for operation in found} == PATHS
    return found


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_question_makes_the_service_fail_or_break_its_description(client, mode):
    seen: set[tuple[str, int]] = set()
    for operation in operations(client):
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # it takes nothing that could be wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES if operation.body else 3, derandomize=True, database=None,
            deadline=None, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def asked(case) -> None:
            if (
                mode is GenerationMode.POSITIVE
                and isinstance(case.body, dict)
                and "scene" in case.body
            ):
                case.body["scene"] = (
                    SCENE  # its names are the profile's, which OpenAPI does not say
                )
            answer = case.call_and_validate(session=client, checks=CHECKS)
            seen.add((case.path, answer.status_code))

        asked()
    if mode is GenerationMode.POSITIVE:
        assert seen >= {(path, 200) for path in PATHS}
    else:
        assert {status for _, status in seen} >= {422}
