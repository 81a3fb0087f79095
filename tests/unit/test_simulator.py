"""The simulated log: in the contract's form, the same every time, and true to its truth."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from exit_pipeline.errors import UsageError
from exit_pipeline.ingest import ingest_days, landed_days
from exit_pipeline.lake import Lake, connect
from exit_pipeline.profile import load_profile
from exit_pipeline.settings import load_settings
from exit_pipeline.simulator import SimulationConfig, World, answer, ask_for, simulate
from exit_pipeline.simulator.intents import DAY_US, Intents
from exit_pipeline.simulator.rows import EVENTS, names
from exit_pipeline.simulator.satiation import Satiation
from exit_pipeline.simulator.world import Exposures

CONFIG = SimulationConfig(days=8, users=500, items=240, late_share=0.01, broken_share=0.005)


@pytest.fixture(scope="module", params=["A", "B"])
def log(request, tmp_path_factory):
    config = replace(CONFIG, world=request.param)
    out = tmp_path_factory.mktemp("log") / "landing"
    return config, out, simulate(config, out)


def digest(out):
    return {
        str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*.parquet"))
    }


def test_the_same_bytes_every_time_and_whatever_follows(tmp_path):
    for name, days in (("one", 4), ("two", 4), ("long", 6)):
        simulate(replace(CONFIG, days=days), tmp_path / name)
    one, two, longer = (digest(tmp_path / name) for name in ("one", "two", "long"))
    assert one == two
    assert {name: longer[name] for name in one} == one
    other = simulate(replace(CONFIG, days=4, seed=8), tmp_path / "other")
    assert digest(tmp_path / "other") != one
    assert other["exposures"] > 0


def test_nothing_is_shown_or_clicked_before_it_is_there(log):
    _, out, _ = log
    events = ds.dataset(out / "events").to_table()
    events = events.filter(pc.invert(pc.starts_with(events["event_id"], "b")))  # the broken ones
    since = pq.read_table(out / "items").group_by("item_id").aggregate([("valid_from", "min")])
    at = pc.index_in(events["item_id"], since["item_id"].combine_chunks())
    born = since["valid_from_min"].take(at)
    assert pc.all(pc.greater_equal(events["ts"], born.cast(events["ts"].type))).as_py()


def test_the_contract(log):
    _, out, _ = log
    events = ds.dataset(out / "events").to_table()
    assert events.schema.remove_metadata() == EVENTS
    fine = events.filter(pc.invert(pc.starts_with(events["event_id"], "b")))
    assert set(pc.unique(fine["domain"]).to_pylist()) == {"feed", "search", "channel"}
    ids = fine["event_id"].to_pylist()
    assert 0 < len(ids) - len(set(ids)) < 0.01 * len(ids)  # the planted repeats


def test_faults_are_planted_in_their_shares(log):
    config, _, counts = log
    planted = counts["planted"]
    broken = sum(n for rule, n in planted.items() if rule not in ("late", "repeats", "too_late"))
    assert broken == pytest.approx(config.broken_share * counts["events"] * 7 / 8, rel=0.25)
    assert planted["late"] == pytest.approx(config.late_share * counts["events"], rel=0.25)


def test_the_truth_is_calibrated(log):
    _, out, counts = log
    truth = ds.dataset(out / "truth" / "exposures").to_table()
    events = ds.dataset(out / "events").to_table()
    clicks = events.filter(
        pc.and_(pc.equal(events["event_type"], "click"), pc.equal(events["domain"], "feed"))
    )
    clicked = set(
        pc.replace_substring(clicks["event_id"], "c", "f", max_replacements=1).to_pylist()
    )
    y = np.array([name in clicked for name in truth["event_id"].to_pylist()])
    p = np.asarray(truth["p_click"])
    assert counts["exposures"] == len(p)
    for part in np.array_split(np.argsort(p), 5):
        assert y[part].mean() == pytest.approx(
            p[part].mean(), abs=3.5 * (p[part].mean() / len(part)) ** 0.5 + 0.002
        )


def test_a_slate_offers_an_item_once(log):
    _, out, _ = log
    shown = duckdb.sql(f"""
        select distinct event_id, request_id, item_id
        from read_parquet('{out}/events/*/*.parquet')
        where domain = 'feed' and event_type = 'impression' and event_id like 'f%'
    """)
    again = duckdb.sql("select 1 from shown group by request_id, item_id having count(*) > 1")
    assert shown.shape[0] > 1000
    assert again.fetchall() == []


def test_who_is_no_longer_after_something_does_not_look_for_it():
    world = World(SimulationConfig(days=9, users=300, items=120, seed=5))
    intents, late = Intents(world), 0
    for day in range(9):
        found = intents.next_day(day)
        ends = intents.ends[found.user, found.source, world.category[found.item]]
        shown = day * DAY_US + found.us[found.kind == 0]
        assert (shown < ends[found.kind == 0]).all()
        late += int((ends < (day + 1) * DAY_US).sum())
    assert late > 100  # intents of which it was the last day


def test_an_order_costs_what_the_catalogue_says_and_comes_after_its_click(log):
    _, out, _ = log
    wrong = duckdb.sql(f"""
        with events as (
            from read_parquet('{out}/events/*/*.parquet') where event_id not like 'b%'
        ),
        orders as (
            select o.event_id, o.domain, o.item_id, o.value,
                coalesce(f.ts, o.ts) as ts, c.ts > o.ts as hasty
            from (from events where event_type = 'order') o
            left join events f on o.domain = 'feed' and f.event_id = 'f' || substr(o.event_id, 2)
            left join events c
                on o.domain = 'feed' and c.event_id = 'c' || substr(o.event_id, 2)
        )
        select o.event_id
        from orders o
        asof join read_parquet('{out}/items/*.parquet') i
            on o.item_id = i.item_id and o.ts >= i.valid_from
        where o.value <> i.price or o.hasty
    """)
    assert wrong.fetchall() == []


def test_never_means_never(log):
    config, _, _ = log
    assert World(config).transfer[:, :5].max() == 0
    assert World(config).transfer[:, 5:13].min() > 0.1


def test_a_number_of_many_digits_keeps_them_all():
    assert names("i", np.array([3, 999_999, 1_000_000, 10_000_001]), 6).tolist() == [
        "i000003", "i999999", "i1000000", "i10000001"]  # fmt: skip


def test_the_profile_beside_a_log_fits_it(tmp_path):
    config = SimulationConfig(days=5, users=200, items=120, sources=4)
    counts = simulate(config, tmp_path / "log")
    profile = load_profile(counts["profile"])
    assert list(profile.spec.sources) == config.source_names
    assert (profile.spec.end - profile.spec.start).days == 4
    settings = load_settings(home=tmp_path / "home", threads=1)
    lake = Lake(settings.home_of(profile.name))
    days = landed_days(profile, lake.home)
    assert len(days) == 5
    with connect(settings, lake.home) as connection:
        reports = list(ingest_days(connection, lake, profile, days))
    assert sum(report.read for report in reports) == counts["events"]
    assert sum(report.events for report in reports) > 0.97 * counts["events"]


def exposures(world, n=4000, **given):
    """Exposures that differ at random, but for what is given."""
    rng, config = np.random.default_rng(1), world.config
    drawn = {
        "user": rng.integers(config.users, size=n), "item": rng.integers(config.items, size=n),
        "us": np.zeros(n, np.int64), "band": rng.integers(4, size=n), "kind": np.zeros(n, int),
        "place": rng.integers(3, size=n), "position": np.zeros(n, int), "request": np.arange(n),
        "intent": np.ones((n, config.sources), bool), "seen": np.zeros(n, np.float32),
    }  # fmt: skip
    return Exposures(**{**drawn, **given})


def test_world_b_is_of_another_form():
    """What makes world B another one, each by its effect; world A has none of it."""
    a, b = World(CONFIG), World(replace(CONFIG, world="B"))

    def part(world, name, day=0, **given):
        return world.logits(exposures(world, **given), day)[name]

    first, second = (np.tile(intent, (4000, 1)) for intent in ([True, False], [False, True]))
    for world in (a, b):
        is_b = world is b
        apart = part(world, "carried", intent=first) + part(world, "carried", intent=second)
        together = part(world, "carried").sum(1)
        carries = apart.sum(1) > 0.5
        # Not additive, and saturating in the own taste.
        assert (together[carries] < 0.8 * apart.sum(1)[carries]).mean() == (1 if is_b else 0)
        full = carries & (part(world, "a").min(1) > 0.9)
        low, high = np.split(
            together[full][np.argsort(part(world, "own")[full])], [full.sum() // 2]
        )
        assert (low.mean() > 1.2 * high.mean()) == is_b
        # Position bias, and satiation with what was shown often.
        own = part(world, "own")
        lower = own - part(world, "own", position=np.full(4000, 5))
        sated = own - part(world, "own", seen=np.full(4000, 4, np.float32))
        assert lower == pytest.approx(0.6 if is_b else 0)
        assert sated == pytest.approx(0.3 * np.log(5) if is_b else 0)
        # The planted truth drifts halfway.
        drifts = (part(world, "a") != part(world, "a", day=CONFIG.days // 2)).any()
        assert drifts == is_b
    # Sources are confounded with taste.
    liked = []
    for world in (a, b):
        intents = Intents(world)
        intents.next_day(0)
        user, _, category = np.nonzero(intents.ends)
        liked.append(world.taste[user, category].mean())
    assert liked[1] > liked[0] + 0.5


def test_satiation_grows_with_what_is_shown_and_fades():
    world = World(replace(CONFIG, world="B"))
    sated, item, user = Satiation(world), np.array([0, 24, 1]), np.array([3, 3, 3])
    x = exposures(world, 3, user=user, item=item, intent=np.zeros((3, 2), bool))
    assert sated.seen(user, item).tolist() == [0, 0, 0]
    sated.add(x)  # items 0 and 24 are of one category
    assert sated.seen(user, item).tolist() == [2, 2, 1]
    sated.add(x)
    assert sated.seen(user, item) == pytest.approx([2 * 0.6 + 2] * 2 + [0.6 + 1])


def test_a_log_is_not_written_over(log):
    config, out, _ = log
    with pytest.raises(UsageError, match="a log already"):
        simulate(config, out)
    with pytest.raises(UsageError, match="no size"):
        SimulationConfig.sized("huge")


def test_a_log_may_be_written_where_one_stands(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    told = simulate(replace(CONFIG, days=3), Path("."))
    assert (told["out"], load_profile("profile").name) == (".", "simulated_here")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("folder", ["truth", "users", "items", "profile", "events"])
def test_a_folder_of_someone_elses_is_left_alone(tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="a folder that it would replace") as found:
        simulate(CONFIG, tmp_path)
    assert found.value.where == str(tmp_path / folder)
    assert [file.name for file in tmp_path.rglob("*.*")] == ["mine.txt"]


@pytest.mark.parametrize("form", ["A", "B"])
def test_the_oracle_ranks_the_truth_above_chance(form):
    world = World(replace(CONFIG, world=form))
    rng = np.random.default_rng(0)
    policies = {"chance": lambda rows: rng.random(rows.num_rows),
                "popular": lambda rows: -np.asarray(pc.cast(pc.utf8_slice_codeunits(rows["item_id"], 1), "int64"))}  # fmt: skip
    found = answer(world, policies, day=6, requests=400)
    gain, low, high = found.difference("truth", "chance", "ctr")
    assert low > 0.5
    assert low < gain < high
    assert found.mean("truth", "ctr") > found.mean("popular", "ctr")
    assert found.difference("chance", "chance", "ctr")[:1] == (0.0,)


def test_requests_come_when_and_where_the_log_has_them(log):
    config, out, _ = log
    feed = ds.dataset(out / "events").to_table(
        filter=(ds.field("domain") == "feed") & (ds.field("event_type") == "impression")
    )
    feed = feed.filter(pc.invert(pc.starts_with(feed["event_id"], "b")))  # not the broken ones
    asked = pa.concat_tables(
        ask_for(World(config), day=day, requests=1500, candidates=6).table for day in range(7)
    )
    for part in ("hour", "place"):
        logged, drawn = (_shares(table, part) for table in (feed, asked))
        assert set(logged) == set(drawn)
        assert all(drawn[value] == pytest.approx(logged[value], abs=0.02) for value in logged)


def _shares(table, part):
    column = pc.hour(table["ts"]) if part == "hour" else table["place"]
    counts = pc.value_counts(pc.drop_null(column)).to_pylist()
    return {c["values"]: c["counts"] / sum(other["counts"] for other in counts) for c in counts}


def test_a_candidate_is_worth_the_same_wherever_it_was_drawn():
    asked = ask_for(World(replace(CONFIG, world="B")), day=6, requests=3000, candidates=12)
    by_place = asked.chance.reshape(-1, 6).mean(0)
    assert np.ptp(by_place) < 0.1 * by_place.mean()
