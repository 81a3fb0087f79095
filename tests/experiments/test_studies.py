"""Studies, from entries to report."""

from __future__ import annotations

import json
import math
import time
from unittest.mock import Mock

import pytest

from exit_pipeline.cli.experiments import NAMES
from exit_pipeline.errors import TrainingError, UsageError
from exit_pipeline.experiments import study as module
from exit_pipeline.experiments import tuning
from exit_pipeline.experiments.arena import fit_entry
from exit_pipeline.experiments.bootstrap import Interval
from exit_pipeline.experiments.oracle import ORACLE
from exit_pipeline.experiments.overrides import overridden
from exit_pipeline.experiments.page import write_page
from exit_pipeline.experiments.parallel import each
from exit_pipeline.experiments.results import Reference
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.spaces import SPACES, OneOf
from exit_pipeline.experiments.specs import RowsSpec, WorldSpec
from exit_pipeline.experiments.studies import EXPERIMENTS, STUDIES, common
from exit_pipeline.experiments.study import Part, Study, fairly, run_study
from exit_pipeline.experiments.trees import TreeSpec
from exit_pipeline.experiments.tuned import FILE
from exit_pipeline.experiments.tuning import Tuning, tune
from exit_pipeline.profile.learning import ModelSpec, TrainingSpec

# Within twenty on an idle core; a core that others share makes CPU seconds up to three times dearer.
CPU_SECONDS = 80
# Quick forms of which the rest, which make worlds of their own, are longer.
BRIEF = ("baselines", "ablation", "lambdas", "abtest", "seeds")
FILES = {"table.md", "result.json", "plot.svg", "sentence.txt"}


def test_the_command_names_the_studies_that_there_are():
    assert set(EXPERIMENTS) == set(NAMES)


@pytest.mark.parametrize(
    "name",
    [name if name in BRIEF else pytest.param(name, marks=pytest.mark.slow) for name in STUDIES],
)
def test_a_quick_study_is_quick(world, arena, name):
    started = time.process_time()
    found = run_study(name, STUDIES[name], arena, quick=True)
    assert time.process_time() - started < CPU_SECONDS
    folder = arena.home / "experiments" / "studies" / f"{name}-quick"
    assert {file.name for file in folder.iterdir()} == FILES
    document = json.loads((folder / "result.json").read_text())
    assert document["sentence"] == found["sentence"] != ""
    labels = [group["label"] for group in document["groups"]]
    table = (folder / "table.md").read_text()
    assert labels
    assert all(f"| {label}" in table for label in labels)


def test_an_interrupted_study_goes_on_where_it_was(world, arena, monkeypatch):
    fitted, fit = [], module.fit_entry
    fail = {"popularity at half": TrainingError("the power went out")}

    def watched(entry, settings):
        if entry.label in fail:
            raise fail[entry.label]
        run = fit(entry, settings)
        fitted.append(run.folder.stat().st_mtime_ns)
        return run

    monkeypatch.setattr(module, "fit_entry", watched)
    study = Study(
        question="Does it go on?",
        entries=lambda quick: [
            Entry("popularity at half", "popularity", world.spec, rows=RowsSpec(0.5)),
            Entry("popularity", "popularity", world.spec, rows=RowsSpec(0.9)),
        ],
        reference=Reference(("popularity",)),
        sentence=lambda results: "It does.",
    )
    with pytest.raises(TrainingError, match="the power went out"):
        run_study("interrupted", study, arena, quick=True)
    assert len(fitted) == 1  # the other entry was fitted all the same
    fail.clear()
    run_study("interrupted", study, arena, quick=True)
    assert fitted[0] in fitted[1:]  # and was not fitted again


def test_all_are_tuned_or_nobody_is(monkeypatch):
    held = {"A": {"exit": {"settings": {"model.bins": 24}}, "trees": {"settings": {}}}}
    monkeypatch.setattr("exit_pipeline.experiments.tuned.read_tuned", lambda: held)
    both = [Entry(n, n, WorldSpec(w)) for w in ("A", "complete_journey") for n in ("exit", "trees")]
    assert [entry.tuned for entry in fairly(both)] == [True, True, False, False]
    third = Entry("star", "star", WorldSpec("A"))
    assert not any(entry.tuned for entry in fairly([*both, third]))
    oracle = Entry("planted chance", ORACLE, WorldSpec("A"))  # has nothing to tune
    assert fairly([*both, oracle])[0].tuned


def test_who_is_better_is_told_after_holm_and_by_more_than_seeds_differ(monkeypatch):
    class Told:
        """A group of which only what the sentence asks for is known."""

        def __init__(self, label, mean, p, spread, seeds=2):
            self.label, self.runs, self.found = label, [None] * seeds, Interval(mean, 0, 0, p)
            self.spread = lambda name: spread

        def sharpest(self, rival):
            return self.found

    def say(*groups):
        results = Mock(places=lambda: [("A", "")], at=lambda w, x: groups,
                       reference=lambda g: g[0])  # fmt: skip
        return common.differing(results)

    base = Told("exit", 0, 1, 0.0007)
    sure, noise, chance = (
        Told("sure", 0.01, 0.001, 0.0001), Told("noise", 0.0005, 0.001, 0.0001),
        Told("chance", 0.01, 0.03, 0.0001),
    )  # fmt: skip
    said = say(base, sure, noise, chance, Told("another", 0.01, 0.03, 0.0001))
    assert said == "A: against exit, surely better in AUC: sure; surely worse: none."
    alone = say(Told("exit", 0, 1, math.nan, 1), Told("worse", -0.01, 0.001, math.nan, 1))
    assert (
        alone == "A: against exit, with one seed better in AUC: none; with one seed worse: worse."
    )


def test_a_shorter_form_has_fewer_seeds(world, arena):
    study = Study(
        question="Are fewer enough?",
        entries=lambda quick: [
            Entry("popularity", "popularity", world.spec, seed=seed) for seed in range(5)
        ],
        reference=Reference(("popularity",)),
        sentence=lambda results: "They are.",
    )
    found = run_study("shorter", study, arena, quick=True, part=Part(2))
    assert found["groups"][0]["seeds"] == [0, 1]


def test_a_part_has_a_report_of_its_own(world, arena):
    run_study("abtest", STUDIES["abtest"], arena, quick=True)
    studies = arena.home / "experiments" / "studies"
    whole = (studies / "abtest-quick" / "result.json").read_bytes()
    part = Part(labels=("target_only", "popularity"))
    found = run_study("abtest", STUDIES["abtest"], arena, quick=True, part=part)
    assert found["out"] == str(studies / "abtest-quick-only-target-only-only-popularity")
    assert (studies / "abtest-quick" / "result.json").read_bytes() == whole


def test_the_name_of_a_part_can_be_read_and_fits_a_file_system():
    assert Part().slug == ""
    assert Part(1, ("A",), ("8 %",)).slug == "-seeds-1-world-a-at-8"
    long = [Part(labels=(*"abcdefghij" * 5, last)).slug for last in "xy"]
    assert long[0] != long[1]
    assert max(map(len, long)) < 60


@pytest.mark.parametrize(
    ("part", "where", "hint"),
    [
        (Part(labels=("exit", "tree")), "--only tree", "one of exit"),
        (Part(worlds=("C",)), "--world C", "one of A"),
        (Part(places=("8%",)), "--at 8%", "one of "),
    ],
)
def test_a_part_that_there_is_not_is_refused(arena, part, where, hint):
    with pytest.raises(UsageError, match="no such part") as error:
        run_study("abtest", STUDIES["abtest"], arena, quick=True, part=part)
    assert error.value.where == where
    assert error.value.mend.startswith(hint)


def test_a_part_that_nobody_can_be_compared_in_is_refused_before_anything_is_fitted(arena):
    part = Part(labels=("search forbidden",))
    with pytest.raises(UsageError, match="nobody to compare with") as error:
        run_study("policy", STUDIES["policy"], arena, quick=True, part=part)
    assert error.value.mend == "add --only target_only"


def test_costs_of_a_policy_are_not_told_without_what_they_are_costs_against(world, arena):
    part = Part(labels=("search forbidden", "target_only"))
    found = run_study("policy", STUDIES["policy"], arena, quick=True, part=part)
    assert found["sentence"] == "A: 'exit, no policy' was not run, so nothing is said of costs."


def test_the_same_results_give_the_same_files(world, arena):
    folder = arena.home / "experiments" / "studies" / "abtest-quick"
    run_study("abtest", STUDIES["abtest"], arena, quick=True)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    run_study("abtest", STUDIES["abtest"], arena, quick=True)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_tuning_begins_with_the_settings_that_are_and_goes_on_where_it_was(world, arena):
    two = tune(Tuning("trees", world.spec, trials=2), arena)
    four = tune(Tuning("trees", world.spec, trials=4), arena)
    assert two["trials"][0]["settings"] == {}
    assert four["trials"][:2] == two["trials"]
    assert four["logloss"] == min(trial["logloss"] for trial in four["trials"])
    assert set(four["trials"][3]["settings"]) == set(SPACES["trees"])
    drawn = [json.dumps(trial["settings"]) for trial in four["trials"]]
    assert len(set(drawn)) == 4


def test_a_trial_that_diverges_is_one_of_the_budget(world, arena, monkeypatch):
    def failing(entry, settings):
        if entry.settings:
            raise TrainingError("the loss is not finite")
        return {"logloss": 0.3}

    monkeypatch.setattr(tuning, "validate", failing)
    found = tune(Tuning("minet", world.spec, trials=3), arena)
    assert found["trials"] == [{"settings": {}, "logloss": 0.3}]
    assert tune(Tuning("minet", world.spec, trials=3), arena) == found  # they are not drawn again


def test_quick_tuning_leaves_the_record_alone(world, arena):
    before = FILE.read_bytes() if FILE.exists() else None
    found = EXPERIMENTS["tuning"](arena, quick=True)
    assert found["tuned"]["A"]["trees"]["trials"]
    assert (FILE.read_bytes() if FILE.exists() else None) == before


@pytest.mark.parametrize("name", STUDIES)
def test_every_setting_of_a_full_study_is_one_that_there_is(simulated, name):
    entries, sections = STUDIES[name].entries(False), _sections()
    for key, value in {pair for entry in entries for pair in entry.settings.items()}:
        section, _, rest = key.partition(".")
        assert section in sections
        overridden(sections[section], {rest: value})
    for changes in {json.dumps(entry.world.profile) for entry in entries}:
        overridden(simulated.spec, json.loads(changes))


def _sections():
    return {"model": ModelSpec(), "training": TrainingSpec(), "trees": TreeSpec()}


@pytest.mark.parametrize("name", STUDIES)
def test_a_secondary_study_has_few_rows_and_says_so(name):
    thin = name not in ("baselines", "ablation", "data", "abtest")
    assert ("with 8 % of the rows" in STUDIES[name].question) == thin
    if thin:
        assert {entry.rows.share for entry in STUDIES[name].entries(False)} == {0.08}
        assert {entry.rows.share for entry in STUDIES[name].entries(True)} == {1.0}


@pytest.mark.parametrize("model", SPACES)
def test_every_setting_that_tuning_changes_is_one_that_there_is(model):
    sections = _sections()
    for key, part in SPACES[model].items():
        section, _, rest = key.partition(".")
        for value in part.values if isinstance(part, OneOf) else (part.low, part.high):
            overridden(sections[section], {rest: value})


def test_in_parallel_what_fails_does_not_take_the_others_with_it(world, arena):
    jobs = [
        Entry("one", "popularity", world.spec, rows=RowsSpec(0.3)),
        Entry("wrong", "popularity", world.spec, {"trees.roundz": 1}),
        Entry("two", "popularity", world.spec, rows=RowsSpec(0.4)),
    ]
    found = dict(each(fit_entry, jobs, arena.model_copy(update={"threads": 2})))
    assert isinstance(found[1], UsageError)
    assert found[0].figures["evaluation"]["all"]["rows"] == world.evaluation.num_rows
    assert found[2].folder != found[0].folder


def test_the_page_of_results_keeps_its_words_and_renews_the_tables(tmp_path):
    report = tmp_path / "studies" / "data"
    report.mkdir(parents=True)
    for name, text in {
        "result.json": "{}",
        "plot.svg": "<svg/>",
        "table.md": "# Who?\n\nold",
    }.items():
        (report / name).write_text(text)
    docs = tmp_path / "docs"
    docs.mkdir()
    assert write_page(tmp_path / "studies", docs) == ["data"]
    page = docs / "results.md"
    assert "## `data`: Who?\n\nold" in page.read_text()
    page.write_text(page.read_text().replace("# Results", "# Results\n\nWords of ours."))
    (report / "table.md").write_text("# Who?\n\nnew")
    write_page(tmp_path / "studies", docs)
    assert "Words of ours." in page.read_text()
    assert "old" not in page.read_text().split("## `")[1]
    assert (docs / "results" / "data.svg").read_text() == "<svg/>"
    (report / "plot.svg").unlink()
    report.rename(tmp_path / "studies" / "loop")
    assert write_page(tmp_path / "studies", docs) == ["loop"]
    assert "## `loop`: Who?" in page.read_text()


def test_the_page_has_parts_behind_their_study_and_nothing_quick(tmp_path):
    folders = ["data-world-a", "data-at-8", "abtest", "data", "data-quick", "data-quick-seeds-1"]
    for name in folders:
        folder = tmp_path / "studies" / name
        folder.mkdir(parents=True)
        for file in ("result.json", "plot.svg", "table.md"):
            (folder / file).write_text(f"# Who?\n\n`the command of {name}`\n")
    expected = ["data", "data-at-8", "data-world-a", "abtest"]
    assert write_page(tmp_path / "studies", tmp_path / "docs") == expected
    page = (tmp_path / "docs" / "results.md").read_text()
    places = [page.index(f"`the command of {name}`") for name in expected]
    assert places == sorted(places)
    assert page.count("## `data`: Who?") == 3
    assert "![data-at-8](results/data-at-8.svg)" in page
    assert (tmp_path / "docs" / "results" / "data-at-8.svg").exists()
