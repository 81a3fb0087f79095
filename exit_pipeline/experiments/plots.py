"""The plot of a study: differences from the reference with their intervals, as SVG."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from exit_pipeline.experiments.bootstrap import Interval
from exit_pipeline.experiments.results import Group, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS: Mapping[str, Callable[[Group, Group], Interval]] = {
    "Δ AUC": lambda g, r: g.sharpest(r),
    "Δ AUC, y_s = 1": lambda g, r: g.sharpest(r, "source interest"),
    "Δ CTCVR": lambda g, r: g.earns(r, "ctcvr"),
    "Δ negative feedback": lambda g, r: g.earns(r, "negative"),
}

# Beyond so many times the usual distance from the reference a line is named, not drawn.
FAR = 4.0


def plot(results: Results, axis: str) -> str:
    """Draws a row of panels per world: lines over the axis, or dots where it has one place."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    worlds = list(dict.fromkeys(world for world, _ in results.places()))
    size = (4.2 * len(PANELS), 3.2 * len(worlds) + 0.4)
    # The same figures give the same bytes.
    with pyplot.rc_context({"svg.hashsalt": "study", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(len(worlds), len(PANELS), figsize=size, squeeze=False)
        for row, world in zip(axes, worlds, strict=True):
            groups = [g for g in results.groups if g.world == world]
            for panel, (title, measure) in zip(row, PANELS.items(), strict=True):
                if "feedback" in title or "CTCVR" in title:
                    if not groups[0].earned:
                        panel.set_axis_off()
                        continue
                    title += ", relative"
                lines = len({group.x for group in groups}) > 1
                (_lines if lines else _dots)(panel, groups, results, measure)
                panel.set_title(f"{world}: {title}")
                if lines:
                    panel.set_xlabel(axis)
            if lines:
                row[0].legend(fontsize=7)
        figure.tight_layout()
        held = io.StringIO()
        figure.savefig(held, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return held.getvalue()


def _dots(panel: Axes, groups: list[Group], results: Results, measure: Any) -> None:
    """A line per group; one that lies far off is named at the edge, so that others can be told."""
    found = [measure(group, results.rival(group)) for group in groups]
    ends = np.array([max(abs(i.low), abs(i.high)) for i in found])
    edge = 1.2 * ends[ends <= FAR * np.nanmedian(ends)].max(initial=1e-6)
    for place, (one, end) in enumerate(zip(found, ends, strict=True)):
        if end > edge:
            side = np.sign(one.mean)
            panel.text(side * edge * 0.95, place, f"{one.mean:+.3f}", va="center", fontsize=7,
                       ha="left" if side < 0 else "right")  # fmt: skip
            continue
        panel.plot([one.low, one.high], [place, place], color="C0", linewidth=1.5)
        panel.plot(one.mean, place, "o", color="C0", markersize=4)
    panel.axvline(0, color="grey", linewidth=0.8)
    panel.set_xlim(-edge, edge)
    panel.set_yticks(np.arange(len(groups)), [group.label for group in groups])
    panel.set_ylim(len(groups) - 0.5, -0.5)
    panel.locator_params(axis="x", nbins=5)


def _lines(panel: Axes, groups: list[Group], results: Results, measure: Any) -> None:
    places = list(dict.fromkeys(group.x for group in groups))
    for label in dict.fromkeys(group.label for group in groups):
        held = [g for g in groups if g.label == label]
        found = [measure(group, results.rival(group)) for group in held]
        reach = np.array([[i.mean - i.low, i.high - i.mean] for i in found]).T
        x = [places.index(group.x) for group in held]
        panel.errorbar(
            x, [i.mean for i in found], yerr=np.nan_to_num(reach).clip(0), marker="o",
            markersize=3, linewidth=1, label=label,
        )  # fmt: skip
    panel.axhline(0, color="grey", linewidth=0.8)
    panel.set_xticks(range(len(places)), places, rotation=20)
