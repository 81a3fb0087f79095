"""Renders the report: one page that asks for nothing else, and its preview in Markdown."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exit_pipeline.files import write_text
from exit_pipeline.lake import Lake
from exit_pipeline.registry import Registry
from exit_pipeline.report import charts, compare, heat_map, words
from exit_pipeline.report.build import ROLES, Report
from exit_pipeline.report.transfer import MIN_ROWS
from exit_pipeline.settings import Home
from exit_pipeline.training.split import PARTS

FOLDER = "transfer"
METRICS = {
    "auc": "AUC",
    "gauc": "GAUC (per user)",
    "logloss": "logloss",
    "ece": "ECE (calibration error)",
    "predicted_to_actual": "predicted ÷ happened",
}
# What a policy is asked for; the model expects, nobody has tried.
COSTS = {"expected": "outcomes expected per exposure", **METRICS}


def page_file(home: Home, version: int) -> Path:
    """Where a version's page lies."""
    return home.reports / FOLDER / f"v{version}.html"


def write_report(lake: Lake, report: Report) -> Path:
    """Writes the page under the home's reports, whole or not at all, and keeps it with the version.

    Returns:
        `reports/transfer/vN.html`.
    """
    page = page_file(lake.home, report.version.version)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, render_page(report))
    Registry(lake.home, report.spec.name).attach(report.version.version, page, FOLDER)
    return page


def render_page(report: Report) -> str:
    """The page as text; the same report gives the same bytes."""
    return _templates().get_template("page.html.jinja").render(
        report=report, spec=report.spec, version=report.version, lineage=report.version.lineage,
        metrics=METRICS, costs=COSTS, roles=ROLES, curves=_curves(report),
        min_rows=MIN_ROWS,
        group=" × ".join(report.spec.group) or "everywhere", parts=PARTS,
    )  # fmt: skip


def preview(report: Report) -> str:
    """The summary and the interest units that carry most, for Dagster's metadata."""
    word, why = words.decided(report)
    lines = [f"**{words.headline(report)}.**", "", words.how_well(report), words.governed(report),
             f"{word} {why}", ""]  # fmt: skip
    lines += ["| source | unit | rows | learned | label | 95 % |", "|---|---|---|---|---|---|"]
    for found in report.maps:
        for cell in found.margin("units")[:5]:
            reach = f"{cell.low:.2f} … {cell.high:.2f}"
            unit = cell.unit.replace("|", " · ")
            lines.append(f"| {found.source} | {unit} | {cell.rows:,} | {cell.learned:.2f} "
                         f"| {cell.label:.2f} | {reach} |")  # fmt: skip
    return "\n".join(lines)


def _curves(report: Report) -> dict[str, list[compare.Bin]]:
    return {ROLES[role]: compare.reliability(found) for role, found in report.scored.items()}


@lru_cache(maxsize=1)
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"charts": charts, "heat": heat_map, "words": words}
    environment.filters |= {
        "dotted": lambda name: name.replace("|", " · "),
        "figure": words.figure,
        "signed": words.signed,
    }
    return environment
