"""The model, its losses by hand, its training, its files and its scorer."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from exit_pipeline.errors import ModelFileError, TrainingError
from exit_pipeline.model import Batch, Encoder, InputSpec, Outputs
from exit_pipeline.model.embeddings import CategoricalEmbedding, NumericEncoding
from exit_pipeline.model.encoders import IDS
from exit_pipeline.model.exit import FIRST_STRENGTH
from exit_pipeline.model.losses import carry_terms, order_loss, sum_terms, transfer_loss
from exit_pipeline.model.ssn import selector
from exit_pipeline.profile.learning import SplitSpec, TrainingSpec
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training import load_model, save_model, split_days, train_model
from exit_pipeline.training.calibrate import calibrate
from exit_pipeline.training.history import Epoch, alarm, farthest, ratio
from exit_pipeline.training.step import Stepper
from tests.unit.rows import MODEL, SOURCES, SPEC, TRAINING, make_table, write_parts


def train(folder, parts=None, name="exit", training=TRAINING, model=MODEL):
    parts = parts or write_parts(folder)
    return train_model(name, SPEC, parts, "unit", model, training, scratch=folder / "scratch")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def scorer(trained):
    return Scorer(trained)


def bce(logit, y):
    p = 1 / (1 + np.exp(-logit))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def product_bce(outcome, order, ordered):
    p = 1 / (1 + np.exp(-outcome)) / (1 + np.exp(-order))
    return -np.log(p if ordered else 1 - p)


def one_source():
    out = Outputs(
        logit=torch.tensor([0.3, -1.0]), own=torch.tensor([0.1, -1.0]),
        carry=torch.tensor([[0.2], [0.0]]), target=torch.tensor([0.1, -1.0]), source=torch.tensor([[0.5], [-0.5]]),
        transfer=torch.tensor([[1.0], [2.0]]), order=torch.tensor([0.7, 0.9]),
        members=torch.tensor([[0.4, -1.3], [-0.2, -0.7]]), whole=torch.tensor([0.9, 0.4]),
    )  # fmt: skip
    labels = {"y": [1.0, 0.0], "click": [1.0, 0.0], "order": [1.0, 0.0], "icl": [2.0, 0.0]}
    by_source = {"source": [[1.0], [0.0]], "shown": [[1.0], [0.0]], "consistent": [[1.0], [0.0]]}
    tensors = {name: torch.tensor(v) for name, v in {**labels, **by_source}.items()}
    unseen = torch.zeros(2, 1, dtype=torch.bool)
    return out, Batch(torch.zeros(2, 1), torch.zeros(2, 1), unseen, tensors)


def test_the_carry_loss_by_hand():
    out, batch = one_source()
    training = TrainingSpec(lambda_source=2.0, lambda_transfer=0.5, lambda_order=0.1)
    expected = (
        (bce(0.6, 1) + bce(-1.3, 0) + bce(0.0, 1) + bce(-0.7, 0)) / 4  # each member by itself
        + 2.0 * (bce(0.5, 1) + bce(-0.5, 0)) / 2
        + 0.5 * bce(1.0, 1)  # the row with y_s = 1 alone
        + 0.1 * (product_bce(0.3, 0.7, 1) + product_bce(-1.0, 0.9, 0)) / 2  # over all rows
    )
    terms = carry_terms(replace(out, whole=None), batch, training)
    assert float(sum(terms.values())) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "distance"), [
    ("l1", (1.1 + 0.4) / 2),
    ("squared", (1.1**2 + 0.4**2) / 2),
    ("huber", ((1.1 - 0.5) + 0.4**2 / 2) / 2),
])  # fmt: skip
def test_the_sum_loss_by_hand(kind, distance):
    out, batch = one_source()
    training = TrainingSpec(
        lambda_target=3.0, lambda_source=2.0, lambda_transfer=0.5, lambda_order=0
    )
    expected = (
        3.0 * (bce(0.4, 1) + bce(-1.3, 0) + bce(-0.2, 1) + bce(-0.7, 0)) / 4
        + 2.0 * (bce(0.5, 1) + bce(-0.5, 0)) / 2
        + 0.5 * distance
    )
    terms = sum_terms(out, batch, training, kind)
    assert float(sum(terms.values())) == pytest.approx(expected, rel=1e-5)


def test_the_order_term_leaves_the_main_head_alone():
    out, batch = one_source()
    out.logit.requires_grad_()
    out.order.requires_grad_()
    order_loss(replace(out, whole=None), batch).backward()
    assert out.logit.grad is None
    assert out.order.grad.abs().min() > 0
    sure = replace(out, logit=torch.full((2,), 99.0), order=torch.full((2,), 99.0), whole=None)
    assert np.isfinite(float(order_loss(sure, batch)))


@pytest.mark.parametrize("outcome", ["either", "order"])
def test_the_chance_of_an_order(tmp_path, outcome):
    def all_orders(table):
        at = table.schema.get_field_index("y_order")
        return table.set_column(at, "y_order", table["y"]) if outcome == "order" else table

    training = TRAINING.model_copy(update={"epochs": 8, "patience": 8, "lambda_order": 1.0})
    model = train_model(
        "exit", SPEC, write_parts(tmp_path, 2000, all_orders), "unit", MODEL, training,
        scratch=tmp_path / "scratch", outcome=outcome,
    )  # fmt: skip
    save_model(model, tmp_path / "model")
    rows = all_orders(make_table(2000, 9))
    found = Scorer.load(tmp_path / "model").score(rows)
    assert found.p_order.mean() == pytest.approx(np.asarray(rows["y_order"]).mean(), abs=0.03)
    assert (found.p_order == found.score).all() == (outcome == "order")


def test_without_shown_interest_the_transfer_term_is_nothing():
    out, batch = one_source()
    batch.labels["shown"].zero_()
    assert float(transfer_loss(out, batch)) == 0


def test_a_label_is_never_an_input():
    for name in ("y", "icl", "ys_search", "consistent_search", "ahead_search"):
        with pytest.raises(TrainingError, match="a label is never an input"):
            InputSpec(("user_id",), (name,), {})


def test_two_trainings_give_the_same_bytes(tmp_path):
    parts = write_parts(tmp_path)
    one, two = (train(tmp_path / n, parts) for n in ("one", "two"))
    assert one.weights() == two.weights()
    assert one.calibration == two.calibration
    other = train(tmp_path / "three", parts, training=TRAINING.model_copy(update={"seed": 8}))
    assert other.weights() != one.weights()


def test_files_and_the_order_of_their_rows_do_not_matter(tmp_path):
    parts = write_parts(tmp_path, 600)
    other = {}
    for part, (file,) in parts.items():
        table = pq.read_table(file)
        table = table.take(np.random.default_rng(1).permutation(len(table)))
        other[part] = [str(tmp_path / f"{part}-{n}.parquet") for n in (2, 1)]
        for name, piece in zip(other[part], (table.slice(0, 70), table.slice(70)), strict=True):
            pq.write_table(piece, name)
    one, two = train(tmp_path / "one", parts), train(tmp_path / "two", other)
    assert one.weights() == two.weights()
    assert one.calibration == two.calibration


def test_the_best_epoch_is_what_is_kept(tmp_path):
    parts = write_parts(tmp_path, 600)
    long = TRAINING.model_copy(update={"epochs": 30, "learning_rate": 0.03, "patience": 3})
    model = train(tmp_path, parts, training=long, model=MODEL.model_copy(update={"id_dropout": 0}))
    losses = [epoch["validation_logloss"] for epoch in model.history]
    assert len(losses) < 30
    assert np.argmin(losses) < len(losses) - 1
    rows = make_table(600, 1)  # the validation part
    found = bce(Scorer(model).score(rows).logit, np.asarray(rows["y"]).astype(float)).mean()
    assert found == pytest.approx(min(losses), abs=1e-6)
    assert min(losses) < losses[-1] - 1e-4


def test_the_rate_falls_to_nothing(tmp_path):
    rates = []

    class Watched(Stepper):
        def __call__(self, batch, rate=1.0, weight=1.0):
            rates.append(rate)
            return super().__call__(batch, rate, weight)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exit_pipeline.training.loop.Stepper", Watched)
        # Neither the rows nor what is shuffled at a time is a multiple of the batch.
        uneven = TRAINING.model_copy(update={"batch_size": 300, "shuffle_buffer": 512})
        train(tmp_path, write_parts(tmp_path, 1700), training=uneven)
    steps = TRAINING.epochs * 6  # ⌈1700 / 300⌉
    np.testing.assert_allclose(rates, 1 - np.arange(steps) / steps)


def test_transfer_is_learned(tmp_path):
    rows = make_table(1500, 9)
    firm = TRAINING.model_copy(update={"lambda_transfer": 1.0, "epochs": 8, "patience": 8})
    found = Scorer(train(tmp_path, training=firm)).score(rows).p_transfer
    for k, source in enumerate(SOURCES):
        carries = np.asarray(rows[f"consistent_{source}"]) == 1
        assert found[carries, k].mean() > found[~carries, k].mean() + 0.3


def test_without_an_ssn_each_source_has_one_transfer_that_is_learned(tmp_path):
    firm = TRAINING.model_copy(update={"lambda_transfer": 1.0, "epochs": 8, "patience": 8})
    model = train(tmp_path, training=firm, model=MODEL.model_copy(update={"ssn": "constant"}))
    rows = make_table(1500, 9)
    found = Scorer(model).score(rows)
    assert (found.p_transfer == found.p_transfer[0]).all()
    for k, source in enumerate(SOURCES):
        shown = np.asarray(rows[f"ys_{source}"]) == 1
        carries = np.asarray(rows[f"consistent_{source}"])[shown].mean()
        assert found.p_transfer[0, k] == pytest.approx(carries, abs=0.1)


def test_a_constant_transfer_has_a_gradient():
    constant = selector(5, 2, MODEL.model_copy(update={"ssn": "constant"}))
    z = constant(torch.rand(7, 5))
    F.binary_cross_entropy_with_logits(z, torch.tensor([[1.0, 0.0]] * 7)).backward()
    assert z.shape == (7, 2)
    np.testing.assert_allclose(constant.logit.grad, [-0.25, 0.25])


def test_a_file_from_before_a_setting_has_its_default(trained, tmp_path):
    save_model(trained, tmp_path / "model")
    file = tmp_path / "model" / "description.json"
    description = json.loads(file.read_text())
    del description["spec"]["ssn"]
    file.write_text(json.dumps(description))
    assert load_model(tmp_path / "model").spec == trained.spec


def test_a_collapse_of_the_transfer_is_said_and_recorded(tmp_path):
    said, weights = [], {"lambda_transfer": 0.0, "epochs": 2}

    def train_on(share):
        def change(table):
            for source in SOURCES:
                name = f"consistent_{source}"
                at = table.schema.get_field_index(name)
                values = (np.arange(len(table)) % 100 < share).astype(float)
                table = table.set_column(at, name, pa.array(values))
            return table

        said.clear()
        training = TRAINING.model_copy(update=weights)
        return train_model(
            "exit", SPEC, write_parts(tmp_path, 300, change), "unit", MODEL, training,
            scratch=tmp_path / "scratch", progress=lambda done, total, text: said.append(text),
        ).history  # fmt: skip

    # Nobody teaches p_tr here: it stays near a half, which is far above 5 % and about 50 %.
    assert all(epoch["alarm"] and epoch["transfer"] > 1.5 for epoch in train_on(5))
    assert any("ALARM: mean p_transfer is" in text for text in said)
    assert not any(epoch["alarm"] for epoch in train_on(50))
    assert not any("ALARM" in text for text in said)
    # Where nothing carries at all there is no ratio to say so.
    assert all(epoch["alarm"] and epoch["transfer"] is None for epoch in train_on(0))
    assert any("ALARM: nothing carries" in text for text in said)


def test_one_source_does_not_hide_what_another_does():
    assert farthest([1.05, 0.02]) == 0.02
    assert farthest([0.5, 1.9, math.nan]) == 0.5
    assert farthest([0.0, 3.0]) == 0.0
    assert farthest([1.0, math.inf]) == math.inf
    assert math.isnan(farthest([math.nan]))
    assert math.isnan(farthest([]))


def test_an_epoch_that_was_kept_says_its_alarm_again():
    idle, unknown, high = ratio(0.04, 0.0), math.nan, ratio(0.9, 0.0)
    for transfer, said in ((idle, False), (unknown, False), (high, True), (ratio(0.4, 0.4), False)):
        assert bool(alarm(transfer)) == said
        kept = Epoch(0, 0.5, 0.4, transfer, said, {}).to_dict()
        assert alarm(Epoch.from_dict(json.loads(json.dumps(kept))).transfer) == alarm(transfer)


def test_the_strength_of_a_source_is_learned(tmp_path):
    moved = (train(tmp_path).module.strength.weight[1:] - FIRST_STRENGTH).abs()
    assert float(moved.detach().mean()) > 0.4


def test_sum_is_validated_on_its_calibrated_score(tmp_path):
    model = train(tmp_path, model=MODEL.model_copy(update={"combination": "sum"}))
    rows = make_table(2000, 1)  # the validation part
    logit, y = Scorer(model).score(rows).logit, np.asarray(rows["y"]).astype(float)
    best = min(epoch["validation_logloss"] for epoch in model.history)
    found = bce(calibrate(logit, y, "platt")(logit), y).mean()
    assert found == pytest.approx(best, abs=1e-6)
    assert found < bce(logit, y).mean() - 0.01


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
@pytest.mark.parametrize("combination", ["carry", "sum"])
def test_the_parts_add_up_to_the_score(tmp_path, combination, kind):
    training = TRAINING.model_copy(update={"epochs": 1, "calibration": kind})
    model = train(
        tmp_path, None, "exit", training, MODEL.model_copy(update={"combination": combination})
    )
    found = Scorer(model).score(make_table(300, 9))
    logit = found.own + found.carry.sum(1) + found.bias
    np.testing.assert_allclose(logit, np.log(found.score / (1 - found.score)), atol=1e-9)
    assert (found.carry >= 0).all()
    assert found.carry.any()
    if combination == "sum":
        assert ((found.carry > 0).sum(1) <= 1).all()
        assert (found.carry.argmax(1) == (found.p_source * found.p_transfer).argmax(1)).all()
    if kind == "platt":
        np.testing.assert_allclose(found.bias, model.calibration.bias, atol=1e-9)
    assert (np.diff(found.score[np.argsort(found.logit)]) >= 0).all()


def test_a_score_does_not_depend_on_the_batch(scorer):
    rows = make_table(50, 9)
    whole = scorer.score(rows).score
    alone = np.concatenate([scorer.score(rows.slice(i, 1)).score for i in range(50)])
    np.testing.assert_allclose(alone, whole, rtol=1e-5)


def test_saved_and_loaded_it_scores_the_same_sources_in_order(trained, tmp_path):
    save_model(trained, tmp_path / "model")
    loaded, rows = Scorer.load(tmp_path / "model"), make_table(100, 9)
    assert loaded.sources == SOURCES
    ours, theirs = Scorer(trained).score(rows), loaded.score(rows)
    assert (ours.score == theirs.score).all()
    assert (ours.carry == theirs.carry).all()
    assert not list(tmp_path.rglob("*.p*kl*"))


def test_a_changed_byte_is_refused(trained, tmp_path):
    save_model(trained, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match="hash differs"):
        load_model(tmp_path / "model")
    file.unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(tmp_path / "model")


def test_unknown_values_and_nulls_score(scorer):
    rows = make_table(3, 9)
    for name in ("user_id", "place"):
        rows = rows.set_column(
            rows.schema.get_field_index(name), name, pa.array(["new", None, "?"])
        )
    assert np.isfinite(scorer.score(rows).score).all()


def test_columns_that_are_gone_are_named(scorer):
    rows = make_table(3, 9).drop_columns(["place", "lift_mid"])
    with pytest.raises(ModelFileError, match="do not have: place, lift_mid"):
        scorer.score(rows)


def test_the_unknown_of_every_column_is_learned_from_hidden_values(trained):
    torch.manual_seed(1)
    embedding = CategoricalEmbedding(trained.encoder, 4, 0.5, 0.1)
    known = torch.ones((20_000, len(trained.encoder.spec.categorical)), dtype=torch.int64)

    embedding.eval()
    said = embedding(known).unflatten(1, (-1, 4))
    assert (said == said[:1]).all()
    embedding.train()
    away = (embedding(known).unflatten(1, (-1, 4)) != said).any(2).double().mean(0)
    for name, share in zip(trained.encoder.spec.categorical, away, strict=True):
        assert share == pytest.approx(0.5 if name in IDS else 0.1, abs=0.02), name


def test_a_position_is_learned_from_but_never_scored_by():
    encoder = Encoder(
        InputSpec((), ("position", "rate"), {}), {}, {"position": [0, 5], "rate": [0, 1]}, ""
    )
    coded = NumericEncoding(encoder, ("position", "rate"))
    rows, hidden = (
        torch.tensor([[1.0, 0.5], [4.0, 0.5], [math.nan, 0.5]]),
        torch.zeros(3, 0, dtype=bool),
    )
    coded.eval()
    assert (coded(rows, hidden) == coded(rows, hidden)[:1]).all()
    coded.train()
    torch.manual_seed(0)
    seen = coded(rows[:1].expand(1000, 2), hidden[:1].expand(1000, 0))[:, 0] > 0
    assert 400 < seen.sum() < 600


def test_the_vocabulary_is_the_training_rows(tmp_path):
    model = train(tmp_path, training=TRAINING.model_copy(update={"epochs": 1}))
    assert "u99" not in model.encoder.vocabularies["user_id"]
    seen = set(make_table(2000, 0)["unit"].to_pylist())
    assert set(model.encoder.vocabularies["unit"]) == seen


def test_target_only_sees_nothing_of_a_source(tmp_path):
    scorer = Scorer(train(tmp_path, name="target_only"))
    rows = make_table(200, 9)
    other = rows
    for name in (column for columns in SPEC.source_numeric.values() for column in columns):
        at = rows.schema.get_field_index(name)
        other = other.set_column(at, name, pa.array(np.full(200, 77.0)))
    assert (scorer.score(rows).score == scorer.score(other).score).all()
    assert scorer.score(rows).p_transfer.shape == (200, 0)


def test_sum_trains_and_is_calibrated(tmp_path):
    model = train(tmp_path, model=MODEL.model_copy(update={"combination": "sum"}))
    rows = make_table(2000, 9)
    score = Scorer(model).score(rows).score
    assert abs(score.mean() - np.asarray(rows["y"]).mean()) < 0.05


def test_one_class_only_is_refused(tmp_path):
    def all_zero(table):
        return table.set_column(
            table.schema.get_field_index("y"), "y", pa.array(np.zeros(len(table), np.int8))
        )

    with pytest.raises(TrainingError, match="one class only"):
        train(tmp_path, write_parts(tmp_path, 100, all_zero))


def test_a_loss_that_is_not_finite_stops_and_names_the_step(tmp_path):
    wild = TRAINING.model_copy(update={"learning_rate": 1e20})
    with pytest.raises(TrainingError, match=r"epoch 1, step \d+"):
        train(tmp_path, training=wild)


def test_the_split_has_gaps(tmp_path):
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(12)]
    spec = SplitSpec(train_days=28, validation_days=1, calibration_days=1, evaluation_days=2)
    split = split_days(days, spec, gap_days=1)
    assert split.to_dict() == {
        "train": ["2026-01-01", "2026-01-05"], "validation": ["2026-01-07", "2026-01-07"],
        "calibration": ["2026-01-09", "2026-01-09"], "evaluation": ["2026-01-11", "2026-01-12"],
    }  # fmt: skip
    with pytest.raises(TrainingError, match="at least 8 days are needed"):
        split_days(days[:7], spec, gap_days=1)
    with pytest.raises(TrainingError):
        split_days([], spec, gap_days=1)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibration_is_monotone_and_calibrates(kind):
    rng = np.random.default_rng(0)
    z = np.round(rng.normal(size=4000), 2)
    y = (rng.random(4000) < 1 / (1 + np.exp(-(0.5 * z - 1)))).astype(float)
    found = calibrate(z, y, kind)
    grid = np.linspace(-4, 4, 200)
    assert (np.diff(found(grid)) >= 0).all()
    assert abs((1 / (1 + np.exp(-found(z)))).mean() - y.mean()) < 0.01


def test_an_isotonic_map_keeps_the_ends_of_its_level_blocks_alone():
    z, y = np.arange(8.0), np.array([0, 0, 0, 1, 0, 1, 1, 1.0])
    found = calibrate(z, y, "isotonic")
    assert found.knots == [0, 2, 3, 4, 5, 7]
    np.testing.assert_allclose(1 / (1 + np.exp(-found(z))), [1 / 8] * 3 + [0.5] * 2 + [7 / 8] * 3)


def test_a_short_block_at_an_end_of_an_isotonic_map_says_nothing_of_the_others():
    z, y = np.arange(1001.0), np.zeros(1001)
    y[1:][::50] = 1  # 2 % after a first row without an outcome
    found = calibrate(z, y, "isotonic")
    assert (1 / (1 + np.exp(-found(z)))).mean() == pytest.approx(y.mean(), rel=0.03)
    np.testing.assert_allclose(calibrate(-z, 1 - y, "isotonic")(-z), -found(z), atol=1e-9)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_an_isotonic_map_of_one_outcome_stays_within(outcome):
    found = calibrate(np.arange(4.0), np.full(4, outcome), "isotonic")
    rate = 1 / (1 + np.exp(-found(np.arange(4.0))))
    np.testing.assert_allclose(rate, abs(outcome - 0.1))


def drawn(n=4000):
    rng = np.random.default_rng(0)
    z = rng.normal(-1, 1.5, n)
    return z, (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 10), st.floats(-6, 6))
def test_platt_undoes_any_scale_and_shift(scale, shift):
    z, y = drawn()
    found = calibrate(scale * z + shift, y, "platt")
    assert found.slope * scale == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(found(scale * z + shift), calibrate(z, y, "platt")(z), atol=1e-6)


def test_platt_on_separable_rows_stays_finite():
    z = np.array([-2.0, -1.0, 1.0, 2.0])
    found = calibrate(z, (z > 0).astype(float), "platt")
    assert 0 < found.slope < 10
    assert abs(found.bias) < 1e-6


@pytest.mark.parametrize("turned", [lambda z: -3 * z + 2, lambda z: np.full_like(z, 4.0)])
def test_where_the_logit_says_nothing_only_the_mean_is_moved(turned):
    z, y = drawn()
    found = calibrate(turned(z), y, "platt")
    assert found.slope == 1
    assert (1 / (1 + np.exp(-found(turned(z))))).mean() == pytest.approx(y.mean(), abs=1e-3)


def test_a_column_that_is_no_input_cannot_be_left_out():
    assert "user_rate" not in SPEC.without(["user_rate"]).columns
    with pytest.raises(TrainingError, match="did you mean 'user_rate'"):
        SPEC.without(["user_rates"])
