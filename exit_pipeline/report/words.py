"""What the report says in sentences, and how it writes figures."""

from __future__ import annotations

import math

from exit_pipeline.evaluation.bootstrap import Difference
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.report.build import Report
from exit_pipeline.report.transfer import Cell, TransferMap, gap

NOTHING = 0.05
GLOSSARY = {
    "Source interest (y_s)": "the user clicked or ordered something of this interest unit in a "
    "source shortly before the exposure, as the profile says.",
    "Label (a)": "whether the group (unit and place) responded more after source interest than "
    "its own taste explains, as far as was known on the exposure's day.",
    "Learned transfer (p)": "what the Scene Selector Network expects of the label for this user, "
    "item and scene; it reads the group's past lift, so it should follow the label closely.",
    "Target-only": "the same network on the same rows without anything of a source: what the "
    "sources must beat.",
    "Logloss difference": "below zero is better; intervals are 95\u00a0%, paired over users.",
}


def headline(report: Report) -> str:
    """How much of each source's interest the model lets carry over, and whether labels agree."""
    known = [m for m in report.maps if m.whole and m.whole.supported]
    if not known:
        return f"Too little is known to say what carries over to {report.spec.target}"
    shares = [f"{_percent(m.whole.learned)} of {m.source}" for m in known if m.whole]
    told = f"The model lets {_listed(shares)} interest carry over to {report.spec.target}"
    if any(m.whole.apart for m in known if m.whole):
        told += f"; its labels say {_listed([_percent(m.whole.label) for m in known if m.whole])}"
    return told


def of_source(found: TransferMap) -> str:
    """Which units most and least of a source's interest transfers to, and in which places."""
    units, places = found.margin("units"), found.margin("places")
    rows = found.whole.rows if found.whole else 0
    if not units:
        return f"seen before {rows:,} exposures, too few to say what transfers"
    if units[0].learned < NOTHING:
        return "nothing transfers to any unit"
    told = f"most to {_of(units[0], 'unit')}, least to {_of(units[-1], 'unit')}"
    if len(places) > 1:
        told += f"; most in {_of(places[0], 'place')}, least in {_of(places[-1], 'place')}"
    return told


def how_well(report: Report) -> str:
    """How close learned transfer is to its label, and what it does for the scores."""
    distance, cells = gap(report.maps)
    ours, rival = report.scored["model"].metrics, report.scored["baseline"].metrics
    told = ""
    if cells:
        over = f"{cells} cells" if cells > 1 else "one cell"
        told = f"Learned transfer is {distance:.2f} from its label on average ({over}). "
    auc = f"AUC is {figure(ours['auc'])} (target-only {figure(rival['auc'])})"
    return f"{told}{auc}, the difference in logloss {difference(report.comparisons[0].whole)}."


def governed(report: Report) -> str:
    """On how many exposures the policy acts, and what the model then expects of all of them."""
    cost = report.cost
    if cost is None:
        return "Transfer is free: the profile has no policy."
    rules = f"{len(cost.rules)} rules act" if len(cost.rules) > 1 else "One rule acts"
    free, ruled = (f["expected"] * cost.rows for f in (cost.without, cost.under))
    return (
        f"{rules} on {cost.governed:,} of {cost.rows:,} exposures. The model expects {ruled:,.1f} "
        f"outcomes of all of them, {free:,.1f} without the policy."
    )


def about(rule: RuleSpec) -> str:
    """Which cells a rule is about."""
    told = f"from {rule.source or 'every source'} to {rule.unit or 'every unit'}"
    scene = "".join(f", in {name} {value}" for name, value in rule.scene.items())
    segment = "".join(f", for users of {name} {value}" for name, value in rule.segment.items())
    return told + (scene or ", in every scene") + (segment or ", for all users")


def decided(report: Report) -> tuple[str, str]:
    """What was decided, and when and why."""
    version = report.version
    if version.history:
        last = version.history[-1]
        return last["decision"].capitalize(), f"on {last['at'][:10]}: {last['reason']}."
    word = "promote" if report.decision.promote else "refuse"
    return "Not decided yet", f"; the gates would {word} it: {report.decision.reason}."


def _percent(share: float) -> str:
    return f"{share * 100:.0f}\u00a0%"


def _listed(parts: list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _of(cell: Cell, part: str) -> str:
    return f"{getattr(cell, part).replace('|', ' · ')} ({cell.learned:.2f})"


def figure(value: float | None, digits: int = 4) -> str:
    """A number, or that there is none; with a minus sign that is as wide as a plus sign."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 4) -> str:
    """A difference."""
    if not round(value, digits):
        return f"{0:.{digits}f}"
    return f"{value:+.{digits}f}".replace("-", "−")


def difference(found: Difference) -> str:
    """A difference with its interval."""
    return f"{signed(found.mean)} [{signed(found.low)}, {signed(found.high)}]"
