"""Drafts a profile and its adapters from Parquet files that nobody has described yet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exit_pipeline.errors import LandingError, UsageError
from exit_pipeline.lake.duck import open_duckdb, render
from exit_pipeline.profile.draft_attributes import draft_attributes
from exit_pipeline.profile.draft_events import EventsDraft, draft_events
from exit_pipeline.profile.load import BUILT_IN, built_in_profiles, load_profile
from exit_pipeline.profile.look import ALIASES, RawTable, find_tables, identifier
from exit_pipeline.profile.names import generated_columns
from exit_pipeline.profile.schema import ProfileSpec
from exit_pipeline.settings import Settings

TARGETS = ("feed", "home", "home_feed", "recommendations", "for_you", "discover", "mailer")
UNITS = ("category", "categories", "genre", "topic", "department", "product_category", "type")
SEGMENTS = ("segment", "tier", "cluster", "age_band", "age", "gender")
MOST_SOURCES = 32
FILES = ("events.sql", "items.sql", "users.sql", "profile.yaml")


def draft_profile(settings: Settings, landing: Path, out: Path | None = None) -> dict[str, Any]:
    """Looks at the Parquet files under a folder, and writes a profile that runs on them.

    Reading is bounded: of each table at most 32 files and two million rows, and of a log that does
    not lie by day the column of time.

    Args:
        settings: Memory limit and threads.
        landing: The folder.
        out: Gets `profile.yaml` and three adapters; by default `profile` beside the folder.

    Returns:
        `out`, `tables` (raw table → glob), `target`, `sources`, `start`, `end`, `decide` (notes).

    Raises:
        UsageError: A profile is there already, or no table of events with two domains was found.
        LandingError: There is no Parquet file, or one cannot be read.
    """
    landing = landing.absolute()
    out = (out or landing.parent / "profile").absolute()
    there = [name for name in FILES if (out / name).exists()]
    if there:
        raise UsageError(
            f"{' and '.join(there)} would be written over",
            where=str(out),
            mend="name another --out",
        )
    with (
        tempfile.TemporaryDirectory(prefix="exit-draft-") as spill,
        open_duckdb(settings.memory_limit, settings.threads, Path(spill)) as connection,
    ):
        try:
            texts, told = _draft(connection, landing, out)
        except duckdb.Error as error:
            raise LandingError(
                f"the files cannot be read: {str(error).splitlines()[0]}",
                where=str(landing),
                mend="write the file again, whole, or move it away",
            ) from error
    _write(out, texts)
    return {"out": str(out), **told}


def _write(out: Path, texts: dict[str, str]) -> None:
    """Writes the draft once it is known to be a good profile; `profile.yaml` says it is whole."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name in FILES:
            (partial / name).write_text(texts[name].strip() + "\n", "utf-8")
        load_profile(partial)
        out.mkdir(exist_ok=True)
        for name in FILES:
            os.replace(partial / name, out / name)
    finally:
        shutil.rmtree(partial)


def _draft(
    connection: duckdb.DuckDBPyConnection, landing: Path, out: Path
) -> tuple[dict[str, str], dict[str, Any]]:
    tables = find_tables(connection, landing)
    raw = [table for table in tables if len(table.roles("user", "item", "ts")) == 3]
    if not raw:
        raise _no_events(landing, tables)
    logs = [draft_events(connection, table) for table in raw]
    _call_one_events(logs, {table.name for table in tables})
    domains = _domains(logs, landing)
    target = _target(domains)
    sources = [domain for domain in domains if domain != target][:MOST_SOURCES]
    start, end = min(log.first for log in logs), max(log.last for log in logs)
    bare = ProfileSpec(name="draft", start=start, target=target, sources=tuple(sources))
    made = {column for column, _ in generated_columns(bare)}
    items, users = (draft_attributes(connection, t, tables, logs, made) for t in ("item", "user"))
    context = {name: values for log in logs for name, values in log.context.items()}
    patterns = {t.name: t.pattern for t in tables} | {log.name: log.pattern for log in logs}
    read = [*(log.name for log in logs), *items.raw, *users.raw]
    told = {
        "name": _name(landing),
        "target": target,
        "sources": sources,
        "start": str(start),
        "end": str(end),
        "tables": {name: patterns[name] for name in dict.fromkeys(read)},
        "notes": [note for log in logs for note in log.notes],
    }
    profile = _profile_text(
        **told,
        days=(end - start).days + 1,
        path=os.path.relpath(landing, out),
        domains=domains,
        unit=_first(UNITS, items.few) or "item_id",
        items=items.attributes,
        users=users.attributes,
        segment=_first(SEGMENTS, users.few),
        context=context,
        scene=["hour_band", "day_kind", *list(context)[:2]],
        group=["hour_band", *list(context)[:1]],
    )
    events = render("draft_events", tables=logs)
    texts = {"events.sql": events, "items.sql": items.sql, "users.sql": users.sql}
    return {**texts, "profile.yaml": profile}, told


def _no_events(landing: Path, tables: list[RawTable]) -> UsageError:
    sought = "; ".join(f"{ALIASES[role].replace(' ', ', ')}" for role in ("user", "item", "ts"))
    found = "; ".join(f"{table.name} ({', '.join(table.columns)})" for table in tables)
    return UsageError(
        f"no table of events was found: a user, an item and a time, by names like {sought}",
        where=f"{landing}: {found}",
        mend="rename the columns, or write the profile by hand after a built-in one",
    )


def _call_one_events(logs: list[EventsDraft], names: set[str]) -> None:
    """The largest table of events is called `events`, which is where one looks first."""
    if "events" not in names:
        max(logs, key=lambda log: log.counts.total()).name = "events"


def _domains(logs: list[EventsDraft], landing: Path) -> dict[str, Counter[str]]:
    """Event types by domain, the domain with the most rows first."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for log in logs:
        for (domain, kind), n in log.counts.items():
            found[domain][kind] += n
    if len(found) < 2:
        raise UsageError(
            f"only one domain was found: {', '.join(found) or 'none'}",
            where=str(landing),
            mend="interest is carried from one domain to another: add another one's log, or a "
            f"column like {', '.join(ALIASES['domain'].split()[:3])} that tells them apart",
        )
    return dict(sorted(found.items(), key=lambda pair: (-pair[1].total(), pair[0])))


def _target(domains: dict[str, Counter[str]]) -> str:
    """A guess: by its name, else the domain with the most exposures."""
    named = [name for name in TARGETS if name in domains]
    return named[0] if named else max(domains, key=lambda d: domains[d]["impression"])


def _first(wanted: tuple[str, ...], found: list[str]) -> str | None:
    return next((name for name in wanted if name in found), found[0] if found else None)


def _profile_text(**facts: Any) -> str:
    loader = FileSystemLoader(BUILT_IN / "draft")
    environment = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, autoescape=False
    )
    return environment.get_template("profile.yaml.jinja").render(**facts)


def _name(landing: Path) -> str:
    name = identifier(landing.parent.name if landing.name == "landing" else landing.name)
    return f"{name[:36]}_log" if name in built_in_profiles() else name
