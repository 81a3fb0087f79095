"""What a suite found in a table: rule by rule, as a table, and as an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from exit_pipeline.errors import ValidationError


@dataclass(frozen=True)
class Outcome:
    """What one rule found."""

    rule: str
    column: str
    passed: bool
    observed: str
    unexpected: int
    examples: list[str]


@dataclass(frozen=True)
class ValidationReport:
    """What a suite found in one table.

    Args:
        table: Its name.
        rows: How many were looked at.
        outcomes: One a rule.
        docs: The page of Data Docs.
        undocumented: Why there is no such page, where writing it failed.
        failed: The days that broke a rule; empty where days were not told apart.
    """

    table: str
    rows: int
    outcomes: list[Outcome]
    docs: str
    undocumented: str = ""
    failed: Sequence[date] = ()

    @property
    def passed(self) -> bool:
        """Whether every rule holds."""
        return all(outcome.passed for outcome in self.outcomes)

    def markdown(self) -> str:
        """The outcomes as a table, what failed first."""
        lines = ["| rule | passed | observed | broken | examples |", "|---|---|---|---|---|"]
        for o in sorted(self.outcomes, key=lambda o: o.passed):
            examples = ", ".join(f"`{e}`" for e in o.examples)
            mark = "yes" if o.passed else "**no**"
            lines.append(f"| {o.rule} | {mark} | {o.observed} | {o.unexpected} | {examples} |")
        return "\n".join(lines)

    def raise_for_status(self) -> None:
        """Raises ValidationError if a rule is broken; names all of them."""
        broken = [o for o in self.outcomes if not o.passed]
        if broken:
            said = "; ".join(f"{o.rule}: {o.unexpected} rows, such as {o.examples}" for o in broken)
            raise ValidationError(said, where=self.table, mend="mend the data that came in")
