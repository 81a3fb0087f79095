"""How commands print what a policy did: to a ranking, and to the evaluation part."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from exit_pipeline.cli.output import console


def print_rulings(items: list[Any]) -> None:
    """Prints each rule that acted on a ranking, on which source, and for which items."""
    acted: dict[Any, list[str]] = {}
    for item in items:
        for ruling in item.policy:
            acted.setdefault(ruling, []).append(f"#{item.rank}")
    for one in sorted(acted, key=lambda ruling: (ruling.rule, ruling.source)):
        ranks = ", ".join(acted[one])
        console.print(f"{one.rule}: {one.source} {one.effect} ({one.reason}) for {ranks}")


def print_cost(cost: Any) -> None:
    """Prints what the profile's policy costs on the evaluation part."""
    console.print(f"the policy governs {cost.governed:,} of {cost.rows:,} exposures; it is no gate")
    table = Table("", "outcomes expected per exposure", "AUC", "logloss")
    for name, figures in (("without policy", cost.without), ("with policy", cost.under)):
        values = (figures[key] for key in ("expected", "auc", "logloss"))
        table.add_row(name, *("n/a" if v is None else f"{v:.4f}" for v in values))
    console.print(table)
    rules = Table("rule", "effect", "exposures", "outcomes expected without", "with", "reason")
    for rule in cost.rules:
        expected = (f"{value:,.1f}" for value in (rule.expected_without, rule.expected_with))
        rules.add_row(rule.rule, rule.effect, f"{rule.rows:,}", *expected, rule.reason)
    console.print(rules)
