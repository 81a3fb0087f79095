"""The command `rank`, and how a ranking is shown: each score taken apart."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from exit_pipeline.cli.common import open_profile
from exit_pipeline.cli.output import Json, ProfileOption, console, emit, progress
from exit_pipeline.cli.policy import print_rulings
from exit_pipeline.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(rank)


def rank(
    user: Annotated[str, typer.Option(help="A user's id.")],
    scene: Annotated[
        list[str] | None, typer.Option(help="key=value, as the profile declares.")
    ] = None,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="More of the scene.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    profile: ProfileOption = "simulated",
    json: Json = False,
) -> None:
    """Ranks the catalogue for a user in a scene, and takes each score apart."""
    settings, lake, found = open_profile(profile)
    with progress("ranking", quiet=json):
        from exit_pipeline.ranking.rank import Ranker

        pairs = _pairs([*(scene or []), *(more or [])])
        ranking = Ranker(settings, lake, found).rank(user, pairs, k=k)
    if json:
        emit(ranking.to_dict())
        return
    print_ranking(ranking)


def print_ranking(ranking: Any) -> None:
    """Prints a ranking: each score as own interest with its calibration, and what sources carry."""
    scene = ", ".join(f"{name} {value}" for name, value in ranking.scene.items())
    console.print(f"{ranking.user_id} · {scene} · model version {ranking.model_version}")
    console.print(f"interest as of {_minute(ranking.features_as_of)}, asked {_minute(ranking.at)}")
    for flag in ranking.flags:
        console.print(f"  note: {flag}")
    sources = list(ranking.items[0].carry) if ranking.items else []
    table = Table("#", "item", "unit", "score", "own+cal", *sources)
    for item in ranking.items:
        carried = (f"{item.carry[s]:+.3f}" for s in sources)
        own = f"{item.own + item.bias:+.3f}"
        name = (str(item.rank), item.item_id, item.unit or "")
        table.add_row(*name, f"{item.score:.4f}", own, *carried)
    console.print(table)
    print_rulings(ranking.items)
    if ranking.items:
        _print_why(ranking.items[0])
        most = max(ranking.items, key=lambda item: sum(item.carry.values()))
        if most is not ranking.items[0] and sum(most.carry.values()) > 0:
            _print_why(most)


def _minute(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC" if moment else "never"


def _print_why(item: Any) -> None:
    """Says in words and numbers how an item came by its score."""
    total = item.own + item.bias + sum(item.carry.values())
    name = f"why {item.item_id} is #{item.rank}"
    console.print(f"{name}: score {item.score:.4f}, logit {total:+.3f} =")
    console.print(f"  own interest {item.own:+.3f}, calibration {item.bias:+.3f}")
    for source, carried in item.carry.items():
        console.print(
            f"  {source} {carried:+.3f}: interest {item.p_source[source]:.2f}, "
            f"of which this scene lets {item.p_transfer[source]:.2f} transfer"
        )


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"{text!r} is not of the form key=value", mend="--scene place=home")
        pairs[name] = value
    return pairs
