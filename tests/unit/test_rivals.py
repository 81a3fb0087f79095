"""What makes STAR, PEPNet and MiNet what they are, and that each learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from exit_pipeline.errors import TrainingError
from exit_pipeline.evaluation.metrics import auc
from exit_pipeline.model import MODELS, Encoder
from exit_pipeline.model.encoders import DOMAIN
from exit_pipeline.model.star import EPSILON, RATE, PartitionedNormalization
from exit_pipeline.ranking.scorer import Scorer
from exit_pipeline.training import train_model
from tests.unit.rows import MODEL, TRAINING, make_table, write_parts
from tests.unit.rows import SPEC as PLAIN
from tests.unit.test_backbone import EDGES, SPEC, WORDS, batch, made

PLACE = SPEC.categorical.index(DOMAIN)


def rows_of(batch, rows):
    return replace(
        batch, categorical=batch.categorical[rows], numeric=batch.numeric[rows],
        hidden=batch.hidden[rows], labels={},
    )  # fmt: skip


def stepped(name, **changes):
    """A model in training, right after a step on rows of all domains."""
    model, rows = (
        made(name, id_dropout=0.0, value_dropout=0.0, dropout=0.0, **changes).train(),
        batch(64),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(rows).logit.square().sum().backward()
    optimizer.step()
    return model


@pytest.mark.parametrize("training", [True, False])
def test_a_score_of_star_does_not_depend_on_the_batch_also_right_after_a_step(training):
    model, rows = stepped("star").train(training), batch(12)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    whole = model(rows).logit
    for row in range(12):
        model.load_state_dict(state)
        alone = model(rows_of(rows, [row])).logit
        torch.testing.assert_close(alone[0], whole[row])


def test_star_counts_rows_in_training_alone_each_in_its_domain():
    norm, x = PartitionedNormalization(1, domains=2), torch.tensor([[2.0], [6.0]])
    torch.testing.assert_close(norm(1, x), x / (1 + EPSILON) ** 0.5)
    assert norm.mean.flatten().tolist() == pytest.approx([0, RATE * 4])
    assert norm.variance.flatten().tolist() == pytest.approx([1, 1 + RATE * (20 - 1)])
    counted = norm.mean.clone()
    norm.eval()(1, x)
    assert torch.equal(norm.mean, counted)


@pytest.mark.parametrize(
    "part", ["trunk.layers.0.own_weight", "outcome.own_bias", "normalization.own_shift"]
)
def test_weights_of_a_domain_reach_their_domain_alone(part):
    rows, plain, changed = batch(40), made("star"), made("star")
    changed.get_parameter(part).data[2] += 1.0
    moved = changed(rows).logit != plain(rows).logit
    assert torch.equal(moved, rows.categorical[:, PLACE] == 2)


def test_star_without_domains_says_what_it_lacks():
    with pytest.raises(TrainingError, match="several domains") as error:
        MODELS["star"](Encoder(PLAIN, WORDS, EDGES, "unit"), MODEL)
    assert "pooled" in error.value.mend


def test_gates_of_zero_logits_leave_everything_as_it_is():
    model, rows = made("pepnet", hidden=(8, 6)), batch()
    for gate in (model.embedding_gate, *model.layer_gates):
        for values in gate.layers[-1].parameters():
            values.data.zero_()
    row = model.rows(rows, rows.hidden)
    plain = model.trunk(row.words, row.numbers)
    out, expected = model(rows), model.heads([plain] * (1 + model.sources))
    assert torch.equal(out.logit, expected.logit)
    assert torch.equal(out.source, expected.source)


def test_where_ids_are_hidden_layers_are_gated_by_the_rates_of_user_and_item():
    model, rows = made("pepnet", hidden=(8, 6), id_dropout=1.0), batch()
    row = model.rows(rows, rows.hidden)
    own = model.own(rows.numeric, rows.hidden)
    assert (own.std(0) > 0).any()
    assert (row.words.unflatten(1, (-1, model.dim))[:, model.ids].std(0) == 0).all()


def test_gates_double_at_most_and_no_gradient_goes_through_what_they_scale():
    gate = made("pepnet").embedding_gate
    gate.layers[-1].bias.data.fill_(100.0)
    prior = torch.zeros(3, gate.layers[0].in_features - 4, requires_grad=True)
    x = torch.zeros(3, 4, requires_grad=True)
    factors = gate(prior, x)
    assert (factors == 2).all()
    gate.layers[-1].bias.data.zero_()
    gate(prior, x).sum().backward()
    assert x.grad is None
    assert prior.grad.any()


def test_a_gate_of_a_source_task_reaches_its_task_alone():
    rows, plain, changed = batch(), made("pepnet", hidden=(8, 6)), made("pepnet", hidden=(8, 6))
    changed.layer_gates[2].layers[-1].bias.data += 1.0
    assert torch.equal(changed(rows).logit, plain(rows).logit)
    assert (changed(rows).source != plain(rows).source).any(0).tolist() == [False, True, False]


def test_a_later_gate_of_ple_reads_what_was_made_of_its_task():
    rows, plain, changed = batch(), made("ple", hidden=(8, 6)), made("ple", hidden=(8, 6))
    assert [gate.in_features for gate in plain.levels[1].gates] == [8] * (1 + plain.sources)
    changed.levels[1].gates[0].weight.data += torch.randn(changed.levels[1].gates[0].weight.shape)
    moved = changed(rows).logit != plain(rows).logit
    assert moved.any()
    assert torch.equal(changed(rows).source, plain(rows).source)


def test_attention_adds_up_to_one_and_follows_the_candidate():
    model, rows = made("minet", id_dropout=0.0), batch(20)
    other = replace(rows, categorical=rows.categorical.clone())
    other.categorical[:, SPEC.categorical.index("item_id")] = 1
    changed = rows.categorical[:, SPEC.categorical.index("item_id")] != 1
    weights, after = (model.attention(*model.interests(b)) for b in (rows, other))
    assert weights.shape == (20, 2 + model.sources)
    torch.testing.assert_close(weights.sum(1), torch.ones(20))
    assert (weights > 0).all()
    assert torch.equal((weights != after).any(1), changed)


def test_the_trunk_of_minet_sees_an_interest_as_far_as_it_is_attended_to():
    model, rows = made("minet"), batch()
    weight = torch.eye(2 + model.sources)[2]  # all attention to the first source
    model.attention = lambda z, candidate: weight.expand(len(z), -1)
    other = replace(rows, numeric=rows.numeric.clone())
    unseen = [SPEC.numbers.index(name) for name in SPEC.source_numeric["alpha"]]
    other.numeric[:, unseen] = 0.7
    assert torch.equal(model(rows).logit, model(other).logit)
    other.numeric[:, [SPEC.numbers.index("zeta_count")]] = 0.7
    assert not torch.equal(model(rows).logit, model(other).logit)


def with_domain(table):
    domain = np.where(np.arange(len(table)) % 4 == 3, "zeta", "feed")
    return table.append_column(DOMAIN, pa.array(domain))


@pytest.mark.parametrize("name", ["star", "pepnet", "minet"])
def test_each_learns_from_sources_what_the_target_alone_does_not_say(tmp_path, name):
    parts, rows = write_parts(tmp_path, change=with_domain), with_domain(make_table(2000, 9))
    y, found = np.asarray(rows["y"]).astype(float), {}
    training = TRAINING.model_copy(update={"epochs": 12})
    for one in ("target_only", name):
        model = train_model(one, SPEC, parts, "unit", MODEL, training, scratch=tmp_path / "scratch")
        found[one] = auc(y, Scorer(model).score(rows).score)
    assert found[name] > found["target_only"] + 0.05
