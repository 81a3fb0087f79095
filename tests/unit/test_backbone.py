"""The backbone, what rows look like to it, and the defining property of each neural baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tabm
import torch

from exit_pipeline.errors import TrainingError
from exit_pipeline.model import MODELS, Batch, Encoder
from exit_pipeline.model.backbone import FoldedLayer, TabM
from exit_pipeline.model.embeddings import NumericEncoding
from exit_pipeline.model.encoders import DOMAIN
from exit_pipeline.model.exit import FIRST_RESISTANCE
from exit_pipeline.model.losses import terms_of
from exit_pipeline.model.tasks import mix
from tests.unit import rows as planted
from tests.unit.rows import MODEL, SOURCES, TRAINING

# Some models read which domain a row is of; to the others it is a category like any.
SPEC = replace(planted.SPEC, categorical=(*planted.SPEC.categorical, DOMAIN))
EDGES = {name: [0.0, 1.0, 3.0] for name in SPEC.numbers}
WORDS = {name: ["a", "b", "c"] for name in SPEC.categorical}
ENCODER = Encoder(SPEC, WORDS, EDGES, "unit")
K = len(SOURCES)


def made(name, **changes):
    torch.manual_seed(0)
    return MODELS[name](ENCODER, MODEL.model_copy(update=changes)).eval()


def batch(n=6, hidden=()):
    rng = np.random.default_rng(0)
    unseen = torch.zeros(n, K, dtype=torch.bool)
    unseen[:, list(hidden)] = True
    labels = {name: torch.ones(n) for name in ("y", "click", "order", "icl")}
    labels |= {name: torch.ones(n, K) for name in ("source", "shown", "consistent")}
    words = torch.from_numpy(rng.integers(0, 4, (n, len(SPEC.categorical))))
    numbers = torch.from_numpy(rng.random((n, len(SPEC.numbers)), np.float32) * 3)
    return Batch(words, numbers, unseen, labels)


def test_folded_weights_are_the_packages_own_ensemble():
    torch.manual_seed(0)
    ours = FoldedLayer(5, 3, k=4, scaling_init="normal")
    theirs = tabm.LinearBatchEnsemble(5, 3, k=4, scaling_init="normal")
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(7, 5)
    expected = theirs(x[:, None].expand(-1, 4, -1)).transpose(0, 1)
    torch.testing.assert_close(ours(x[:, :2], x[:, 2:]), expected)
    torch.testing.assert_close(ours(x.expand(4, -1, -1)), expected)


def test_members_share_weights_and_differ_by_their_scales():
    torch.manual_seed(0)
    net = TabM([2, 3], (8, 8), 4, 0.0)
    assert net.layers[0].weight.shape == (8, 5)
    assert (net.layers[0].r[:, 0] == net.layers[0].r[:, 1]).all()  # one draw for each input
    assert (net.layers[0].r[:, 1] != net.layers[0].r[:, 2]).all()
    h = net(torch.randn(6, 5))
    assert h.shape == (4, 6, 8)
    assert not torch.allclose(h[0], h[1])


def test_numbers_are_encoded_by_hand():
    encoding = NumericEncoding(ENCODER, ("user_rate", "zeta_count"))
    numbers = torch.full((4, len(SPEC.numbers)), torch.nan)
    at = [SPEC.numbers.index(name) for name in ("user_rate", "zeta_count")]
    numbers[:, at] = torch.tensor([[0.5, 2.0], [9.0, -1.0], [torch.nan, 3.0], [1.0, 2.0]])
    hidden = torch.zeros(4, K, dtype=torch.bool)
    hidden[3, SOURCES.index("zeta")] = True
    expected = [
        # user_rate | zeta_count | unknown | hidden: zeta, alpha, mid
        [0.5, 0.0, 1.0, 0.5, 0, 0, 0, 0, 0],
        [1.0, 1.0, 0.0, 0.0, 0, 0, 0, 0, 0],
        [0.0, 0.0, 1.0, 1.0, 1, 0, 0, 0, 0],
        [1.0, 0.0, 0.0, 0.0, 0, 0, 1, 0, 0],
    ]
    torch.testing.assert_close(encoding(numbers, hidden), torch.tensor(expected))
    assert sum(encoding.widths) == len(expected[0])


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].reads_sources])
def test_nothing_of_a_hidden_source_is_seen(name):
    model, plain, other = made(name), batch(hidden=[1]), batch(hidden=[1])
    columns = [SPEC.numbers.index(c) for c in SPEC.source_numeric[SOURCES[1]]]
    other.numeric[:, columns] = torch.tensor([77.0, torch.nan])
    one, two = model(plain), model(other)
    assert all(torch.equal(getattr(one, part), getattr(two, part)) for part in ("logit", "source"))
    open_rows = batch()
    open_rows.numeric[:, columns] = torch.tensor([77.0, torch.nan])
    assert not torch.equal(model(open_rows).logit, model(batch()).logit)


def test_nothing_is_carried_from_a_hidden_source():
    out = made("exit")(batch(hidden=[1]))
    assert (out.carry[:, 1] == 0).all()
    assert (out.carry[:, [0, 2]] > 0).all()


def test_a_source_goes_from_seen_to_hidden_by_its_share():
    rows, encoding = batch(), NumericEncoding(ENCODER, SPEC.numbers)
    rows.numeric[0] = torch.nan
    nobody, everybody = rows.hidden, torch.ones_like(rows.hidden)
    seen, unseen = (encoding(rows.numeric, hidden) for hidden in (nobody, everybody))
    share = torch.ones(len(nobody), K)
    assert torch.equal(encoding.to_share(seen, share), seen)
    assert torch.equal(encoding.to_share(seen, 0 * share), unseen)
    assert torch.equal(encoding.to_share(unseen, share), unseen)
    torch.testing.assert_close(encoding.to_share(seen, share / 4), unseen + (seen - unseen) / 4)
    share[:, 1:] = 0
    assert torch.equal(encoding.to_share(seen, share), encoding(rows.numeric, share == 0))


def test_the_trunk_sees_interest_in_the_unit_as_far_as_it_transfers():
    def own(z_tr, interest, taste=-200.0, **changes):
        model, rows = made("exit", resistance=False, **changes), batch()
        model.ssn.head.weight.data.zero_()
        model.ssn.head.bias.data.fill_(z_tr)
        if hasattr(model, "taste"):
            model.taste.data.fill_(taste)
        rows.numeric[:, model.counts] = interest
        return model(rows).own

    hidden = made("exit")(batch(hidden=range(K))).own
    everything = own(0.0, 1.0, trunk="open")
    assert torch.equal(own(40.0, 1.0), everything)
    assert torch.equal(own(-200.0, 1.0), hidden)
    assert not torch.allclose(own(0.0, 1.0), everything)
    assert torch.equal(own(-200.0, 1.0, taste=40.0), everything)
    assert torch.equal(own(-200.0, 0.0), own(0.0, 0.0, trunk="open"))  # no interest, no gate
    assert torch.equal(own(40.0, 1.0, trunk="closed"), hidden)


def test_what_rests_on_no_history_is_not_denied():
    sources = {s: (*columns, f"support_{s}") for s, columns in SPEC.source_numeric.items()}
    spec = replace(SPEC, source_numeric=sources)
    encoder = Encoder(spec, WORDS, {name: [0.0, 1.0, 3.0] for name in spec.numbers}, "unit")

    def share(support):
        torch.manual_seed(0)
        model = MODELS["exit"](encoder, MODEL).eval()
        model.taste.data.fill_(-200.0)
        seen = []
        model.rows.to_share = lambda row, share: seen.append(share) or row
        rows = Batch(torch.ones(1, len(WORDS)).long(), torch.ones(1, len(spec.numbers)),
                     torch.zeros(1, K) > 0, {})  # fmt: skip
        rows.numeric[:, model.supports] = support
        p_transfer = model(rows).transfer.sigmoid()
        return (1 - seen[0]) / (1 - p_transfer)

    torch.testing.assert_close(share(0.0), torch.zeros(1, K))
    torch.testing.assert_close(share(torch.nan), torch.zeros(1, K))
    torch.testing.assert_close(share(15.0), torch.full((1, K), 0.5))
    torch.testing.assert_close(share(45.0), torch.full((1, K), 0.75))


def test_the_gate_opens_as_the_trunk_meets_more_rows_with_interest_in_the_unit():
    model, rows = made("exit", gate_rows=4), batch()
    rows.numeric[:, model.counts] = torch.tensor([1.0, 0.0, torch.nan])
    rows.categorical[:, model.unit] = 1
    rows.categorical[:2, model.unit] = 2
    model.survey([rows, rows])
    others = 2.0 * (len(rows.numeric) - 2)
    assert model.met[1:3].tolist() == [[others, 0, 0], [4, 0, 0]]
    assert model.met[0].tolist() == [0, 0, 0]
    known = model.known(rows.numeric, torch.full((len(rows.numeric),), 2))
    assert known.tolist() == [[0.5, 0, 0]] * len(rows.numeric)
    model.survey([rows])  # anew
    assert model.met[2].tolist() == [2, 0, 0]


def test_a_gate_without_counts_is_refused():
    lifts = {s: (f"lift_{s}",) for s in SOURCES}
    spec = replace(SPEC, source_numeric=lifts)
    encoder = Encoder(spec, WORDS, {name: [0.0, 1.0, 3.0] for name in spec.numbers}, "unit")
    with pytest.raises(TrainingError, match="count of interest in the unit"):
        MODELS["exit"](encoder, MODEL)
    MODELS["exit"](encoder, MODEL.model_copy(update={"trunk": "open"}))


def test_interest_that_is_known_not_to_transfer_takes_something_off():
    resisting, plain, rows = made("exit"), made("exit", resistance=False), batch()
    rows.numeric[:, resisting.counts] = torch.tensor([1.0, 0.0, torch.nan])

    def off(rows):
        return plain(rows).own - resisting(rows).own

    p_transfer = resisting(rows).transfer[:, 0].sigmoid()
    rho = float(np.log1p(np.exp(FIRST_RESISTANCE)))
    torch.testing.assert_close(off(rows), rho * (1 - p_transfer))
    # Of what must not be seen, or is governed, nothing is taken.
    hidden = replace(rows, hidden=torch.ones_like(rows.hidden))
    assert torch.equal(off(hidden), torch.zeros(len(p_transfer)))
    bounds = torch.full((len(p_transfer), K, 2), torch.nan)
    bounds[:, 0, 1] = 0.0
    assert torch.equal(off(replace(rows, bounds=bounds)), torch.zeros(len(p_transfer)))
    torch.testing.assert_close(
        off(replace(rows, bounds=torch.full_like(bounds, torch.nan))), off(rows)
    )


def test_no_gradient_goes_back_through_the_gate():
    model = made("exit")
    model(batch()).own.sum().backward()
    assert model.taste.grad.abs().min() > 0
    assert all(p.grad is None for p in model.ssn.parameters())


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_learns_each_of_its_terms(name):
    model = made(name)
    if not model.reads_sources:
        model = MODELS[name](Encoder(SPEC.without_sources(), WORDS, EDGES, "unit"), MODEL)
    rows = batch()
    if not model.reads_sources:
        rows = Batch(
            rows.categorical, rows.numeric[:, : len(SPEC.numeric)], rows.hidden, rows.labels
        )
    terms = terms_of(model(rows), rows, MODEL, TRAINING)
    expected = {"target_only": 2, "features": 2, "star": 2, "exit": 4, "towers": 4}.get(name, 3)
    assert len(terms) == expected
    sum(terms.values()).backward()
    assert all(p.grad is not None for n, p in model.named_parameters() if "tables" not in n)


def test_a_gate_mixes_experts():
    experts = [torch.full((2, 3, 1), 1.0), torch.full((2, 3, 1), 5.0)]
    gate = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, float(np.log(3))]])
    torch.testing.assert_close(mix(gate, experts)[0, :, 0], torch.tensor([3.0, 1.0, 4.0]))


def test_each_task_of_mmoe_has_its_own_mix_and_shared_bottom_has_none():
    mmoe, rows = made("mmoe", experts=2), batch()
    for weight in (gate.weight for gate in mmoe.gates[1:]):
        weight.data += 1.0
    before = made("mmoe", experts=2)(rows)
    after = mmoe(rows)
    assert torch.equal(before.logit, after.logit)
    assert not torch.equal(before.source, after.source)
    bottom = made("shared_bottom")
    bottom.trunk.layers[0].weight.data += 0.1
    assert not torch.equal(bottom(rows).logit, made("shared_bottom")(rows).logit)
    assert not torch.equal(bottom(rows).source, made("shared_bottom")(rows).source)


def test_an_own_expert_of_ple_reaches_its_task_alone():
    rows, plain = batch(), made("ple", hidden=(8,))
    changed = made("ple", hidden=(8,))
    changed.levels[0].own[0].layers[0].weight.data += 1.0
    assert not torch.equal(changed(rows).logit, plain(rows).logit)
    assert torch.equal(changed(rows).source, plain(rows).source)
    deep, other = made("ple", hidden=(8, 8)), made("ple", hidden=(8, 8))
    other.levels[0].own[0].layers[0].weight.data += 1.0  # through the shared part of level two
    assert not torch.equal(deep(rows).source, other(rows).source)
