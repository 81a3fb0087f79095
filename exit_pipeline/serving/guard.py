"""What every request passes first: key, type, size, room and time; what every answer carries."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Collection
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exit_pipeline.serving.front import FILES
from exit_pipeline.serving.metrics import Metrics
from exit_pipeline.serving.replies import refusal
from exit_pipeline.settings import Settings

BODY_BYTES = 256 * 1024
GONE = 499  # who asked went away before any answer
# What a supervisor asks, who has no key, and the page, which asks for one.
OPEN = ("/healthz", "/readyz", *FILES)
PORT = re.compile(r":\d+$")
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OURS = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware around the application.

    Args:
        app: What answers.
        settings: Key, time and room.
        metrics: Where requests are counted.
        posts: Paths that take a JSON body; these alone are counted against the room.
        hosts: Names under which it may be asked; none for any.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, metrics: Metrics, posts: Collection[str],
        hosts: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.app, self.settings, self.metrics, self.posts, self.hosts = (
            app, settings, metrics, posts, hosts)  # fmt: skip
        key = settings.api_key.get_secret_value() if settings.api_key else ""
        self.key, self.inside = key.encode(), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, counts it and writes its line to the log."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), GONE
        given = Headers(scope=scope).get("x-request-id", "")
        named = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = named

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ours = {**OURS, b"x-request-id": state["request_id"].encode()}
                theirs = (pair for pair in message["headers"] if pair[0] not in ours)
                message["headers"] = [*theirs, *ours.items()]
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("unforeseen", extra={"request_id": state["request_id"]})
            if status != GONE:
                raise
            failed = refusal(500, "the service failed", where="the request", mend="see its log")
            await failed(scope, receive, sending)
        finally:
            self._told(scope, status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            await refused(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"] in self.posts:
            await self._within_limits(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """Looks at the head alone."""
        if self.hosts and PORT.sub("", headers.get("host", "")).lower() not in self.hosts:
            return refusal(
                421, "the service is not asked under this name", where="Host",
                mend="ask it as 127.0.0.1 or localhost, or set EXIT_API_KEY",
            )  # fmt: skip
        if self.key and scope["path"] not in OPEN and not self._has_key(headers):
            return refusal(
                401, "the request brings no valid key", where="Authorization or X-API-Key",
                mend="send the key of EXIT_API_KEY", headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        if scope["method"] != "POST" or scope["path"] not in self.posts:
            return None
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return refusal(
                415, "only JSON is read", where="Content-Type", mend="send application/json"
            )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > BODY_BYTES:
            return _too_large()
        if self.inside >= self.settings.serve_concurrency:
            return refusal(
                503, "as many requests as fit are being answered",
                where=f"EXIT_SERVE_CONCURRENCY={self.settings.serve_concurrency}",
                mend="ask again", headers={"Retry-After": "1"},
            )  # fmt: skip
        return None

    def _has_key(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if kind.lower() == "bearer" else ""
        given = headers.get("x-api-key") or bearer
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.key)

    async def _within_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body whole, then answers; both within the time that a request may take."""
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self.inside += 1
        self.metrics.inside.set(self.inside)
        try:
            # An answer may keep the loop to its end: who came meanwhile is counted before the next.
            await asyncio.sleep(0)
            async with asyncio.timeout(self.settings.serve_timeout):
                body = await _body(receive)
                if body is None:
                    await _too_large()(scope, receive, send)
                else:
                    await self.app(scope, _replaying(body, receive), sending)
        except TimeoutError:
            if begun:
                raise
            late = refusal(
                503, "the answer took too long", where=f"{self.settings.serve_timeout:g} s",
                mend="ask again, or for fewer candidates", headers={"Retry-After": "1"},
            )  # fmt: skip
            await late(scope, receive, send)
        finally:
            self.inside -= 1
            self.metrics.inside.set(self.inside)

    def _told(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self.metrics.requests.labels(route, status).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        state = scope["state"]
        log.info(
            "request",
            extra={
                "request_id": state["request_id"], "method": scope["method"], "route": route,
                "status": status, "ms": round(seconds * 1000, 2), **state.get("told", {}),
            },
        )  # fmt: skip


async def _body(receive: Receive) -> bytes | None:
    """Returns the whole body, None where it is too large.

    Raises:
        ClientDisconnect: Who asked went away.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > BODY_BYTES:
            return None
    return b"".join(parts)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read once more, then what comes after it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _too_large() -> Response:
    return refusal(413, f"the body is larger than {BODY_BYTES} bytes", mend="send fewer candidates")
