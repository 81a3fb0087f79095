"""The page at `/`: its files, and users to begin with."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

from exit_pipeline.ranking.examples import example_users
from exit_pipeline.serving import schema
from exit_pipeline.serving.champion import Loaded
from exit_pipeline.serving.replies import reply
from exit_pipeline.serving.service import Service

FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/bars.js": ("bars.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
EXAMPLES = 20


def add_front(app: FastAPI, service: Service) -> None:
    """Adds the page, whose files are read once, and the examples that it offers.

    Args:
        app: What gets the routes.
        service: Whose users they are; `service.examples` says whether any may be named.
    """
    for path, (name, kind) in FILES.items():
        answer = partial(_file, (FOLDER / name).read_bytes(), kind)
        app.add_api_route(path, answer, include_in_schema=False)
    examples = Examples(service)

    @app.get(
        "/v1/users", response_model=schema.UsersAnswer, responses=schema.failures(401, 500, 503)
    )
    async def users() -> Response:
        """Names a few users to try; none where the service is open to others without a key."""
        return reply({"users": await examples.get()})


class Examples:
    """Users of the newest day whose interest tells most, read once per state of the features."""

    def __init__(self, service: Service) -> None:
        self.service, self.users = service, list[str]()
        self.of: Loaded | None = None  # whose features they are of

    async def get(self) -> list[str]:
        """Returns at most `EXAMPLES` users.

        Raises:
            RegistryError: There is no champion.
        """
        loaded = self.service.champion.get()
        if self.service.examples and loaded is not self.of:
            self.users = await asyncio.to_thread(self._read)
            self.of = loaded
        return self.users

    def _read(self) -> list[str]:
        service = self.service
        return example_users(service.settings, service.champion.lake, service.spec, EXAMPLES)


async def _file(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind)
