"""What a policy costs and what it spares: one fit of EXIT a seed, governed in several ways.

Which units never transfer is the planted truth. Here it is what a policy's author knows; no model
is told.
"""

from collections.abc import Iterator, Mapping

from exit_pipeline.experiments.networks import Scoring
from exit_pipeline.experiments.report import percent
from exit_pipeline.experiments.results import Reference, Results
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.specs import WorldSpec
from exit_pipeline.experiments.studies import common
from exit_pipeline.experiments.study import Study
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.simulator.world import CATEGORIES

FREE, REFERENCE = "exit, no policy", "target_only"
REASON = "the study asks what it costs"


def _policies(world: WorldSpec) -> Mapping[str, tuple[RuleSpec, ...]]:
    never = CATEGORIES[: world.config.never]
    return {
        FREE: (),
        "units that never transfer forbidden": tuple(
            RuleSpec(unit=unit, forbid=True, reason=REASON) for unit in never
        ),
        "search capped at 0.1": (RuleSpec(source="search", cap=0.1, reason=REASON),),
        "search forbidden": (RuleSpec(source="search", forbid=True, reason=REASON),),
        "everything forbidden": (RuleSpec(forbid=True, reason=REASON),),
    }


def _entries(quick: bool) -> Iterator[Entry]:
    rows = common.thin(quick)
    for world in common.worlds(quick):
        yield from common.entries(world, REFERENCE, quick, seeds=2, rows=rows)
        for label, rules in _policies(world).items():
            scoring = Scoring(rules)
            yield from common.entries(
                world, common.EXIT, quick, label=label, seeds=2, rows=rows, scoring=scoring
            )


def _costs(results: Results) -> str:
    """A sentence: what each policy changes in the A/B test against none."""
    said = []
    for world, x in results.places():
        free = results.find(world, x, FREE)
        if free is None:
            said.append(f"{world}: {FREE!r} was not run, so nothing is said of costs")
            continue
        found = [
            f"{g.label}: clicks {percent(g.earns(free, 'ctr'))}, "
            f"orders {percent(g.earns(free, 'ctcvr'))}, "
            f"negative feedback {percent(g.earns(free, 'negative'))}"
            for g in results.at(world, x)
            if g.label not in (FREE, REFERENCE)
        ]
        said.append(f"{world}, against {FREE}: {'; '.join(found)}")
    return ". ".join(said) + "."


POLICY = Study(
    question="What a policy costs and spares, with 8 % of the rows",
    entries=lambda quick: list(_entries(quick)),
    reference=Reference((REFERENCE,)),
    sentence=_costs,
    columns=("seeds", "CTCVR", "Δ CTCVR", "Δ CTR", "negative", "Δ negative", "AUC", "Δ AUC",
             "Δ expected AUC", "p/e", "p/e, nothing transfers", "p/e, much transfers",
             "p/e, never units"),
)  # fmt: skip
