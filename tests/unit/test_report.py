"""The report's figures on literal rows, and its page on literal figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from exit_pipeline.evaluation import Decision, Evaluation, GateResult, PolicyCost
from exit_pipeline.evaluation.governed import RuleCost
from exit_pipeline.evaluation.metrics import logloss_rows, summary
from exit_pipeline.model import InputSpec
from exit_pipeline.profile.learning import GatesSpec
from exit_pipeline.profile.policy import RuleSpec
from exit_pipeline.ranking.policy import FREE, Governed
from exit_pipeline.registry.version import Version
from exit_pipeline.report.build import Report, _measured_against
from exit_pipeline.report.compare import compare, reliability
from exit_pipeline.report.heat_map import SIGNS, draw, letters, ruled_by, shortened, told_of
from exit_pipeline.report.page import preview, render_page
from exit_pipeline.report.svg import tag, ticks
from exit_pipeline.report.transfer import ALL, MIN_ROWS, gap, maps_of, wilson
from exit_pipeline.report.words import about, decided, governed, headline, of_source, signed

# Unit, cell, y_s, a, learned; how often. The last two rows have no support, or no interest.
ROWS = [
    ("tea", "home", 1, 1, 0.9, 15),
    ("tea", "home", 1, 0, 0.5, 5),
    ("tea", "work", 1, 0, 0.1, 20),
    ("<b>pills", "home", 1, 0, 0.6, 12),
    (None, "work", 1, 1, 1.0, 3),
    ("tea", "home", 0, 1, 0.0, 50),
]


def maps_under(*rules):
    """Maps of those rows for `search`; nobody shows interest in `shop`.

    Args:
        *rules: Of each entry of `ROWS`, which rule acts on `search`, and the limit it names.
    """
    times = [row[-1] for row in ROWS]
    unit, cell, shown, a, learned = (
        [value for row, n in zip(ROWS, times, strict=True) for value in [row[k]] * n]
        for k in range(5)
    )
    none = [0] * len(unit)
    rows = pa.table({"unit": unit, "cell": cell, "ys_search": shown, "consistent_search": a,
                     "ys_shop": none, "consistent_shop": none})  # fmt: skip
    scores = np.array([learned, none], float).T
    rule, limit = np.full(scores.shape, FREE), np.full(scores.shape, np.nan)
    if rules:
        rule[:, 0], limit[:, 0] = np.repeat(rules, times, axis=0).T
    with duckdb.connect() as connection:
        governed = Governed(limit, rule == FIXED, rule)
        return maps_of(connection, rows, scores, governed, ("search", "shop"))


@pytest.fixture
def maps():
    return maps_under()


# Rule 0 forbids, rule 1 caps, rule 2 fixes; rows 1 and 4 are free.
FIXED = 2
RULES = [(0, 0.0), (FREE, np.nan), (1, 0.3), (FIXED, 0.5), (FREE, np.nan), (0, 0.0)]


def test_wilson_by_hand():
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0.0, 12) == pytest.approx((0.0, 0.2425), abs=1e-4)
    assert wilson(1.0, 12) == pytest.approx((0.7575, 1.0), abs=1e-4)
    widths = {n: np.subtract(*reversed(wilson(0.5, n))) for n in (MIN_ROWS - 1, MIN_ROWS)}
    assert widths[MIN_ROWS] < 0.5 < widths[MIN_ROWS - 1]


def test_a_cell_is_the_mean_of_its_rows_with_source_interest(maps):
    cells = maps[0].cells
    home = cells["tea", "home"]
    assert (home.rows, home.label, home.learned) == (20, 0.75, pytest.approx(0.8))
    assert (home.low, home.high) == wilson(0.75, 20)
    assert cells["tea", ALL].learned == pytest.approx((15 * 0.9 + 5 * 0.5 + 20 * 0.1) / 40)
    assert cells[ALL, "home"].rows == 32
    assert cells[ALL, ALL].rows == maps[0].whole.rows == 55
    assert cells["unknown", "work"].rows == 3
    assert ("<b>pills", "work") not in cells
    # 12 of 12 rows have a = 0, whose interval ends at .24: .6 is outside of it.
    assert cells["<b>pills", "home"].apart
    assert not home.apart


def test_a_cell_says_what_the_policy_does_there():
    """Of rows with y_s = 1 alone: the 50 forbidden ones without interest count nowhere."""
    found = maps_under(*RULES)[0]
    cells = found.cells
    ruled = {(c.unit, c.place): (c.ruled, c.governed, list(c.rules)) for c in cells.values()}
    partly = "governed in part"
    assert ruled == {
        (ALL, ALL): (partly, 15 + 20 + 12, [0, 1, 2]),
        (ALL, "home"): (partly, 15 + 12, [0, 2]),
        (ALL, "work"): (partly, 20, [1]),
        ("tea", ALL): (partly, 35, [0, 1]),
        ("tea", "home"): (partly, 15, [0]),
        ("tea", "work"): ("capped", 20, [1]),
        ("<b>pills", ALL): ("fixed", 12, [2]),
        ("<b>pills", "home"): ("fixed", 12, [2]),
        ("unknown", ALL): ("", 0, []),
        ("unknown", "work"): ("", 0, []),
    }
    forbidden = maps_under(*[(0, 0.0)] * len(ROWS))[0].whole
    assert ruled_by(forbidden) == "forbidden by policy.0"
    assert ruled_by(cells["tea", "home"]) == "governed in part by policy.0, 15 of 20 rows"
    assert told_of(cells["tea", "work"]).endswith("20 rows; capped by policy.1")
    # Two rules on all of the rows, one way each: neither word would be true of the cell.
    both = maps_under(*[(0, 0.0)] * 2, *[(1, 0.3)] * 4)[0].whole
    assert (both.governed, both.ruled) == (both.rows, partly)


def test_the_map_has_a_sign_on_governed_cells_alone():
    def signs(found):
        return {kind: draw(found).count(f">{sign}</text>") for kind, sign in SIGNS.items()}

    assert sum(signs(maps_under()[0]).values()) == 0
    # All units, `tea` and `<b>pills`, each everywhere, at home and at work; thin cells too.
    assert signs(maps_under(*RULES)[0]) == {
        "forbidden": 0, "capped": 1, "fixed": 2, "governed in part": 5,
    }  # fmt: skip
    assert signs(maps_under(*[(0, 0.0)] * len(ROWS))[0])["forbidden"] == 8


def test_what_carries_most_comes_first_and_what_has_too_few_rows_is_left_out(maps):
    search, shop = maps
    assert search.units == ("<b>pills", "tea")
    assert search.places == ("home", "work")
    assert (search.all_units, search.all_places) == (3, 2)
    assert {(c.unit, c.place) for c in search.table} == {
        (ALL, ALL), (ALL, "home"), (ALL, "work"), ("<b>pills", ALL), ("<b>pills", "home"),
        ("tea", ALL), ("tea", "home"), ("tea", "work"),
    }  # fmt: skip
    assert (shop.units, shop.whole) == ((), None)


def test_the_gap_is_over_supported_cells_by_rows(maps):
    # |.8 − .75| over 20 rows, |.1 − 0| over 20, |.6 − 0| over 12.
    assert gap(maps) == (pytest.approx((20 * 0.05 + 20 * 0.1 + 12 * 0.6) / 52), 3)
    assert gap(maps[1:])[1] == 0


def evaluation(shift: float = 0.0, **masks: np.ndarray) -> Evaluation:
    """Scores of 4000 rows of 400 users; `shift` is added to the score of each positive."""
    rng = np.random.default_rng(0)
    y, user = (rng.random(4000) < 0.3).astype(float), rng.integers(400, size=4000)
    score = np.clip(rng.uniform(0.1, 0.5, 4000) + shift * y, 0.01, 0.99)
    by_slice = {n: summary(y[m], score[m], user[m]) for n, m in masks.items() if m.any()}
    return Evaluation(summary(y, score, user), by_slice, {}, {}, {}, {}, logloss_rows(y, score), score,
                      y, user, masks)  # fmt: skip


def halves() -> dict[str, np.ndarray]:
    at = np.arange(4000)
    few = {f"scene {n}": (at >= 30 * n) & (at < 30 * (n + 1)) for n in range(8)}
    return {"even": at % 2 == 0, "odd": at % 2 == 1, "none": at < 0, **few}


def test_slices_that_differ_are_marked_after_holm_and_small_scenes_are_counted():
    theirs = evaluation(**halves())
    ours = replace(theirs, loss=theirs.loss - 0.05 * halves()["even"])
    spec = GatesSpec(slice_min_positives=50, bootstrap_draws=200)
    found = compare(ours, theirs, "them", spec, seed=1)
    assert found.whole.mean == pytest.approx(-0.025)
    marks = {one.name: (one.verdict, one.supported) for one in found.slices}
    assert marks["even"] == ("better", True)
    assert marks["odd"] == ("", True)
    assert "none" not in marks
    assert (len(marks), found.left_out) == (2 + 6, 2)  # two halves, six of eight small scenes
    assert not any(one.supported for one in found.slices if one.name.startswith("scene"))
    worse = compare(theirs, ours, "them", spec, seed=1)
    assert {one.name: one.verdict for one in worse.slices}["even"] == "worse"
    # The tested intervals end at −.05, and nowhere beyond.
    assert found.reach in (0.05, 0.06)


def test_bins_hold_equal_numbers_of_rows_in_the_order_of_scores():
    bins = reliability(evaluation())
    assert sum(one.rows for one in bins) == 4000
    assert max(one.rows for one in bins) - min(one.rows for one in bins) <= 1
    assert [one.predicted for one in bins] == sorted(one.predicted for one in bins)


class Page(HTMLParser):
    """Reads a page: what it would fetch, and whether its elements are closed in order."""

    # Elements without an end tag, and those whose end tag may be left out.
    OPEN = frozenset(("meta", "br", "hr", "link", "img", "input"))
    OPTIONAL = frozenset(("p", "li", "tr", "th", "td", "dt", "dd", "thead", "tbody"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.outside: list[str] = []
        self.text = ""
        self.scripts = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.outside += [value for key, value in attributes
                         if key in ("src", "href", "xlink:href", "srcset", "action", "data")]  # fmt: skip
        self.scripts += name == "script"
        if name not in self.OPEN | self.OPTIONAL:
            self.stack.append(name)

    def handle_startendtag(self, name, attributes):
        pass

    def handle_endtag(self, name):
        if name not in self.OPTIONAL:
            assert self.stack.pop() == name, self.getpos()

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def report(maps, simulated):
    gates = GatesSpec(slice_min_positives=50, bootstrap_draws=200)
    scored = {"model": evaluation(0.1, **halves()), "baseline": evaluation(**halves()),
              "champion": evaluation(0.05, **halves())}  # fmt: skip
    epoch = {"number": 0, "train_loss": 0.6, "validation_logloss": 0.5, "alarm": False}
    lineage = {
        "split": {part: ["2026-01-05", "2026-01-06"] for part in ("train", "validation",
                                                                  "calibration", "evaluation")},
        "tables": {"training_set": 3}, "training_set_hash": "5e7", "sha256": {"model": "a1", "baseline": "b2"},
        "code": "0.1.0+c0de", "profile": "simulated", "profile_hash": "f00d", "seed": 7, "threads": 1, "workers": 1,
        "device": "cpu", "packages": {"torch": "2.13"},
    }  # fmt: skip
    refusal = {"decision": "refused", "reason": "refused by calibrated: <i>ECE 0.03",
               "at": "2026-02-02T05:01:00+00:00"}  # fmt: skip
    version = Version(
        2, ["challenger"], {}, [refusal], "", datetime(2026, 2, 2, tzinfo=UTC), lineage
    )
    return Report(
        version=version,
        spec=simulated.spec,
        decision=Decision(False, "refused by calibrated", [GateResult("calibrated", False, "0.03", "≤ 0.02")]),
        champion=replace(version, version=1),
        scored=scored,
        maps=maps,
        cost=None,
        comparisons=[compare(scored["model"], scored[r], r, gates, 1) for r in ("baseline", "champion")],
        history={"this version": [{**epoch, "transfer": 0.9}], "target-only": [{**epoch, "transfer": None}]},
        inputs=InputSpec(("user_id", "item_id"), ("price",), {"search": ("search_count",), "shop": ()}),
    )  # fmt: skip


def test_the_page_is_whole_by_itself_and_says_what_was_decided(report):
    text = render_page(report)
    page = Page(text)
    assert page.stack == []
    assert page.outside == []
    assert page.scripts == 0
    assert "http" not in text
    assert "url(" not in text
    assert "<b>pills" not in text  # a unit's name is text, wherever it stands
    assert "<i>ECE" not in text
    assert "champion (version 1)" in page.text
    for section in ("What transfers where", "Policy", "Calibration", "Slices", "Gates", "Learning curves",
                    "What the model reads", "What it was made from", "Words"):  # fmt: skip
        assert f">{section}</h" in text
    assert text.count('role="img" aria-label="failed"') == 1
    assert render_page(report) == text


@pytest.fixture
def ruled(report):
    """The report of a profile with two rules."""
    rules = (
        RuleSpec(unit="tea", forbid=True, reason="<i>nobody's</i> business"),
        RuleSpec(source="search", unit="<b>pills", scene={"place": "home", "day_kind": "weekend"},
                 segment={"age_band": "18-24"}, cap=0.3, reason="agreed"),
    )  # fmt: skip
    free, under = (report.scored[role].metrics for role in ("baseline", "champion"))
    costs = [
        RuleCost("policy.0", rules[0].effect, rules[0].reason, 1200, 130.25, 118.0),
        RuleCost("policy.1", rules[1].effect, rules[1].reason, 7, 1.0, 1.25),
    ]
    cost = PolicyCost(4000, 1207, {"expected": 0.3, **free}, {"expected": 0.297, **under}, costs)
    spec = report.spec.model_copy(update={"policy": rules})
    return replace(report, spec=spec, cost=cost, maps=maps_under(*RULES))


def test_the_page_says_what_each_rule_is_about_and_what_it_does(ruled):
    text = render_page(ruled)
    page = Page(text)
    assert page.stack == page.outside == []
    assert "<i>nobody" not in text
    for told in (
        "policy.0: forbidden", "from every source to tea, in every scene, for all users",
        "«<i>nobody's</i> business»", "policy.1: capped at 0.3",
        "from search to <b>pills, in place home, in day_kind weekend, for users of age_band 18-24",
        "1,200130.2 → 118.0−12.2", "71.0 → 1.2+0.2", "outcomes expected per exposure0.30000.2970",
        "capped by policy.1", "governed in part by policy.0, 15 of 20 rows",
    ):  # fmt: skip
        assert told in page.text, told
    for kind, sign in SIGNS.items():
        assert f"<b>{sign}</b><span>{kind}</span>" in text
    assert governed(ruled) == (
        "2 rules act on 1,207 of 4,000 exposures. The model expects 1,188.0 outcomes of all of "
        "them, 1,200.0 without the policy."
    )
    assert governed(ruled) in preview(ruled)


def test_without_a_policy_it_says_that_transfer_is_free(report):
    text = render_page(report)
    assert governed(report) == "Transfer is free: the profile has no policy."
    assert governed(report) in Page(text).text
    assert "policy.0" not in text
    assert 'class="sign' not in text
    assert about(RuleSpec(forbid=True, reason="a test")).startswith(
        "from every source to every unit"
    )


def test_words(report):
    # .6 of 12 rows, .8 and .1 of 20 each, 1 of 3: .515 of 55.
    # 18 of 55 rows have a = 1.
    assert headline(report) == (
        "The model lets 51\u00a0% of search interest carry over to feed; its labels say 33\u00a0%"
    )
    assert headline(replace(report, maps=[])).startswith("Too little is known")
    assert of_source(report.maps[0]) == (
        "most to <b>pills (0.60), least to tea (0.45); most in home (0.73), least in work (0.22)"
    )
    assert of_source(report.maps[1]) == "seen before 0 exposures, too few to say what transfers"
    assert decided(report) == ("Refused", "on 2026-02-02: refused by calibrated: <i>ECE 0.03.")
    undecided = replace(report, version=replace(report.version, history=[]))
    assert decided(undecided)[1] == "; the gates would refuse it: refused by calibrated."
    assert "| search | tea | 40 | 0.45 | 0.38 |" in preview(report)
    assert (signed(-0.0012), signed(0.5), signed(-0.00001)) == ("−0.0012", "+0.5000", "0.0000")


def test_a_version_is_measured_against_the_champion_of_the_day_it_was_decided(report):
    """Version 1, then 3, then 1 again were champion; 2 was refused in between."""

    class Registry:
        def moves(self):
            moves = [(1, "02-01"), (3, "02-03"), (1, "02-04")]
            return [{"version": v, "at": f"2026-{day}T00:00:00+00:00"} for v, day in moves]

        def get(self, which):
            return which

    def rival(number, *decided):
        history = [{"at": f"2026-{day}T00:00:00+00:00"} for day in decided]
        return _measured_against(
            Registry(), replace(report.version, version=number, history=history)
        )

    assert rival(1, "02-01")[0] is None
    assert rival(2, "02-02") == (1, datetime(2026, 2, 2, tzinfo=UTC))
    assert rival(3, "02-03") == (1, datetime(2026, 2, 3, tzinfo=UTC))
    assert rival(4, "02-03")[0] == 3
    assert rival(4)[0] == 1


def test_ticks_names_and_elements():
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(0.2498, 0.2651) == [0.25, 0.255, 0.26, 0.265]
    alike = [shortened(f"FRZN SS PREMIUM ENTREES/DNRS/{end}") for end in "NT"]
    assert alike == ["FRZN SS PREM…NRS/N", "FRZN SS PREM…NRS/T"]
    assert max(map(letters, alike)) <= 23
    assert shortened("cookware") == "cookware"
    assert tag("text", "a < b", x=1.26, class_="n") == '<text x="1.3" class="n">a &lt; b</text>'
