"""The report's charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from exit_pipeline.evaluation.bootstrap import Difference
from exit_pipeline.report.compare import Bin
from exit_pipeline.report.svg import Axes, line, picture, tag, ticks
from exit_pipeline.report.transfer import ALL, MIN_ROWS, Cell, TransferMap

WIDTH = 360.0
GAP = 4.0
# A letter's mean width, and how many of them a name may have.
LETTER, LETTERS = 5.6, 23.0
STEPS = 10


def heat_map(found: TransferMap) -> Markup:
    """Units by places: a square for what was learned, a dot in it for the label.

    Where the two agree, a dot cannot be told from its square. Cells without enough rows are small
    and grey.
    """
    rows = {unit: shortened(unit or "all units") for unit in (ALL, *found.units)}
    columns = {p: shortened(p.replace("|", " · ") or "everywhere") for p in (ALL, *found.places)}
    left = 8 + LETTER * max(map(letters, rows.values()))
    top = 18 + 0.87 * LETTER * max(map(letters, columns.values()))
    # Names are turned by 60 degrees: the last one leans out over the right edge.
    room = WIDTH - left - GAP - 0.5 * LETTER * letters(list(columns.values())[-1])
    size = min(26.0, room / len(columns))
    across = {p: left + j * size + (GAP if j else 0) for j, p in enumerate(columns)}
    down = {u: top + i * size + (GAP if i else 0) for i, u in enumerate(rows)}
    parts = [_turned(columns[p], x + size / 2, top - 5, p == ALL) for p, x in across.items()]
    for unit, y in down.items():
        style, told = f"name end{'' if unit else ' whole'}", tag("title", unit or "all units")
        parts.append(tag("text", rows[unit], told, x=left - 5, y=y + size / 2 + 3.5, class_=style))
        cells = ((x, found.cells.get((unit, place))) for place, x in across.items())
        parts += [_square(cell, x, y, size) for x, cell in cells if cell]
    title = f"What transfers from {found.source}, by interest unit and place; the table has figures"
    return picture(WIDTH, max(down.values()) + size + 2, title, parts)


def _turned(name: str, x: float, y: float, whole: bool) -> Markup:
    style = "name whole" if whole else "name"
    return tag("text", name, x=x, y=y, transform=f"rotate(-60 {x:.1f} {y:.1f})", class_=style)


def _square(cell: Cell, x: float, y: float, size: float) -> Markup:
    told = tag("title", told_of(cell))
    if not cell.supported:
        side = (size - 2) * max(0.25, 0.7 * (cell.rows / MIN_ROWS) ** 0.5)
        inset = (size - side) / 2
        return tag("rect", told, x=x + inset, y=y + inset, width=side, height=side, class_="thin")
    side = size - 1.5
    style = f"t{step(cell.learned)}{' apart' if cell.apart else ''}"
    square = tag("rect", x=x, y=y, width=side, height=side, rx=2, class_=style)
    middle = {"cx": x + side / 2, "cy": y + side / 2}
    dot = tag("circle", **middle, r=side * 0.24, class_=f"t{step(cell.label)}")
    return tag("g", told, square, dot)


def told_of(cell: Cell) -> str:
    """A cell in words."""
    where = f"{cell.unit or 'all units'}, {cell.place.replace('|', ' · ') or 'everywhere'}"
    if not cell.supported:
        return f"{where}: {cell.rows} rows, too few to say"
    return (
        f"{where}: learned {cell.learned:.2f}, label {cell.label:.2f} "
        f"[{cell.low:.2f}, {cell.high:.2f}], {cell.rows} rows"
    )


def step(share: float) -> int:
    """Which of the scale's colours a share has."""
    return min(STEPS, max(0, round(share * STEPS)))


def shortened(name: str) -> str:
    """A name that fits its place; what is left out is before its end, where alike names differ."""
    if letters(name) <= LETTERS:
        return name
    head, tail = name[:-5], name[-5:]
    while letters(head + tail) > LETTERS - 1:
        head = head[:-1]
    return f"{head.rstrip()}…{tail.lstrip()}"


def letters(name: str) -> float:
    """How long a name is, in letters of mean width; capitals are wider."""
    return sum(1.3 if letter.isupper() else 1.0 for letter in name)


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


def sample(kind: str) -> Markup:
    """A square of the heat map on its own, for its key."""
    cell = {
        "near": Cell(ALL, ALL, 99, 0.8, 0.6, 0.5, 0.9),
        "apart": Cell(ALL, ALL, 99, 0.8, 0.1, 0.0, 0.2),
        "thin": Cell(ALL, ALL, 6, 0.8, 0.8, 0.3, 1.0),
    }[kind]
    return picture(20, 20, kind, [_square(cell, 1, 1, 19)])
