"""The report's map of what transfers where, and the words for its cells."""

from __future__ import annotations

from markupsafe import Markup

from exit_pipeline.report.svg import picture, tag
from exit_pipeline.report.transfer import ALL, MIN_ROWS, PARTLY, Cell, TransferMap

WIDTH = 360.0
GAP = 4.0
# A letter's mean width, and how many of them a name may have.
LETTER, LETTERS = 5.6, 23.0
STEPS = 10
# What the policy does to a cell: a sign in its corner.
SIGNS = {"forbidden": "×", "capped": "≤", "fixed": "=", PARTLY: "~"}


def draw(found: TransferMap) -> Markup:
    """Units by places: a square for what was learned, a dot in it for the label.

    Where the two agree, a dot cannot be told from its square. Cells without enough rows are small
    and grey. A sign in the corner says that the policy decides there, whatever was learned.
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
        grey = tag("rect", x=x + inset, y=y + inset, width=side, height=side, class_="thin")
        return tag("g", told, grey, *_sign(cell, x, y, size))
    side = size - 1.5
    style = f"t{step(cell.learned)}{' apart' if cell.apart else ''}"
    square = tag("rect", x=x, y=y, width=side, height=side, rx=2, class_=style)
    middle = {"cx": x + side / 2, "cy": y + side / 2}
    dot = tag("circle", **middle, r=side * 0.24, class_=f"t{step(cell.label)}")
    return tag("g", told, square, dot, *_sign(cell, x, y, size))


def _sign(cell: Cell, x: float, y: float, size: float) -> list[Markup]:
    if not cell.ruled:
        return []
    height = max(9.0, size / 2)
    style = {"font_size": f"{height:g}", "class_": "sign end"}
    return [tag("text", SIGNS[cell.ruled], x=x + size - 1, y=y + height * 0.85, **style)]


def told_of(cell: Cell) -> str:
    """A cell in words."""
    where = f"{cell.unit or 'all units'}, {cell.place.replace('|', ' · ') or 'everywhere'}"
    ruled = f"; {ruled_by(cell)}" if cell.ruled else ""
    if not cell.supported:
        return f"{where}: {cell.rows} rows, too few to say{ruled}"
    return (
        f"{where}: learned {cell.learned:.2f}, label {cell.label:.2f} "
        f"[{cell.low:.2f}, {cell.high:.2f}], {cell.rows} rows{ruled}"
    )


def ruled_by(cell: Cell) -> str:
    """What the policy does to a cell and by which rules; empty where it does nothing."""
    if not cell.ruled:
        return ""
    rules = ", ".join(f"policy.{number}" for number in cell.rules)
    share = f", {cell.governed} of {cell.rows} rows" if cell.governed < cell.rows else ""
    return f"{cell.ruled} by {rules}{share}"


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


def sample(kind: str) -> Markup:
    """A square of the heat map on its own, for its key."""
    cell = {
        "near": Cell(ALL, ALL, 99, 0.8, 0.6, 0.5, 0.9),
        "apart": Cell(ALL, ALL, 99, 0.8, 0.1, 0.0, 0.2),
        "thin": Cell(ALL, ALL, 6, 0.8, 0.8, 0.3, 1.0),
    }[kind]
    return picture(20, 20, kind, [_square(cell, 1, 1, 19)])
