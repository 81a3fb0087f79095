"""Profiles are read strictly, and mistakes are explained where they stand."""

from __future__ import annotations

import pytest

from exit_pipeline.errors import ProfileError
from exit_pipeline.profile import load_profile
from exit_pipeline.profile.load import built_in_profiles
from tests.logs import ADAPTERS, PROFILE


def write(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "profile.yaml").write_text(text)
    for table, sql in ADAPTERS.items():
        (folder / f"{table}.sql").write_text(sql)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("interest_unit: category", "intrest_unit: category", "line 6: intrest_unit: unknown key"),
        ("{values: [home", "{vals: [home", "did you mean 'values'?"),
        ("[search, channel]", "[search, feed]", "'feed' is a source too"),
        ("[search, channel]", "[search, 'a b']", "line 5: sources.1"),
        (
            "interest_unit: category",
            "interest_unit: color",
            "'color' is not one of item_id, category",
        ),
        ("group: [hour_band]", "group: [weather]", "'weather' is not one of"),
        (
            "users: {segment: {}}",
            "users: {event_id: {}, segment: {}}",
            "line 8: users.event_id: 'event_id' is a column of the contract already; rename it",
        ),
        ("start: 2026-01-05", "start: someday", "line 3: start"),
        ("[home, work]", "[home, 'a|b']", "line 10: context.place.values.1"),
        ("columns: [hour_band, day_kind, place]", "columns: []", "line 11: scene.columns: Tuple"),
        (
            "scene: {",
            "scene: {hour_bands: {}, ",
            "line 11: scene.hour_bands: Dictionary should have",
        ),
        ("scene: {", "scene: {hour_bands: {day: 6}, ", "line 11: scene.hour_bands: must start at"),
        ("group: [hour_band]", "group: [place, place]", "line 12: group: a name appears twice"),
        (
            "group:",
            "adapter: {events: events.sql}\ngroup:",
            "line 12: adapter: no file is named for items, users",
        ),
        ("group:", "start: 2026-01-06\ngroup:", "line 12: start: the key stands on line 3 already"),
        (
            "{category: {}}",
            "{category: {}, category: {}}",
            "line 7: category: the key stands on line 7",
        ),
        (
            "{category: {}}",
            "{category: {}, left: {}}",
            "line 7: items.left: 'left' is a word of SQL; rename",
        ),
        ("[search, channel]", "[search, order]", "line 5: sources.1: 'order' is a word of SQL"),
        (
            "{segment: {}}",
            "{segment: {}, user_rate: {}}",
            "'user_rate' is a column of the features",
        ),
        (
            "{segment: {}}",
            "{segment: {}, user_search: {}}",
            "a column of the domain 'search' already",
        ),
        ("{segment: {}}", "{segment: {}, category: {}}", "'category' is a column of items already"),
        (
            "users: {segment: {}}\nsegment: segment\ncontext: {",
            "context: {segment: {values: [a]}, ",
            "line 8: context.segment: 'segment' is a column of the label table already; rename it",
        ),
        ("[search, channel]", "[search, rate]", "make the column 'user_rate'"),
        ("[search, channel]", "[search, id]", "the contract and the domain 'id' would both make"),
        (
            "group:",
            "features: {availability_lag_minutes: 0}\ngroup:",
            "line 12: features.availability_lag_minutes: Input should be greater than or equal to 1",
        ),
        (
            "group:",
            "labels: {attribution_hours: 49, consistency: {own_response_days: 4}}\ngroup:",
            "line 12: labels.consistency.own_response_days: 4 days hold no response that is mature "
            "after 4; write 5 or more",
        ),
        (
            "group:",
            "labels: {consistency: {definition: rate, threshold: 9}}\ngroup:",
            "line 12: labels.consistency.threshold: `rate` reads min_rate_support; leave this out",
        ),
        (
            "group:",
            "labels: {consistency: {definition: soft, min_support: 5}}\ngroup:",
            "line 12: labels.consistency.min_support: `soft` reads no limit; leave this out",
        ),
        (
            "group:",
            "labels: {consistency: {min_rate_support: 9}}\ngroup:",
            "labels.consistency.min_rate_support: `lift` reads threshold, min_support; leave this",
        ),
        (
            "group:",
            "schedule: {daily: 0 25 * * *}\ngroup:",
            "line 12: schedule.daily: '0 25 * * *' is no cron; write minute, hour",
        ),
        (
            "group:",
            "gates: {transfer_collapse: [1.5, 0.5]}\ngroup:",
            "line 12: gates.transfer_collapse: 1.5 … 0.5 is no range",
        ),
        (
            "[search, channel]",
            "[search, raw_search]",
            "line 5: sources: the domain 'search' and the domain 'raw_search' would both make the column 'lift_raw_search'",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, old, new, words):
    assert old in PROFILE
    with pytest.raises(ProfileError) as found:
        load_profile(write(tmp_path / "p", PROFILE.replace(old, new)))
    assert words in str(found.value)


def test_text_that_is_no_profile(tmp_path):
    for text in ("", "- a\n- b\n", "a: [1", "\x00"):
        with pytest.raises(ProfileError):
            load_profile(write(tmp_path / "p", text))


def test_a_missing_adapter_and_a_missing_profile(tmp_path):
    folder = write(tmp_path / "p", PROFILE)
    (folder / "items.sql").unlink()
    with pytest.raises(ProfileError, match=r"adapter for 'items' does not exist"):
        load_profile(folder)
    with pytest.raises(ProfileError, match="did you mean 'simulated'"):
        load_profile("simulatd")


def test_the_built_in_profiles_load():
    assert built_in_profiles() == ["complete_journey", "simulated"]
    for name in built_in_profiles():
        assert load_profile(name).name == name


def test_the_hash_sees_adapters_and_the_settings_that_make_something(tmp_path):
    folder = write(tmp_path / "p", PROFILE)
    first = load_profile(folder).hash
    assert load_profile(write(tmp_path / "p", "# a remark\n" + PROFILE)).hash == first
    assert load_profile(write(tmp_path / "p", PROFILE + "outcome: click\n")).hash != first
    neither = "description: other\ngates: {max_ece: 0.5}\nmonitoring: {days: 9}\n"
    neither += "schedule: {daily: 0 4 * * *}\npolicy: [{source: search, cap: 0.5, reason: asked}]\n"
    assert load_profile(write(tmp_path / "p", PROFILE + neither)).hash == first
    write(tmp_path / "p", PROFILE)
    (folder / "events.sql").write_text("select 1")
    assert load_profile(folder).hash != first


@pytest.mark.parametrize("rule", [
    "definition: rate, min_rate_support: 9, min_support: 15", "definition: soft, threshold: null",
    "definition: lift_raw, threshold: 9, min_support: 9", "definition: rate, expectation: regression",
])  # fmt: skip
def test_a_definition_takes_what_it_reads_and_defaults(tmp_path, rule):
    assert load_profile(write(tmp_path / "p", PROFILE + f"labels: {{consistency: {{{rule}}}}}\n"))


def test_maturity_follows_from_the_windows(tmp_path):
    def maturity(labels):
        return load_profile(write(tmp_path / "p", PROFILE + labels)).spec.labels.maturity_days

    assert maturity("") == 2
    assert maturity("labels: {attribution_hours: 25}\n") == 3
    assert maturity("labels: {ahead_hours: 168}\n") == 8
