"""The little of SVG that the charts need; colours are classes, for a page by day and by night."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape


def tag(name: str, *children: str, **attributes: str | float) -> Markup:
    """Returns an element; numbers are rounded, text and values are escaped.

    Args:
        name: The element's.
        *children: Elements, or text.
        **attributes: `class_` is `class`, and `_` within a name is a hyphen.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(number(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def number(value: str | float) -> str:
    """A coordinate to a tenth of a pixel, or text as it is."""
    return value if isinstance(value, str) else f"{round(value, 1):g}"


def picture(width: float, height: float, title: str, children: Iterable[str]) -> Markup:
    """Returns an image that scales to its place and says what it shows."""
    return tag(
        "svg", *children,
        viewBox=f"0 0 {number(width)} {number(height)}", role="img", aria_label=title,
    )  # fmt: skip


def line(points: Sequence[tuple[float, float]], **attributes: str | float) -> Markup:
    """Returns a line through points."""
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return tag("polyline", points=path, **attributes)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about `count` of them."""
    step = 10 ** math.floor(math.log10(max(high - low, 1e-12) / count))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= count)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


class Axes:
    """A frame of a plot: where values lie, and its ticks.

    Args:
        x: Least and largest value across.
        y: Least and largest value upwards.
        width: Of the whole picture.
        height: Of the whole picture.
    """

    left, right, top, bottom = 42.0, 10.0, 10.0, 34.0

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], width: float, height: float
    ) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies in the picture."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0] or 1)
        up = (y - self.y[0]) / (self.y[1] - self.y[0] or 1)
        wide = self.width - self.left - self.right
        tall = self.height - self.top - self.bottom
        return self.left + across * wide, self.height - self.bottom - up * tall

    def frame(self, x_label: str, y_label: str, x_ticks: Sequence[float]) -> list[Markup]:
        """Grid lines, their numbers, and what the axes mean."""
        parts = []
        for value in ticks(*self.y):
            (x0, y), (x1, _) = self.at(self.x[0], value), self.at(self.x[1], value)
            parts.append(tag("line", x1=x0, x2=x1, y1=y, y2=y, class_="grid"))
            parts.append(tag("text", f"{value:g}", x=x0 - 5, y=y + 3.5, class_="tick end"))
        floor = self.height - self.bottom
        for value in x_ticks:
            x, _ = self.at(value, self.y[0])
            parts.append(tag("text", f"{value:g}", x=x, y=floor + 14, class_="tick mid"))
        parts.append(tag("text", x_label, x=self.width - self.right, y=self.height - 4,
                         class_="axis end"))  # fmt: skip
        parts.append(tag("text", y_label, x=self.left + 4, y=self.top + 8, class_="axis"))
        return parts
