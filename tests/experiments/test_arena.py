"""Worlds, contenders, and runs that are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from exit_pipeline.errors import TrainingError, UsageError
from exit_pipeline.experiments import arena as module
from exit_pipeline.experiments import making
from exit_pipeline.experiments.arena import fit_entry
from exit_pipeline.experiments.contenders import CONTENDERS
from exit_pipeline.experiments.making import prepare
from exit_pipeline.experiments.measures import rows_of
from exit_pipeline.experiments.networks import Scoring
from exit_pipeline.experiments.oracle import ORACLE, Oracle
from exit_pipeline.experiments.results import Reference, gather, significant
from exit_pipeline.experiments.runs import Entry
from exit_pipeline.experiments.specs import HeldOut, RowsSpec, WorldSpec
from exit_pipeline.experiments.studies import common
from exit_pipeline.profile.policy import RuleSpec

QUICK = {"training.epochs": 1, "training.batch_size": 512, "trees.rounds": 30}


def ids(files):
    return set().union(
        *(pq.read_table(f, columns=["event_id"])["event_id"].to_pylist() for f in files)
    )


def test_a_smaller_share_is_part_of_a_larger_one(world):
    few, more, whole = (ids(world.rows(RowsSpec(share))["train"]) for share in (0.1, 0.4, 1.0))
    assert few < more < whole
    assert len(few) / len(whole) == pytest.approx(0.1, abs=0.02)


def test_rows_held_out_come_back_in_the_last_days(world):
    rows = pq.read_table(world.rows(RowsSpec(held_out=HeldOut("place", "out", days=1)))["train"][0])
    days = {
        place: set(
            rows.filter(np.asarray(rows["place"]) == place)["event_timestamp"]
            .cast("date32")
            .to_pylist()
        )
        for place in ("out", "home")
    }
    assert days["out"] == {world.training[1]}
    assert len(days["home"]) == 3


def test_a_world_that_stands_is_used(world, monkeypatch):
    monkeypatch.setattr("exit_pipeline.experiments.making.build_tables", None)
    assert prepare(world.spec, world.settings).digest == world.digest


def test_a_world_of_another_default_is_made_again(world):
    profile = world.profile
    labels = profile.spec.labels.model_copy(update={"interest_hours": 1})
    changed = profile.spec.model_copy(update={"labels": labels})
    assert making._made_by(replace(profile, spec=changed)) != making._made_by(profile)


def test_a_run_is_known_by_what_it_reads(world):
    entry = Entry("trees", "trees", world.spec)
    task = module._task(entry, world)
    fewer = replace(task, inputs=task.inputs.without(["user_rate"]))
    keys = {
        module._key(entry, w, t)
        for w, t in ((world, task), (world, fewer), (replace(world, digest="other"), task))
    }
    assert len(keys) == 3


def test_worlds_that_differ_in_the_profile_share_a_log():
    plain = WorldSpec("A", "quick")
    rate = WorldSpec("A", "quick", profile={"labels.consistency.definition": "rate"})
    more = WorldSpec("A", "quick", simulation={"sources": 3})
    assert rate.log == plain.log
    assert len({plain.key, rate.key, more.key}) == 3


def test_the_truth_stands_beside_its_rows(world):
    rows = rows_of(world, world.parts["train"], least=5)
    truth = pq.read_table(world.log / "truth" / "exposures")
    by_id = dict(
        zip(truth["event_id"].to_pylist(), truth["transfer_search"].to_pylist(), strict=True)
    )
    expected = [by_id[event] for event in world.evaluation["event_id"].to_pylist()]
    assert rows.transfer[:, 0].tolist() == expected
    nothing, much = rows.slices["nothing transfers"], rows.slices["much transfers"]
    assert not (nothing & much).any()
    assert (rows.slices["source interest"] >= (nothing | much)).all()
    assert set(world.evaluation["unit"].filter(rows.slices["units that never transfer"]).to_pylist()) == {
        "medicine", "baby care", "funeral services", "office supplies", "tax advice"
    }  # fmt: skip


def test_the_question_is_asked_point_in_time_and_the_truth_answers_best(world):
    question = world.question
    # What serving would know of a candidate is what training knew of an exposure at that time.
    columns = set(world.inputs.columns)
    assert columns <= set(question.rows.schema.names)
    shown = question.exposures().sum()
    earned = {
        name: question.answer(score)["ctr"].sum() / shown
        for name, score in (("truth", question.chance), ("worst", -question.chance))
    }
    assert earned["truth"] > 0.15 > 0.02 > earned["worst"]


def test_trees_and_popularity_learn_and_are_calibrated(world, arena):
    runs = {
        model: fit_entry(Entry(model, model, world.spec, QUICK), arena)
        for model in ("popularity", "trees")
    }
    figures = {model: run.figures["evaluation"]["all"] for model, run in runs.items()}
    for model in figures:
        assert figures[model]["expected_auc"] > 0.58
        assert figures[model]["predicted_to_actual"] == pytest.approx(1, abs=0.15)


def test_a_finished_run_is_not_trained_again(world, arena, monkeypatch):
    entry = Entry("popularity", "popularity", world.spec)
    first = fit_entry(entry, arena)

    def fail(task):
        raise AssertionError("trained again")

    monkeypatch.setitem(CONTENDERS, "popularity", fail)
    again = fit_entry(replace(entry, label="another name"), arena)
    assert again.folder == first.folder
    assert again.entry.label == "another name"
    with pytest.raises(AssertionError, match="trained again"):
        fit_entry(replace(entry, rows=RowsSpec(0.5)), arena)


def test_a_run_that_died_leaves_nothing_that_is_taken_for_whole(world, arena, monkeypatch):
    entry = Entry("popularity", "popularity", world.spec, rows=RowsSpec(0.6))
    monkeypatch.setattr(module, "measure", lambda rows, found: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit_entry(entry, arena)
    monkeypatch.undo()
    assert fit_entry(entry, arena).figures["evaluation"]["all"]["rows"] == world.evaluation.num_rows


def test_the_best_baseline_is_the_best_on_validation(world, arena):
    runs = [fit_entry(Entry(m, m, world.spec, QUICK), arena) for m in ("popularity", "trees")]
    groups = gather(runs)
    losses = {run.entry.label: run.figures["validation"]["logloss"] for run in runs}
    chosen = Reference(("popularity", "trees"))(groups)
    assert chosen.label == min(losses, key=losses.get)


def test_a_group_differs_from_itself_by_nothing(world, arena):
    (group,) = gather([fit_entry(Entry("trees", "trees", world.spec, QUICK), arena)])
    found = group.difference(group, "auc")
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_runs_are_paired_on_the_same_rows_alone(world, arena):
    spec = WorldSpec("A", "quick", profile={"labels.interest_hours": 24})
    (long,), (short,) = (
        gather([fit_entry(Entry("popularity", "popularity", place), arena)])
        for place in (world.spec, spec)
    )
    assert np.isfinite(long.difference(short, "auc").low)
    assert np.isfinite(long.difference(short, "auc", "units that never transfer").low)
    # Interest of a day is shown before fewer exposures than that of three.
    assert np.isnan(long.difference(short, "auc", "source interest").mean)
    assert np.isnan(long.difference(short, "logloss", "source interest").low)
    assert "source interest" not in significant(long, short, "logloss")


@pytest.mark.parametrize(
    ("settings", "near"),
    [({"training.lambda_tranfer": 1}, "lambda_transfer"), ({"gates.max_ece": 1}, "model.")],
)
def test_an_unknown_setting_is_refused_with_the_nearest(world, arena, settings, near):
    with pytest.raises(UsageError, match="there is no setting") as error:
        fit_entry(Entry("exit", "exit", world.spec, settings), arena)
    assert near in error.value.mend


def test_an_unknown_setting_of_a_simulation_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="there is no setting 'nevr'") as error:
        WorldSpec("A", simulation={"nevr": 3})
    assert error.value.mend == "did you mean 'never'?"


def test_figures_are_json(world, arena):
    run = fit_entry(Entry("trees", "trees", world.spec, QUICK), arena)
    json.dumps(run.figures, allow_nan=False)


def test_source_rows_carry_their_own_outcome_and_what_was_known(world):
    pooled = pq.read_table(world.rows(RowsSpec(kind="pooled"))["train"][0])
    domains = pooled["domain"].to_pylist()
    assert set(domains) == {"feed", "search", "channel"}
    of_search = pooled.filter(np.asarray(domains) == "search")
    # Six in ten of a source's impressions are clicked there (simulator/intents.py).
    assert np.asarray(of_search["y"]).mean() == pytest.approx(0.6, abs=0.03)
    assert set(of_search["event_timestamp"].cast("date32").to_pylist()) <= {
        world.profile.spec.start + timedelta(days=n) for n in range(3)
    }
    # A first look at an intent has no earlier interest in its unit; a later one has.
    assert {0.0} < set(of_search["search_count"].to_pylist())
    assert set(of_search["place"].to_pylist()) == {None}
    assert set(of_search["ys_search"].to_pylist()) == {0}


def test_relabelled_rows_are_the_sources_positives_alone(world):
    rows = pq.read_table(world.rows(RowsSpec(kind="relabelled"))["train"][0])
    elsewhere = rows.filter(np.asarray(rows["domain"]) != "feed")
    assert set(elsewhere["y"].to_pylist()) == {1}
    target = pq.ParquetFile
    counted = sum(target(file).metadata.num_rows for file in world.parts["train"])
    assert rows.num_rows - elsewhere.num_rows == counted


def test_pooled_trees_are_told_the_domain_and_stay_calibrated(world, arena):
    entry = Entry("pooled", "trees", world.spec, QUICK, rows=RowsSpec(kind="pooled"))
    figures = fit_entry(entry, arena).figures["evaluation"]["all"]
    assert figures["predicted_to_actual"] == pytest.approx(1, abs=0.2)


def test_star_learns_from_the_domains_own_rows_and_scores_the_target_alone(world, arena):
    (entry,) = common.entries(world.spec, "star", quick=True, rows=RowsSpec(0.5))
    assert entry.rows == RowsSpec(0.5, kind="pooled")
    score = np.load(fit_entry(entry, arena).folder / "score.npy")
    assert score.shape == (world.evaluation.num_rows,)
    assert ((score > 0) & (score < 1)).all()
    with pytest.raises(TrainingError, match="several domains"):
        fit_entry(replace(entry, rows=RowsSpec()), arena)


def test_a_policy_and_no_calibration_share_one_fit_and_change_what_they_say(
    world, arena, monkeypatch
):
    (free,) = common.entries(world.spec, "exit", quick=True)
    first = fit_entry(free, arena)

    def fail(task):
        raise AssertionError("trained again")

    monkeypatch.setitem(CONTENDERS, "exit", fail)
    forbidden = Scoring((RuleSpec(unit="wine", forbid=True, reason="a test"),))
    governed, raw = (
        fit_entry(replace(free, scoring=how), arena)
        for how in (forbidden, Scoring(calibrated=False))
    )
    score, under, before = (np.load(run.folder / "score.npy") for run in (first, governed, raw))
    # An item of which no unit is known yet may be wine.
    wine = np.asarray(pc.fill_null(pc.equal(world.evaluation["unit"], "wine"), True))
    assert (score[~wine] == under[~wine]).all()
    assert (score[wine] != under[wine]).mean() > 0.9
    # Calibration moves probabilities and leaves the ranking.
    assert (np.argsort(score, kind="stable") == np.argsort(before, kind="stable")).mean() > 0.99
    assert not np.allclose(score, before)
    assert governed.figures["seconds"] == first.figures["seconds"] > 0
    assert len({first.folder, governed.folder, raw.folder}) == 3


def test_only_exit_is_scored_otherwise_than_it_was_fitted(world):
    with pytest.raises(UsageError, match="as it was fitted"):
        Entry("trees", "trees", world.spec, scoring=Scoring(calibrated=False))


def test_nobody_ranks_better_than_the_planted_chance(world, arena):
    oracle = fit_entry(Entry(ORACLE, ORACLE, world.spec), arena)
    trees = fit_entry(Entry("trees", "trees", world.spec, QUICK), arena)
    figures = oracle.figures["evaluation"]["all"]
    assert figures["predicted_to_expected"] == 1.0
    assert figures["expected_auc"] > trees.figures["evaluation"]["all"]["expected_auc"] + 0.05
    assert oracle.earned["ctr"].sum() > 1.05 * trees.earned["ctr"].sum()
    assert oracle.earned["ctr"].sum() == world.question.answer(world.question.chance)["ctr"].sum()
    with pytest.raises(UsageError, match="real world"):
        Oracle.of(replace(world, spec=WorldSpec("complete_journey")))


def test_a_share_of_labels_is_turned_round_and_nothing_else(world):
    plain = pa.concat_tables([pq.ParquetFile(f).read() for f in world.parts["train"]])
    flipped = pq.read_table(world.rows(RowsSpec(flipped=0.3))["train"][0])
    labels = ["consistent_search", "consistent_channel"]
    assert flipped.drop_columns(labels).equals(plain.drop_columns(labels))
    wrong = {name: np.asarray(flipped[name]) != np.asarray(plain[name]) for name in labels}
    groups = plain.select(["unit", "cell"]).add_column(0, "search", pa.array(wrong[labels[0]]))
    of_group = groups.group_by(["unit", "cell"]).aggregate([("search", "min"), ("search", "max")])
    assert of_group["search_min"].equals(of_group["search_max"])  # all of a group, or none
    share = np.asarray(of_group["search_max"]).mean()
    assert share == pytest.approx(0.3, abs=0.12)
    assert (wrong[labels[0]] != wrong[labels[1]]).any()
    assert set(np.asarray(flipped["consistent_search"])) == {0, 1}


def test_rows_as_they_are_keep_the_name_that_runs_know_them_by():
    assert RowsSpec().to_dict() == {"share": 1.0, "held_out": None, "kind": "target"}
    assert RowsSpec(flipped=0.1).to_dict()["flipped"] == 0.1
