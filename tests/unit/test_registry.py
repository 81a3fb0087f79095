"""Versions, decisions and aliases; validation of tables."""

from __future__ import annotations

import pytest

from exit_pipeline.errors import GateRefusal, RegistryError, ValidationError, ValidationRunError
from exit_pipeline.evaluation.gates import Decision, GateResult
from exit_pipeline.registry import Registry
from exit_pipeline.settings import load_settings

YES = Decision(True, "every gate passed", [GateResult("calibrated", True, "0.01", "0.02")])
NO = Decision(False, "refused by calibrated", [GateResult("calibrated", False, "0.03", "0.02")])


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    root = tmp_path_factory.mktemp("registry")
    return Registry(load_settings(home=root / "home").home_of("small"), "small")


def test_a_models_life(registry, tmp_path):
    for name in ("model", "baseline"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "description.json").write_text(f'{{"name": "{name}"}}')
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    folders = {name: tmp_path / name for name in ("model", "baseline")}

    def register():
        return registry.register(folders, {"epochs": 3}, {"model": "exit", "seed": 7})

    first = register()
    assert registry.get("challenger").version == first
    assert registry.find("champion") is None
    registry.record(first, {"auc": 0.7}, "evaluation.json", {"all": {}})
    registry.decide(first, YES)
    second = register()
    with pytest.raises(GateRefusal, match="refused by calibrated"):
        registry.decide(second, NO)
    assert registry.get("champion").version == first
    registry.force(second, "we know better")
    assert registry.get("champion").version == second
    assert registry.rollback("it was not better") == first

    shown = [version.to_dict() for version in registry.versions()]
    assert [(v["version"], v["decision"]) for v in shown] == [
        (1, "rolled back to"),
        (2, "promoted"),
    ]
    assert shown[0]["aliases"] == ["champion"]
    assert shown[0]["metrics"] == {"auc": 0.7}
    assert shown[1]["reason"] == "by hand: we know better"
    champions = [e["version"] for e in registry.history() if e["alias"] == "champion"]
    assert champions == [1, 2, 1]
    assert registry.get(2).lineage["seed"] == 7
    assert (registry.folder(1) / "model.safetensors").read_bytes() == b"weights"
    assert registry.folder(1, "baseline").name == "baseline"
    assert not [
        f for f in registry.home.mlflow.rglob("*") if f.suffix in (".pkl", ".pickle", ".joblib")
    ]


def test_what_is_not_there(registry):
    for which in (99, "99", "nosuch"):
        with pytest.raises(RegistryError, match="no version or alias"):
            registry.get(which)


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
    assert "position" in (home.reports / "data_docs" / "events" / "index.html").read_text() or list(
        (home.reports / "data_docs" / "events").rglob("*.html")
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
