"""Measures contenders in fresh processes, in turn, and reports the least each took."""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

PACKAGES = ("duckdb", "deltalake", "feast", "great_expectations", "polars", "pandas", "torch",
            "torch-rechub", "deepctr-torch", "pyspark")  # fmt: skip
Contender = tuple[str, dict[str, Any]]
Best = Callable[[Iterable[float]], float]
LIMIT = 3600.0  # seconds that a contender may take
LEAST: Mapping[str, Best] = {"cpu_s": min, "wall_s": min, "rss_mb": min}


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Measures its block: CPU seconds (user + system, all threads) and peak memory in MB.

    CPU seconds are also those of processes that it started. The peak is this process's, sampled,
    since what imports and preparation took before must not count.
    """
    found: dict[str, float] = {}
    stop, peak = threading.Event(), [resident_mb()]

    def sample() -> None:
        while not stop.wait(0.01):
            peak[0] = max(peak[0], resident_mb())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    others = _cpu_of_running()  # before this process's own, which the looking costs
    before, started = _cpu(), time.perf_counter()
    try:
        yield found
    finally:
        found["wall_s"] = round(time.perf_counter() - started, 3)
        found["cpu_s"] = round(_cpu() - before + _cpu_of_running() - others, 3)
        stop.set()
        sampler.join()
        found["rss_mb"] = round(max(peak[0], resident_mb()), 1)


def measure(
    contenders: Mapping[str, Contender],
    repeats: int = 3,
    limit: float = LIMIT,
    best: Mapping[str, Best] = LEAST,
) -> dict[str, dict[str, Any]]:
    """Runs each contender `repeats` times, in turn, each time in a fresh process.

    Args:
        contenders: Name → ("module:function", arguments). The function does its preparation, then
            its work inside `watched()`, and returns what that found, with anything of its own.
        repeats: How often.
        limit: Seconds for each; one that takes longer is ended, and raises `TimeoutExpired`.
        best: By measured number which of its runs counts.

    Returns:
        By name the best of each measured number; other values are those of the last run.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, (target, arguments) in contenders.items():
            process = start(target, arguments)
            try:
                runs[name].append(told(process, limit))
            finally:
                end(process, seconds=60)  # it ends its own processes first
    return {name: best_of(done, best) for name, done in runs.items()}


def best_of(runs: Sequence[Mapping[str, Any]], best: Mapping[str, Best] = LEAST) -> dict[str, Any]:
    """Returns the best of each number that has one, and the last run's other values."""
    return {
        name: best[name](run[name] for run in runs) if name in best else value
        for name, value in runs[-1].items()
    }


def start(target: str, arguments: Mapping[str, Any]) -> subprocess.Popen[str]:
    """Starts a contender in a process of its own."""
    code = "from exit_pipeline.bench.measure import child; child()"
    return subprocess.Popen(
        [sys.executable, "-c", code, target, json.dumps(arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(process: subprocess.Popen[str], limit: float) -> dict[str, Any]:
    """Waits, so many seconds at most, for what a contender says at its end.

    Raises:
        CalledProcessError: It failed.
        TimeoutExpired: It goes on yet.
    """
    out, _ = process.communicate(timeout=limit)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return json.loads(out.splitlines()[-1])


def end(process: subprocess.Popen, seconds: float = 15) -> None:
    """Ends a process, by force where that takes longer, and closes its pipes."""
    with process:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()


def child() -> None:
    """Runs one contender in this process and prints what it found as JSON."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that it ends what it started
    module, function = sys.argv[1].split(":")
    found = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    print("\n" + json.dumps(found))  # after what a peer may have printed
    sys.stdout.flush()
    os._exit(0)


def report(
    name: str,
    config: Mapping[str, Any],
    ours: Any,
    floor: Any,
    peers: Mapping[str, Any],
    ratios: Mapping[str, float | None],
    figures: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Builds the JSON of a bench; a peer that is not installed is null, never assumed."""
    rounded = {key: value and round(value, 3) for key, value in ratios.items()}
    return {
        "name": name, "config": dict(config), "ours": ours, "floor": floor, "peers": dict(peers),
        "ratios": rounded, "figures": dict(figures or {}), "machine": machine(),
        "versions": {package: _version(package) for package in PACKAGES},
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """Cores, processor and memory."""
    info = Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines()
              if line.startswith("model name")] if info.exists() else []  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return {"cores": os.cpu_count(), "processor": models[0] if models else platform.machine(),
            "memory_gb": memory}  # fmt: skip


def cpu_seconds(pid: int) -> float:
    """CPU seconds (user + system) of a process's threads that are alive."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _cpu() -> float:
    """CPU seconds of this process and of those it started that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def _cpu_of_running() -> float:
    """CPU seconds of processes that this one started and that run yet."""
    found = 0.0
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended just now
            found += sum(one.cpu_times()[:4])  # user and system, its own and its children's
    return found


def resident_mb(pid: int | str = "self") -> float:
    """Memory of a process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
