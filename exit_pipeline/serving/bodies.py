"""Bodies of requests, read from JSON into their model in one step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class BodyRoute(APIRoute):
    """A route whose endpoint, where there is a body, takes that and the request, nothing else.

    FastAPI's own way, which can do more, makes objects of the JSON first and looks for
    dependencies at each request.
    """

    def get_route_handler(self) -> Handler:
        """Returns what FastAPI calls for a request."""
        kind: Any = self.body_field and self.body_field.field_info.annotation
        if kind is None:
            return super().get_route_handler()
        form, endpoint = TypeAdapter[Any](kind), self.endpoint

        async def handle(request: Request) -> Response:
            try:
                ask = form.validate_json(await request.body())
            except ValidationError as error:
                found = error.errors(include_url=False, include_context=False)
                told = [{**one, "loc": ("body", *one["loc"])} for one in found]
                raise RequestValidationError(told) from error
            return await endpoint(ask, request)

        return handle
