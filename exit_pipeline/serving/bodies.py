"""Bodies of requests, read from JSON into their model in one step."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send


class BodyRoute(APIRoute):
    """A route of the app itself whose endpoint takes the body, if there is one, and the request.

    FastAPI's own way, which can do more, makes objects of the JSON first, looks for dependencies,
    and holds two stacks of what is to be closed, at each request. How large a body may be is the
    guard's to say; what goes wrong goes to the app's handlers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind: Any = self.body_field and self.body_field.field_info.annotation
        if kind is not None:
            self.body, self.app = TypeAdapter[Any](kind), self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            ask = self.body.validate_json(await request.body())
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            told = [{**one, "loc": ("body", *one["loc"])} for one in found]
            raise RequestValidationError(told) from error
        response = await self.endpoint(ask, request)
        await response(scope, receive, send)
