"""The ranking service: scoring against its products, requests against a bare server and Feast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from exit_pipeline.bench.measure import measure, report
from exit_pipeline.bench.processes import Server, bare_server, load, service, under_load
from exit_pipeline.bench.serving_home import ServedHome, make_home, questions
from exit_pipeline.bench.serving_scoring import CANDIDATES, least
from exit_pipeline.simulator import SimulationConfig

HERE = "exit_pipeline.bench.serving"
SHARE = 0.6  # of saturation, for latencies
LIMIT = 1200.0  # seconds for the home and all that is asked
MODELS = ("towers", "exit")


def run(rows: int = 10_000, quick: bool = False) -> dict[str, Any]:
    """Scores 200 candidates in process, then asks the service itself on a home of demo size.

    Args:
        rows: Items in the catalogue that is scored from in process.
        quick: 1,000 of them, few rounds, a small home.
    """
    rows, rounds = (1_000, 20) if quick else (rows, 200)
    scoring = {
        name: (f"{HERE}_scoring:scoring", {"name": name, "items": rows, "rounds": rounds})
        for name in MODELS
    }
    scored = measure(scoring, 1)
    home = measure({"served": (f"{HERE}:served", {"quick": quick})}, 1, LIMIT)["served"]
    ours = {name: {**scored[name], **home.pop(name)} for name in MODELS}
    towers = ours["towers"]
    return report(
        "serving",
        {"items": rows, "candidates": CANDIDATES, "rounds": rounds, "home": home.pop("home")},
        ours,
        {"products_us": towers["floor_us"], "bare_us": towers["bare_us"]},
        {"feast_all_us": towers["feast_us"]},
        {
            **_ratios(towers),
            **{f"{key}_exit": value for key, value in _ratios(ours["exit"]).items()},
        },
        home | {f"{k}_{name}": value for name, told in ours.items() for k, value in told.items()},
    )


def _ratios(ours: dict[str, float]) -> dict[str, float]:
    return {
        "gemm_floor": ours["score_us"] / ours["floor_us"],
        "bare_response": ours["request_us"] / ours["bare_us"],
        "speedup_feast_all": ours["feast_us"] / ours["request_us"],
        "p99_p50_at_60": ours["p99_ms"] / ours["p50_ms"],
    }


def served(quick: bool) -> dict[str, Any]:
    """What `exit-pipeline serve` does on a home of its own."""
    config = SimulationConfig.sized("quick" if quick else "demo")
    with TemporaryDirectory(prefix="bench-serving-") as folder:
        home = make_home(Path(folder), config)
        size = {"users": config.users, "items": config.items, "days": config.days}
        return {"home": size, **of_service(home, config.users, quick)}


def of_service(home: ServedHome, users: int, quick: bool, **environment: str) -> dict[str, Any]:
    """Asks with one model, then the other; then promotes and rolls back under load."""
    file = questions(home, users, CANDIDATES)
    rounds, swaps = (2, 2) if quick else (5, 20)
    times, seconds = (1, 0.5) if quick else (3, 10)
    found: dict[str, Any] = {}
    with service(home.root, **environment) as server, bare_server() as bare:
        server.settled()
        for name in MODELS:
            home.registry.force(home.versions[name][0], "a bench")
            server.serves(home.versions[name][0])
            found[name] = _costs(home, server, bare, file, rounds)
            found[name] |= _latencies(server, file, times, seconds)
        found |= _swapped(home, server, file, swaps)
    return found


def _costs(
    home: ServedHome, server: Server, bare: Server, file: str, rounds: int
) -> dict[str, float]:
    """CPU µs of a request, of a bare response, and of Feast's reading 200 items; in turn."""
    feast = FeastItems(home)
    load(server, file, requests=100)  # warms up
    least_us = dict.fromkeys(("request", "bare", "feast"), float("inf"))
    for _ in range(rounds):
        for name, one, n in (("request", server, 200), ("bare", bare, 500)):
            us = load(one, file, requests=n)["cpu_s"] / n * 1e6
            least_us[name] = min(least_us[name], us)
        least_us["feast"] = min(least_us["feast"], least({"feast": feast}, 5)["feast"])
    return {f"{name}_us": round(us, 1) for name, us in least_us.items()}


class FeastItems:
    """Reads the features of 200 items, and nothing else, by Feast's own online API."""

    def __init__(self, home: ServedHome) -> None:
        from exit_pipeline.feast_stores.repo import open_store
        from exit_pipeline.features.inputs import view_columns
        from exit_pipeline.ranking.snapshot import Snapshot

        spec = home.profile.spec
        items = Snapshot.load(home.settings, home.lake, spec).catalogue
        self.store = open_store(home.settings, home.lake.home)
        self.keys = [{"item_id": items[n % len(items)]} for n in range(CANDIDATES)]
        self.features = [f"item_features:{name}" for name in view_columns(spec)["item_features"]]

    def __call__(self) -> None:
        """Reads them once."""
        self.store.get_online_features(features=self.features, entity_rows=self.keys).to_dict()


def _latencies(server: Server, file: str, times: int, seconds: float) -> dict[str, float]:
    """The most requests a second, and ms to an answer at 60 % of those, of the run that went best.

    Whoever asks does not wait for others: times are a Poisson process's.
    """
    full = [load(server, file, requests=round(80 * seconds), connections=8) for _ in range(times)]
    most = max(map(_per_second, full))
    rate = SHARE * most
    runs = [load(server, file, requests=round(rate * seconds), rate=rate) for _ in range(times)]
    waits = [1000 * np.percentile(run["seconds"], (50, 99)) for run in runs]
    p50, p99 = min(waits, key=lambda run: run[1] / run[0])
    return {
        "saturation_per_s": round(most, 1),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "failed": sum(len(faults(run)) for run in (*full, *runs)),
    }


def _per_second(found: dict[str, Any]) -> float:
    return len(found["seconds"]) / found["wall_s"]


def _swapped(home: ServedHome, server: Server, file: str, swaps: int) -> dict[str, Any]:
    """Promotes and rolls back in turn while four ask; every answer is of one version, whole."""
    first, second = home.versions["exit"]
    with under_load(server, file, connections=4, check=home.check) as asking:
        for swap in range(swaps):
            if swap % 2:
                home.registry.rollback("a bench")
            else:
                home.registry.force(second, "a bench")
            server.serves(first if swap % 2 else second)
    answers = asking.answers
    return {
        "failed_requests": len(faults(answers)),
        "faults": faults(answers)[:5],
        "swaps": swaps,
        "answers_under_swaps": len(answers["told"]),
        "versions": sorted({version for _, version, _ in answers["told"] if version}),
    }


def faults(answers: dict[str, Sequence[Any]]) -> list[str]:
    """What is wrong with those answers with which something is."""
    return [fault for fault, *_ in answers["told"] if fault]
