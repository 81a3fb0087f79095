"""Asks a service over connections that stay open, from a process of its own.

It imports little, so that it starts at once and leaves the processor to the service.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import orjson

from exit_pipeline.bench.measure import cpu_seconds

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Ask = Callable[[bytes, float], Awaitable[None]]
ANSWER_SECONDS = 60


def asked(
    port: int,
    bodies: str,
    requests: int | None = None,
    connections: int = 1,
    rate: float | None = None,
    pid: int | None = None,
    check: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Asks `POST /v1/rank`.

    Args:
        port: On this machine.
        bodies: A file with a question a line; they are asked in turn.
        requests: How many; None until standard input ends.
        connections: As many ask at a time, each again when it has its answer.
        rate: Or, a second, at the times of a Poisson process, whoever waits yet.
        pid: The service's, whose CPU seconds are wanted.
        check: What each answer must be, see `fault`; None where its status is enough.

    Returns:
        `wall_s`, `cpu_s`, and of each answer `sent` (monotonic clock), `seconds` and `told`
        (`fault`, version, flags). A question counts as sent when it was due, so that one which had
        to wait for this process is not told to have been answered sooner. One without an answer
        after a minute is given up.
    """
    lines = Path(bodies).read_bytes().splitlines()
    questions = islice(cycle([_request(line) for line in lines]), requests)
    told: list[tuple[float, float, Any]] = []
    idle: list[Connection] = []

    async def ask(question: bytes, due: float) -> None:
        try:
            answer = _answer(port, idle, question)
            status, body = await asyncio.wait_for(answer, ANSWER_SECONDS)
        except (OSError, EOFError):
            status, body = 0, b""  # cut off, or given up
        told.append((due, time.monotonic() - due, _looked_at(status, body, check)))

    before, started = cpu_seconds(pid) if pid else 0.0, time.monotonic()
    if rate:
        asyncio.run(_at_random(ask, questions, rate))
    else:
        asyncio.run(_one_after_another(ask, questions, connections, requests is None))
    wall, cpu = time.monotonic() - started, cpu_seconds(pid) - before if pid else 0.0
    of_each = dict(zip(("sent", "seconds", "told"), zip(*told, strict=True), strict=True))
    return {"wall_s": wall, "cpu_s": cpu, **of_each}


def fault(status: int, answer: Mapping[str, Any], check: Mapping[str, Any]) -> str | None:
    """Says what is wrong with an answer, None if nothing is.

    Args:
        status: Of HTTP; 0 where the connection was cut, or no answer came.
        answer: Its body.
        check: `k` items are wanted; `bias` says by version what stands in each of its items, so
            that an answer of two versions shows.
    """
    if status != 200:
        return f"status {status}"
    items, version = answer["items"], answer["model_version"]
    if [item["rank"] for item in items] != list(range(1, check["k"] + 1)):
        return f"{len(items)} items"
    if any(one["score"] < other["score"] for one, other in pairwise(items)):
        return "items out of order"
    for item in items:
        logit = item["own"] + item["bias"] + sum(item["carry"].values())
        if abs(1 / (1 + math.exp(-logit)) - item["score"]) > 1e-6:
            return f"parts add up to a logit of {logit}, the score is {item['score']}"
        if abs(item["bias"] - check["bias"][str(version)]) > 1e-6:
            return f"version {version} in the answer, another in its items"
    return None


def _looked_at(status: int, body: bytes, check: Mapping[str, Any] | None) -> list[Any]:
    if check is None:
        return [None if status == 200 else f"status {status}", None, []]
    answer = orjson.loads(body) if status == 200 else {}
    return [fault(status, answer, check), answer.get("model_version"), answer.get("flags", [])]


async def _one_after_another(
    ask: Ask, questions: Iterator[bytes], connections: int, until_told: bool
) -> None:
    over = asyncio.Event()

    async def asking() -> None:
        for question in questions:
            await ask(question, time.monotonic())
            if over.is_set():
                return

    async def listening() -> None:
        if until_told:
            await asyncio.to_thread(sys.stdin.read)
            over.set()

    await asyncio.gather(listening(), *(asking() for _ in range(connections)))


async def _at_random(ask: Ask, questions: Iterator[bytes], rate: float) -> None:
    """Asks at the times of a Poisson process of that rate, the same ones each time."""
    rng, due = random.Random(7), time.monotonic()
    asking = []
    for question in questions:
        due += rng.expovariate(rate)
        await asyncio.sleep(due - time.monotonic())
        asking.append(asyncio.ensure_future(ask(question, due)))
    await asyncio.gather(*asking)


async def _answer(port: int, idle: list[Connection], question: bytes) -> tuple[int, bytes]:
    async with _connection(port, idle) as (reader, writer):
        writer.write(question)
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        assert length is not None
        return int(head[9:12]), await reader.readexactly(int(length[1]))


@asynccontextmanager
async def _connection(port: int, idle: list[Connection]) -> AsyncIterator[Connection]:
    """One that is free, a new one where none is; one that failed is closed."""
    while idle and idle[-1][0].at_eof():
        idle.pop()[1].close()
    found = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
    try:
        yield found
    except BaseException:
        found[1].close()
        raise
    idle.append(found)


def _request(body: bytes) -> bytes:
    head = (
        "POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
