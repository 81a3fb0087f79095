"""The routes of the service, and how errors become answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from exit_pipeline import __version__
from exit_pipeline.errors import ExitPipelineError, UsageError
from exit_pipeline.serving import schema
from exit_pipeline.serving.about import model_answer, ready_answer, shadow_answer
from exit_pipeline.serving.bodies import BodyRoute
from exit_pipeline.serving.events import EventsAnswer, events_model
from exit_pipeline.serving.front import add_front
from exit_pipeline.serving.guard import Guard
from exit_pipeline.serving.reference import reference_page
from exit_pipeline.serving.replies import refusal, refusal_of, reply
from exit_pipeline.serving.service import Service

POST = schema.failures(401, 413, 415, 422, 500, 503)


def make_app(service: Service) -> FastAPI:
    """Returns the application around a service, which starts and ends with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="EXIT ranking", version=__version__, lifespan=lifespan, docs_url=None,
        redoc_url=None, description="Rankings whose scores are taken apart.",
    )  # fmt: skip
    app.router.route_class = BodyRoute
    _questions(app, service)
    _events(app, service)
    _state(app, service)
    add_front(app, service)
    _errors(app)
    posts = {path for path, methods in app.openapi()["paths"].items() if "post" in methods}
    app.add_middleware(
        Guard, settings=service.settings, metrics=service.metrics, posts=frozenset(posts),
        hosts=service.hosts,
    )  # fmt: skip
    return app


def _questions(app: FastAPI, service: Service) -> None:
    @app.post("/v1/rank", response_model=schema.RankAnswer, responses=POST)
    async def rank(ask: schema.RankAsk, request: Request) -> Response:
        """Ranks items for a user in a scene, and takes each score apart."""
        return _told(request, await service.rank(ask, _named(request, ask)))

    @app.post("/v1/explain", response_model=schema.ExplainAnswer, responses=POST)
    async def explain(ask: schema.ExplainAsk, request: Request) -> Response:
        """Takes one item apart in full: its parts, and every input that the model read."""
        return _told(request, await service.explain(ask, _named(request, ask)))


def _events(app: FastAPI, service: Service) -> None:
    async def events(ask: Any, request: Request) -> Response:
        """Takes in what users did; their interest reaches rankings when training would see it."""
        return reply(await service.push(ask.events))

    events.__annotations__["ask"] = events_model(service.spec)  # the profile's own
    app.post("/v1/events", response_model=EventsAnswer, responses=POST)(events)


def _state(app: FastAPI, service: Service) -> None:
    @app.get(
        "/v1/model", response_model=schema.ModelAnswer, responses=schema.failures(401, 500, 503)
    )
    async def model() -> Response:
        """Says which version answers, and how it came to."""
        return reply(model_answer(service))

    @app.get(
        "/v1/shadow", response_model=schema.ShadowAnswer, responses=schema.failures(401, 404, 500)
    )
    async def shadow() -> Response:
        """Says how another version would rank the same questions."""
        return reply(shadow_answer(service))

    @app.get("/healthz", response_model=schema.Alive)
    async def healthz() -> Response:
        """Says that the process is alive."""
        return reply({"status": "alive"})

    @app.get("/readyz", response_model=schema.Ready, responses={503: {"model": schema.Ready}})
    async def readyz() -> Response:
        """Says whether questions can be answered well, or why not."""
        found = ready_answer(service)
        return reply(found, 200 if found["ready"] else 503)

    @app.get("/metrics", response_class=Response, responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **schema.failures(401),
    })  # fmt: skip
    async def metrics() -> Response:
        """Counts, for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(reference_page(app.openapi()))


def _named(request: Request, ask: schema.Ask) -> str:
    """The request's id: its body's, its header's or a new one."""
    request.state.request_id = ask.request_id or request.state.request_id
    return request.state.request_id


def _told(request: Request, answer: dict[str, Any]) -> Response:
    names = ("model_version", "served_by", "flags")
    request.state.told = {name: answer[name] for name in names}
    return reply(answer)


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return refusal(422, first["msg"], where=where, mend="/docs shows what is read")

    @app.exception_handler(ExitPipelineError)
    async def ours(request: Request, error: ExitPipelineError) -> Response:
        if isinstance(error, UsageError):
            return refusal_of(422, error)
        return refusal_of(503, error, retry=5)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        return refusal(
            error.status_code, str(error.detail), where=request.url.path,
            mend="/docs lists what there is", headers=error.headers,
        )  # fmt: skip
