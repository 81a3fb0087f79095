"""Versions, decisions and aliases; validation of tables."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, TEMPORARILY_UNAVAILABLE
from mlflow.tracking import MlflowClient

from exit_pipeline.errors import (
    ChampionChanged,
    GateRefusal,
    RegistryError,
    UsageError,
    ValidationError,
    ValidationRunError,
)
from exit_pipeline.evaluation.gates import Decision, GateResult
from exit_pipeline.registry import Registry, reading
from exit_pipeline.registry.store import make_store, make_sure
from exit_pipeline.settings import load_settings

YES = Decision(True, "every gate passed", [GateResult("calibrated", True, "0.01", "0.02")])
NO = Decision(False, "refused by calibrated", [GateResult("calibrated", False, "0.03", "0.02")])


@pytest.fixture
def registry(tmp_path, empty_store):
    found = Registry(load_settings(home=tmp_path / "home").home_of("small"), "small")
    found.home.mlflow.mkdir(parents=True)
    shutil.copy(empty_store, found.home.mlflow)
    return found


@pytest.fixture
def register(registry, tmp_path):
    """Registers a version of some bytes."""
    folders = {name: tmp_path / name for name in ("model", "baseline")}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "description.json").write_text(f'{{"name": "{name}"}}')
        (folder / "model.safetensors").write_bytes(b"weights")
    lineage = {"model": "exit", "seed": 7, "profile_text": "long " * 4000}
    return lambda **more: registry.register(folders, {"epochs": 3}, lineage, **more)


def test_a_models_life(registry, register):
    first = register()
    assert registry.get("challenger").version == first
    assert registry.find("champion") is None
    registry.record(first, {"auc": 0.7}, "evaluation.json", {"all": {}})
    registry.decide(first, YES)
    second = register()
    with pytest.raises(GateRefusal, match="refused by calibrated"):
        registry.decide(second, replace(NO, champion=first))
    assert registry.get("champion").version == first
    registry.force(second, "we know better")
    assert registry.get("champion").version == second

    shown = [version.to_dict() for version in registry.versions()]
    assert [(v["version"], v["decision"]) for v in shown] == [(1, "promoted"), (2, "promoted")]
    assert shown[0]["metrics"] == {"auc": 0.7}
    assert shown[1]["aliases"] == ["challenger", "champion"]
    assert shown[1]["reason"] == "by hand: we know better"
    assert [entry["decision"] for entry in shown[1]["history"]] == ["refused", "promoted"]
    assert registry.get(2).lineage["seed"] == 7
    assert registry.get(2).lineage["profile_text"] == "long " * 4000
    assert (registry.folder(1) / "model.safetensors").read_bytes() == b"weights"
    assert registry.folder(1, "baseline").name == "baseline"
    assert not [
        f for f in registry.home.mlflow.rglob("*") if f.suffix in (".pkl", ".pickle", ".joblib")
    ]


def test_no_version_is_seen_before_all_of_it_is_kept(registry, register, monkeypatch):
    def away(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(registry.client, "log_dict", away)
        with pytest.raises(OSError, match="full"):
            register(documents={"reference.json": {"counts": 1}})
    assert registry.versions() == []
    assert registry.find("challenger") is None
    version = register(documents={"reference.json": {"counts": 1}})
    assert registry.document(version, "reference.json") == {"counts": 1}


def test_rolling_back_takes_champions_off_a_stack(registry, register):
    for _ in range(4):
        register()
    for version, before in ((1, None), (2, 1), (3, 2)):
        assert registry.decide(version, replace(YES, champion=before))
    assert not registry.decide(3, YES)  # it is champion already
    assert not registry.force(3, "again")
    assert registry.rollback("3 was worse") == 2
    assert registry.rollback("so was 2") == 1
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("so was 1")
    assert [e["version"] for e in registry.history() if e["alias"] == "champion"] == [1, 2, 3, 2, 1]

    with pytest.raises(UsageError, match="version 4 never was champion"):
        registry.rollback("why not", to=4)
    with pytest.raises(UsageError, match="version 1 is the champion"):
        registry.rollback("why not", to=1)
    assert registry.get(3).withdrawn == "3 was worse"
    assert (registry.get(3).decision, registry.get(3).reason) == ("rolled back from", "3 was worse")
    assert registry.rollback("3 was right", to=3) == 3
    assert registry.get(3).withdrawn == ""
    words = [entry["decision"] for entry in registry.get(3).history]
    assert words == ["promoted", "rolled back from", "rolled back to"]
    assert registry.force(2, "x" * 9000)
    tags = registry.client.get_registered_model(registry.name).tags
    tags |= registry.client.get_model_version(registry.name, "2").tags
    assert max(len(value) for value in tags.values()) < 5000


def test_a_rollback_that_dies_half_way_withdraws_no_champion_and_is_ended_by_the_next(
    registry, register, monkeypatch
):
    for _ in range(2):
        registry.force(register(), "for the test")

    def dies(method: str, word: str) -> None:
        real = getattr(Registry, method)

        def dying(self, *arguments):
            if word in arguments:
                raise OSError("killed")
            return real(self, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(Registry, method, dying)
            with pytest.raises(OSError, match="killed"):
                registry.rollback("2 was worse")

    dies("_alias", "rolled back to")
    assert (registry.number("champion"), registry.get(2).withdrawn) == (2, "")
    dies("_note", "rolled back from")
    assert registry.number("champion") == 1
    with pytest.raises(ChampionChanged, match="version 2 was rolled back from"):
        registry.decide(2, replace(YES, champion=1))
    assert (registry.number("champion"), registry.get(2).withdrawn) == (1, "2 was worse")
    assert registry.get(2).decision == "rolled back from"


def test_a_move_that_never_reached_the_alias_is_none(registry, register, monkeypatch):
    def dies(*arguments):
        with monkeypatch.context() as patched:
            patched.setattr(registry.client, "set_registered_model_alias", killed)
            with pytest.raises(OSError, match="killed"):
                registry.force(*arguments)

    def killed(*_):
        raise OSError("killed")

    def champions():
        return [move["version"] for move in registry.moves()]

    for _ in range(4):
        register()
    dies(4, "the first")
    assert (registry.number("champion"), champions(), registry.earlier()) == (None, [], None)
    registry.force(1, "for the test")
    dies(2, "better")
    assert (registry.number("champion"), champions(), registry.earlier()) == (1, [1], None)
    assert registry.get(2).history == []
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("1 was worse")
    dies(2, "better")
    registry.force(3, "better still")
    assert champions() == [1, 3]
    with pytest.raises(UsageError, match="version 2 never was champion"):
        registry.rollback("3 was worse", to=2)
    assert registry.rollback("3 was worse") == 1


def test_what_was_promoted_is_written_down_by_the_next_where_a_process_died_after_the_alias(
    registry, register, monkeypatch
):
    for _ in range(2):
        register()
    registry.force(1, "for the test")
    registry.force(2, "for the test")
    registry.rollback("2 was worse")
    with monkeypatch.context() as patched:
        patched.setattr(Registry, "_settle", lambda self: None)
        registry.force(2, "it was not")
    assert (registry.get(2).decision, registry.get(2).withdrawn) == (
        "rolled back from",
        "2 was worse",
    )
    assert not registry.force(2, "again")
    assert (registry.get(2).reason, registry.get(2).withdrawn) == ("by hand: it was not", "")


def test_a_rollback_goes_to_a_withdrawn_version_only_where_it_is_named(registry, register):
    for _ in range(3):
        registry.force(register(), "for the test")
    assert registry.rollback("3 was worse") == 2
    assert registry.rollback("3 was right", to=3) == 3  # 2 is withdrawn
    assert registry.rollback("it was not") == 1
    with pytest.raises(RegistryError, match="no earlier champion that was not itself rolled back"):
        registry.rollback("1 was worse")
    assert registry.rollback("1 was worse", to=2) == 2


def test_an_alias_moved_by_hand_is_left_where_it_is(registry, register):
    for _ in range(3):
        registry.force(register(), "for the test")
    registry.client.set_registered_model_alias(registry.name, "champion", "1")
    assert registry.earlier() is None
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("1 was worse")
    assert (registry.number("champion"), len(registry.moves())) == (1, 3)


def test_a_move_that_somebody_took_back_by_hand_stays_on_record(registry, register):
    for _ in range(3):
        register()
    registry.force(1, "the first")
    registry.force(2, "better")
    registry.client.set_registered_model_alias(registry.name, "champion", "1")
    registry.force(3, "better still")
    held = [move["version"] for move in registry.history() if move["alias"] == "champion"]
    assert held == [1, 2, 3]


def test_a_version_that_was_deleted_holds_nobody_up(registry, register):
    for _ in range(4):
        register()
    for version in (1, 2, 3):
        registry.force(version, "for the test")
    assert registry.rollback("3 was worse") == 2
    registry.client.delete_model_version(registry.name, "3")
    assert registry.force(4, "for the test")
    registry.client.delete_model_version(registry.name, "2")
    assert registry.earlier() == 1
    assert registry.rollback("4 was worse") == 1


def test_what_was_found_last_stands_though_it_is_less(registry, register):
    version = register()
    for auc in (0.9, 0.7):
        registry.record(version, {"auc": auc}, "evaluation.json", {})
    assert registry.get(version).metrics == {"auc": 0.7}


def test_a_version_is_not_promoted_over_a_champion_that_its_gates_did_not_see(registry, register):
    for _ in range(3):
        register()
    assert registry.decide(1, YES)
    registry.force(2, "meanwhile")
    for seen in (None, 1):
        with pytest.raises(ChampionChanged, match="the champion is version 2, where it was"):
            registry.decide(3, replace(YES, champion=seen))
    assert (registry.number("champion"), registry.get(3).history) == (2, [])
    assert registry.decide(3, replace(YES, champion=2))


def test_of_two_who_go_back_at_once_only_one_does(registry, register, monkeypatch):
    for _ in range(3):
        registry.force(register(), "for the test")
    both, mine, number = threading.Barrier(2), threading.local(), Registry.number

    def seen_by_both(self, which):
        found = number(self, which)
        if not hasattr(mine, "met"):
            mine.met = both.wait(120)
        return found

    def go_back(reason):
        try:
            return Registry(registry.home, "small").rollback(reason)
        except ChampionChanged as changed:
            return changed.what
        except RegistryError as error:
            both.abort()
            return str(error)

    with monkeypatch.context() as patched, ThreadPoolExecutor(2) as threads:
        patched.setattr(Registry, "number", seen_by_both)
        told = set(threads.map(go_back, ["3 was worse", "3 was bad"]))
    assert told == {
        2,
        "the champion is version 2, where it was version 3 when this was decided",
    }
    assert [e["version"] for e in registry.history() if e["alias"] == "champion"] == [1, 2, 3, 2]
    with pytest.raises(ChampionChanged):
        registry.rollback("3 was worse", to=1, leave=3)


def test_a_store_that_hangs_holds_up_no_other(registry, tmp_path, monkeypatch):
    hung, let_go = threading.Event(), threading.Event()

    def hang(file):
        if file.is_relative_to(tmp_path / "away"):
            hung.set()
            let_go.wait(60)

    monkeypatch.setattr(reading, "make_store", hang)
    away = Registry(load_settings(home=tmp_path / "away").home_of("small"), "small")
    with ThreadPoolExecutor(2) as threads:
        threads.submit(lambda: away.client)
        assert hung.wait(30)
        other = threads.submit(lambda: registry.find("champion"))
        try:
            assert other.result(30) is None
        finally:
            let_go.set()


def test_what_is_not_there(registry, register):
    register()
    for which in (99, "99", "nosuch", "no such!"):
        with pytest.raises(RegistryError, match="no version or alias"):
            registry.get(which)
        assert registry.find(which) is None


@pytest.mark.parametrize("which", [1, "champion"])
def test_a_store_that_is_away_does_not_mean_that_nothing_is_there(registry, monkeypatch, which):
    def away(*arguments):
        raise MlflowException("the database is locked", TEMPORARILY_UNAVAILABLE)

    for name in ("get_model_version", "get_model_version_by_alias"):
        monkeypatch.setattr(registry.client, name, away)
    for look in (registry.find, registry.get):
        with pytest.raises(RegistryError, match=r"could not be reached.*locked"):
            look(which)


@pytest.mark.parametrize("look", ["get_experiment_by_name", "search_registered_models"])
def test_of_two_processes_that_first_touch_a_registry_both_find_it(registry, monkeypatch, look):
    really, looked = getattr(MlflowClient, look), []

    def before_the_other_made_it(self, *arguments):
        looked.append(arguments)
        if len(looked) == 1:
            with monkeypatch.context() as other:
                other.setattr(MlflowClient, look, really)
                assert Registry(registry.home, "small").client
            return []
        return really(self, *arguments)

    monkeypatch.setattr(MlflowClient, look, before_the_other_made_it)
    assert registry.versions() == []
    assert len(looked) == 2


@pytest.mark.parametrize("code", [TEMPORARILY_UNAVAILABLE, RESOURCE_ALREADY_EXISTS])
def test_what_cannot_be_made_nor_found_is_a_failure(code):
    def refused():
        raise MlflowException("no", code)

    with pytest.raises(MlflowException, match="no"):
        make_sure(lambda: None, refused)


def test_validation_spills_to_a_folder_of_its_own(tmp_path, monkeypatch):
    from exit_pipeline.validation import run
    from tests.logs import SmallLog, at, event

    log, used = SmallLog(tmp_path), []
    log.run({0: [event("e", at(0))], 1: [], 2: []})
    make = run.in_memory_engine
    monkeypatch.setattr(run, "in_memory_engine", lambda *given: used.append(given) or make(*given))
    home = log.lake.home
    run.validate("events", log.lake.files("events"), ["ds"], [], log.settings, home)
    ((_, _, folder),) = used
    assert Path(folder).parent == home.spill
    assert Path(folder).name.startswith(f"{os.getpid()}-")
    assert list(home.spill.iterdir()) == []


def test_a_suite_passes_good_data_and_names_bad_rows(tmp_path):
    from exit_pipeline.validation import SUITES, rules_for
    from exit_pipeline.validation.run import validate
    from exit_pipeline.validation.suites import Rule, between, present
    from tests.logs import SmallLog, at, event

    log = SmallLog(tmp_path)
    log.run(
        {
            0: [
                event("s", at(0), "click", domain="search"),
                event("e", at(0, "13:00"), position=2),
            ],
            1: [],
            2: [],
        }
    )
    home, spec = log.lake.home, log.profile.spec

    def check(table, rules):
        return validate(
            table, log.lake.files(table), log.lake.partitions(table), rules, log.settings, home
        )

    for table in ("events", "impressions", "source_interest", "icl_labels"):
        report = check(table, rules_for(table, spec))
        assert report.passed, report.markdown()
        report.raise_for_status()
    assert set(SUITES) >= {"events", "training_set", "user_interest"}

    report = check("events", [*present("event_id", "position"), between("position", 0, 1)])
    assert [o.passed for o in report.outcomes] == [True, False, False]
    assert [o.unexpected for o in report.outcomes] == [0, 1, 1]
    assert "event_id=s" in report.outcomes[1].examples[0]
    assert "event_id=e" in report.outcomes[2].examples[0]
    with pytest.raises(ValidationError, match="every row has position: 1 rows"):
        report.raise_for_status()
    (page,) = (home.reports / "data_docs" / "events" / "validations").rglob("*.html")
    said = " ".join(re.sub(r"<[^>]+>", " ", page.read_text("utf-8")).split())
    assert "Unsuccessful Expectations 2" in said
    assert re.search(
        r"\bposition Status Expectation Observed Value values must never be null", said
    )
    with pytest.raises(ValidationRunError, match="could not be checked"):
        check("events", present("nosuch"))
    with pytest.raises(ValidationRunError):
        check(
            "events",
            [
                Rule(
                    "ExpectColumnMeanToBeBetween",
                    "a mean of text",
                    {"column": "user_id", "min_value": 0},
                )
            ],
        )


def test_a_store_that_was_being_made_when_its_process_died_is_made_anew(tmp_path, monkeypatch):
    file = tmp_path / "mlflow" / "mlflow.db"

    def dies(self, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "search_experiments", dies)
        with pytest.raises(KeyboardInterrupt):
            make_store(file)
    assert not file.exists()
    make_store(file)
    held = file.read_bytes()
    make_store(file)
    assert file.read_bytes() == held
    assert MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    assert [found.name for found in file.parent.iterdir()] == ["mlflow.db"]


def test_what_a_server_hands_out_is_fetched_once_and_leaves_nothing_behind(
    registry, monkeypatch, tmp_path
):
    fetched, temporary = [], tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    version = SimpleNamespace(source="mlflow-artifacts:/1/run/artifacts/model", run_id="run")
    registry._client = SimpleNamespace(get_model_version=lambda *_: version)
    monkeypatch.setattr(registry, "get", lambda which: SimpleNamespace(version=which))

    def download_artifacts(artifact_uri: str, tracking_uri: str, dst_path: str) -> str:
        fetched.append(artifact_uri)
        place = Path(dst_path) / "artifacts"
        (place / "model").mkdir(parents=True)
        (place / "model" / "description.json").write_text("{}")
        return str(place)

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download_artifacts)
    for _ in range(2):
        assert (registry.folder(1) / "description.json").read_text() == "{}"
    assert fetched == ["mlflow-artifacts:/1/run/artifacts/model/artifacts"]
    assert [*temporary.iterdir(), *registry.home.spill.iterdir()] == []
    assert list((registry.home.mlflow / "artifacts").glob("**/description.json"))
