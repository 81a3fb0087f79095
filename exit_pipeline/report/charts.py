"""The report's plots: calibration, learning curves, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from exit_pipeline.evaluation.bootstrap import Difference
from exit_pipeline.report.compare import Bin
from exit_pipeline.report.svg import Axes, line, picture, tag, ticks

WIDTH = 360.0


def reliability(curves: Mapping[str, Sequence[Bin]]) -> Markup:
    """Share with the outcome against mean prediction; whiskers on the first curve."""
    bins = [one for curve in curves.values() for one in curve]
    most = max(max(one.predicted, one.actual) for one in bins) * 1.05
    axes = Axes((0, most), (0, most), WIDTH, 280)
    parts = axes.frame("predicted", "happened", ticks(0, most))
    parts.append(line([axes.at(0, 0), axes.at(most, most)], class_="ideal"))
    for n, curve in reversed(list(enumerate(curves.values()))):
        if n == 0:
            parts += [
                line([axes.at(b.predicted, b.low), axes.at(b.predicted, min(b.high, most))],
                     class_="whisker")
                for b in curve
            ]  # fmt: skip
        parts += _marked([axes.at(b.predicted, b.actual) for b in curve], n)
    return picture(WIDTH, 280, f"Calibration of {', '.join(curves)}", parts)


def epochs(
    history: Mapping[str, Sequence[Mapping[str, Any]]],
    value: str,
    label: str,
    band: tuple[float, float] | None = None,
) -> Markup:
    """A value by epoch, a line per model; a healthy band behind it where there is one."""
    known = {
        role: [(e["number"] + 1, e[value]) for e in found if e[value] is not None]
        for role, found in history.items()
    }
    values = [v for points in known.values() for _, v in points]
    values += [band[0] / 2, band[1] + band[0] / 2] if band else []
    last = max(e["number"] + 1 for found in history.values() for e in found)
    spread = (max(values) - min(values)) or 1.0
    reach = (min(values) - 0.1 * spread, max(values) + 0.2 * spread)
    axes = Axes((1, max(last, 2)), reach, WIDTH, 210)
    parts = []
    if band:
        (x0, y0), (x1, y1) = axes.at(1, band[1]), axes.at(max(last, 2), band[0])
        parts.append(tag("rect", x=x0, y=y0, width=x1 - x0, height=y1 - y0, class_="band"))
    whole = [t for t in ticks(1, max(last, 2), 8) if t == int(t)]
    parts += axes.frame("epoch", label, whole)
    for n, points in enumerate(known.values()):
        parts += _marked([axes.at(*point) for point in points], n)
    return picture(WIDTH, 210, f"{label} by epoch of {', '.join(history)}", parts)


def _marked(points: Sequence[tuple[float, float]], n: int) -> list[Markup]:
    """A line with a mark of its own at each point: colours alone tell nobody apart in print."""
    style = f"series s{n}"
    marks = []
    for x, y in points:
        if n == 1:
            marks.append(tag("rect", x=x - 2.6, y=y - 2.6, width=5.2, height=5.2, class_=style))
        else:
            marks.append(tag("circle", cx=x, cy=y, r=3, class_=style))
    return [line(points, class_=f"curve s{n}"), *marks] if points else []


def interval(found: Difference, reach: float, style: str) -> Markup:
    """A difference with its interval around zero, on a scale from −reach to reach."""
    width, height = 140.0, 14.0

    def at(value: float) -> float:
        return width / 2 * (1 + max(-1.0, min(1.0, value / reach)))

    middle = height / 2
    parts = [
        tag("line", x1=width / 2, x2=width / 2, y1=0, y2=height, class_="zero"),
        tag("line", x1=at(found.low), x2=at(found.high), y1=middle, y2=middle,
            class_=f"reach {style}"),
        tag("circle", cx=at(found.mean), cy=middle, r=3.2, class_=f"mean {style}"),
    ]  # fmt: skip
    words = f"{found.mean:+.4f}, from {found.low:+.4f} to {found.high:+.4f}"
    return picture(width, height, words, parts)
