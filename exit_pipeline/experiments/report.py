"""What a study leaves: `table.md`, `result.json`, `plot.svg` and `sentence.txt`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from exit_pipeline.experiments.bootstrap import Interval
from exit_pipeline.experiments.plots import plot
from exit_pipeline.experiments.results import Group, Results, significant
from exit_pipeline.files import write_text

SOURCE = "source interest"
Cell = Callable[[Group, Group], str]


def number(value: float, digits: int = 4) -> str:
    """A figure, or a dash where it is not known."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def interval(found: Interval, digits: int = 4) -> str:
    """`+0.0021 [+0.0010, +0.0032]`."""
    if not math.isfinite(found.low):
        return "–"
    mean, low, high = (f"{v:+.{digits}f}" for v in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


def percent(found: Interval) -> str:
    """`+1.8 % [+0.9, +2.7]`."""
    mean, low, high = (f"{100 * v:+.1f}" for v in (found.mean, found.low, found.high))
    return f"{mean} % [{low}, {high}]"


def _metric(name: str, where: str = "all", digits: int = 4) -> Cell:
    def cell(group: Group, rival: Group) -> str:
        text, spread = number(group.mean(name, where), digits), group.spread(name, where)
        return f"{text} ± {number(spread, digits)}" if math.isfinite(spread) else text

    return cell


def _against(name: str, where: str = "all") -> Cell:
    return lambda group, rival: (
        "" if group is rival else interval(group.difference(rival, name, where))
    )


def _earns(measure: str) -> Cell:
    return lambda group, rival: (
        "" if group is rival else percent(group.earns(rival, measure)) if group.earned else "–"
    )


def _value(measure: str) -> Cell:
    return lambda group, rival: (
        number(float(group.earned[measure].sum() / group.earned["shown"].sum()), 5)
        if group.earned
        else "–"
    )


COLUMNS: Mapping[str, Cell] = {
    "seeds": lambda group, rival: str(len(group.runs)),
    "AUC": _metric("auc"),
    "Δ AUC": _against("auc"),
    "AUC, y_s = 1": _metric("auc", SOURCE),
    "Δ AUC, y_s = 1": _against("auc", SOURCE),
    "Δ expected AUC": _against("expected_auc"),
    "Δ expected AUC, y_s = 1": _against("expected_auc", SOURCE),
    "Δ expected logloss": _against("expected_logloss"),
    "GAUC": _metric("gauc"),
    "validation logloss": lambda group, rival: number(group.mean("logloss", part="validation"), 5),
    "logloss": _metric("logloss"),
    "Δ logloss": _against("logloss"),
    "ECE": _metric("ece"),
    "p/e": _metric("predicted_to_expected", digits=2),
    "p/e, nothing transfers": _metric("predicted_to_expected", "nothing transfers", 2),
    "p/e, much transfers": _metric("predicted_to_expected", "much transfers", 2),
    "p/e, never units": _metric("predicted_to_expected", "units that never transfer", 2),
    "Spearman": _metric("spearman", digits=2),
    "CTCVR": _value("ctcvr"),
    "Δ CTCVR": _earns("ctcvr"),
    "Δ CTR": _earns("ctr"),
    "Δ GTV": _earns("gtv"),
    "negative": _value("negative"),
    "Δ negative": _earns("negative"),
    "seconds": lambda group, rival: number(group.seconds, 0),
    "seconds of tables": lambda group, rival: number(group.runs[0].figures["tables_seconds"], 0),
}
STANDARD = ("seeds", "AUC", "Δ AUC", "Δ expected AUC", "AUC, y_s = 1", "Δ AUC, y_s = 1",
            "Δ expected AUC, y_s = 1", "validation logloss", "logloss", "Δ logloss", "GAUC", "ECE",
            "p/e, nothing transfers", "p/e, much transfers", "Spearman", "Δ CTCVR", "Δ negative",
            "seconds")  # fmt: skip


def markdown(results: Results, columns: Sequence[str], axis: str) -> str:
    """A line per group; what it is compared with carries a mark."""
    first = ["world", *([axis] if axis else []), "model"]
    lines = [_line([*first, *columns]), f"|{'---|' * (len(first) + len(columns))}"]
    for group in results.groups:
        rival = results.rival(group)
        label = f"{group.label} (reference)" if group is rival else group.label
        place = [group.world, *([group.x] if axis else []), label]
        lines.append(_line([*place, *(COLUMNS[column](group, rival) for column in columns)]))
    return "\n".join(lines)


def slice_table(results: Results, subject: str) -> str:
    """The subject against its reference on every slice; `*` where it holds after Holm."""
    shown = ("auc", "logloss", "expected_auc", "expected_logloss")
    heads = [f"Δ {name.replace('_', ' ').replace('auc', 'AUC')}" for name in shown]
    first = ["world", "place", "slice", "rows", "positives"]
    lines = [_line([*first, *heads]), f"|{'---|' * (len(first) + len(heads))}"]
    for group in (g for g in results.groups if g.label == subject):
        rival = results.rival(group)
        sure = {name: significant(group, rival, name) for name in shown}
        for where in group.slices:
            cells = [
                interval(group.difference(rival, name, where)) + ("*" if where in held else "")
                for name, held in sure.items()
            ]
            support = [f"{group.mean(n, where):,.0f}" for n in ("rows", "positives")]
            where = where.replace("|", " · ")
            lines.append(_line([group.world, group.x, where, *support, *cells]))
    return "\n".join(lines)


def write_report(
    folder: Path, command: str, title: str, results: Results, columns: Sequence[str], axis: str,
    subject: str, sentence: str,
) -> dict[str, Any]:  # fmt: skip
    """Writes the four files, each whole or not at all; returns what `result.json` holds."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f"# {title}\n\n`{command}`\n\n{sentence}\n\n{markdown(results, columns, axis)}\n"
    if subject:
        text += f"\n{subject} against its reference, by slice (`*`: after Holm)\n\n"
        text += slice_table(results, subject) + "\n"
    document = {
        "title": title,
        "command": command,
        "sentence": sentence,
        "groups": results.to_dict(),
    }
    write_text(folder / "table.md", text)
    write_text(folder / "result.json", json.dumps(_known(document), indent=1, default=str))
    write_text(folder / "plot.svg", plot(results, axis))
    write_text(folder / "sentence.txt", sentence + "\n")
    return document


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _known(value: Any) -> Any:
    """What is not a number is null: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _known(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_known(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
