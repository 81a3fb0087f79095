"""Governed transfer (ours): what the rules of a profile's policy say of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from exit_pipeline.errors import ModelFileError, ProfileError, UsageError
from exit_pipeline.model.exit import Exit
from exit_pipeline.profile.policy import RuleSpec, unknown
from exit_pipeline.training.artifact import TrainedModel

FREE = -1


@dataclass(frozen=True)
class Governed:
    """What a policy says of n rows and K sources.

    Args:
        limit: float64[n, K], the p_transfer that is named; NaN where the source is free, and 0
            where it is forbidden.
        fixed: bool[n, K], whether `limit` is the value itself rather than the most.
        rule: int64[n, K], index of the rule that acts, −1 where none.
    """

    limit: np.ndarray
    fixed: np.ndarray
    rule: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """int64[m], the rows that some rule acts on."""
        return np.flatnonzero((self.rule != FREE).any(1))

    @property
    def forbidden(self) -> np.ndarray:
        """bool[n, K]."""
        return self.limit == 0

    @property
    def effect(self) -> np.ndarray:
        """str[n, K]: `forbidden`, `fixed`, `capped`, or nothing where the source is free."""
        cases = [self.rule == FREE, self.forbidden, self.fixed]
        return np.select(cases, ["", "forbidden", "fixed"], "capped")

    @property
    def bounds(self) -> np.ndarray:
        """float32[n, K, 2]: `limit` as the least and the most z_tr, NaN where free."""
        least = np.where(self.fixed, self.limit, self.limit * 0)
        with np.errstate(divide="ignore"):  # a p of 0 or 1 is a logit without end
            p = np.stack([least, self.limit], axis=2)
            return (np.log(p) - np.log1p(-p)).astype(np.float32)

    def take(self, rows: slice | np.ndarray) -> Governed:
        """Returns some of the rows."""
        return Governed(self.limit[rows], self.fixed[rows], self.rule[rows])


@dataclass(frozen=True)
class Ruling:
    """A rule that acted on a source: its key in the profile, what it did, and why."""

    source: str
    rule: str
    effect: str
    reason: str


class Policy:
    """The rules, as far as a model can follow them.

    Args:
        rules: Of the profile, or made by hand.
        model: Whose rows are to be governed.

    Raises:
        UsageError: The model carries nothing explicitly, or never learned to do without a source.
        ProfileError: A rule names a source, a unit or a segment that the model does not know.
    """

    def __init__(self, rules: Sequence[RuleSpec], model: TrainedModel) -> None:
        self.rules, self.encoder = tuple(rules), model.encoder
        self.sources = model.encoder.spec.sources
        if self.rules:
            _check_governable(model)
        for number, rule in enumerate(self.rules):
            self._check_known(f"policy.{number}", rule)

    def __call__(self, rows: pa.Table | pa.RecordBatch) -> Governed:
        """Decides for n rows which rule acts on which source.

        A condition holds where its column has that value; where that is not known (null), for
        rules that can only lessen: a user without a segment may be of the forbidden one.
        Of several rules the strictest wins: the smallest limit (forbidden is 0), of equal ones a
        cap before a fixed value, then the one that stands first.

        Raises:
            ModelFileError: The rows lack a column that a rule names.
        """
        found = self.free(rows.num_rows)
        strictest = sorted(enumerate(self.rules), key=lambda r: (r[1].limit, r[1].fix is not None))
        for number, rule in strictest:
            holds = self._holds(rule, rows)[:, None] & self._concerns(rule)
            new = holds & (found.rule == FREE)
            found.limit[new], found.rule[new] = rule.limit, number
            found.fixed[new] = rule.fix is not None
        return found

    def free(self, n: int) -> Governed:
        """Returns n rows that no rule acts on."""
        shape = n, len(self.sources)
        return Governed(np.full(shape, np.nan), np.zeros(shape, bool), np.full(shape, FREE))

    def rulings(self, rule: Sequence[int]) -> list[Ruling]:
        """Names the rules that acted on one row, in the order of its K sources."""
        if not self.rules:
            return []
        return [
            Ruling(source, f"policy.{n}", self.rules[n].effect, self.rules[n].reason)
            for source, n in zip(self.sources, rule, strict=True)
            if n != FREE
        ]

    def _conditions(self, rule: RuleSpec) -> dict[str, str]:
        unit = {} if rule.unit is None else {self.encoder.unit: rule.unit}
        return {**unit, **rule.scene, **rule.segment}

    def _concerns(self, rule: RuleSpec) -> np.ndarray:
        return np.array([rule.source in (None, source) for source in self.sources])

    def _holds(self, rule: RuleSpec, rows: pa.Table | pa.RecordBatch) -> np.ndarray:
        holds = np.ones(rows.num_rows, bool)
        for name, value in self._conditions(rule).items():
            if name not in rows.schema.names:
                raise ModelFileError(
                    f"a rule of the policy asks for {name}, a column that the rows do not have",
                    where=f"{name}: {value}",
                    mend="bring the column back, or take the rule out",
                )
            equal = pc.equal(rows.column(name).cast(pa.string()), value)
            holds &= np.asarray(pc.fill_null(equal, rule.restricts))
        return holds

    def _check_known(self, key: str, rule: RuleSpec) -> None:
        """Refuses names that data alone knows, where the model's training rows had none such."""
        words = self.encoder.vocabularies
        _check_name(f"{key}.source", "source", rule.source, self.sources)
        _check_name(f"{key}.unit", "interest unit", rule.unit, words[self.encoder.unit])
        for name, value in rule.segment.items():
            _check_name(f"{key}.segment.{name}", f"value of {name}", value, words.get(name, ()))


def conditions(rules: Sequence[RuleSpec]) -> list[str]:
    """Returns the columns that rules name, beside the interest unit's."""
    return [name for rule in rules for name in (*rule.scene, *rule.segment)]


def refusal(rules: Sequence[RuleSpec], model: TrainedModel) -> str:
    """Says why rules cannot govern a model; nothing where they can."""
    try:
        Policy(rules, model)
    except (ProfileError, UsageError) as error:
        return error.what
    return ""


def _check_name(key: str, kind: str, name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise ProfileError(
            f"{key}: {unknown(kind, name, known)}",
            where="what the model's training rows held",
            mend="mend the name in the profile's policy, or take the rule out",
        )


def _check_governable(model: TrainedModel) -> None:
    if not isinstance(model.module, Exit):
        raise UsageError(
            f"{model.name!r} carries nothing explicitly, so no policy can govern it",
            where="the policy",
            mend="score it without a policy, or govern an EXIT model",
        )
    if model.spec.source_dropout == 0:
        raise UsageError(
            "the model never learned what to say of a row whose source is hidden",
            where="model.source_dropout: 0",
            mend="train with a source_dropout above 0 (default 0.02)",
        )
