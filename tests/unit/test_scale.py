"""The bench of scale: what it fits, and a small form of what it measures."""

from __future__ import annotations

import pytest

from exit_pipeline.bench import whole
from exit_pipeline.bench.scale import QUICK, ROWS, SHARES, WHOLE, growth, run
from exit_pipeline.bench.scale_training import alone, prepare_rows, together
from exit_pipeline.bench.steps import STEPS, TABLES, stage
from exit_pipeline.bench.training import BATCH
from exit_pipeline.simulator import SimulationConfig, simulate
from exit_pipeline.training.loop import TOLD_STEPS


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_growth_finds_the_exponent_of_a_power(exponent):
    sizes = [WHOLE // share for share in SHARES]
    assert growth(sizes, [3 * n**exponent for n in sizes]) == pytest.approx(exponent)


@pytest.mark.parametrize("name", ROWS)
def test_a_quick_epoch_has_steps_to_tell_of(name):
    assert ROWS[name] // QUICK > TOLD_STEPS * BATCH


def test_an_epoch_without_them_is_refused(tmp_path):
    prepare_rows(tmp_path, "towers", 8_000)
    with pytest.raises(ValueError, match="too few rows"):
        alone(str(tmp_path), "towers")


@pytest.mark.slow
def test_rows_are_counted_alike_in_one_process_and_in_two(tmp_path):
    prepare_rows(tmp_path, "towers", (TOLD_STEPS + 1) * BATCH)
    told = [how(str(tmp_path), "towers") for how in (alone, together)]
    assert [one["rows"] for one in told] == [TOLD_STEPS * BATCH] * 2
    assert min(one["wall_s"] for one in told) > 0


@pytest.mark.long
def test_the_command_reports_what_is_to_be_reached():
    found = run(quick=True)
    ratios, figures = found["ratios"], found["figures"]
    assert ratios.keys() == {"spark_cpu_per_duckdb", "speedup_ddp_2", "speedup_ddp_2_exit"}
    assert ratios["speedup_ddp_2"] > 0
    assert figures.keys() >= {"growth_exponent_labels", "peak_mb_200m"}
    assert figures["peak_mb_200m"] is None  # it was no log of 200 million events
    assert figures["peak_mb"] > 0


@pytest.mark.long
def test_a_log_goes_through_every_stage():
    found = whole.run(quick=True)
    assert found["ours"].keys() == {"simulate", *STEPS}
    assert found["figures"]["peak_mb"] < 4_000
    assert found["figures"]["events"] > found["figures"]["exposures"] > 0


def test_each_stage_along_an_axis_makes_its_tables(tmp_path):
    simulate(SimulationConfig(days=11, users=60, items=60, sources=3), tmp_path / "log")
    home = tmp_path / "home"
    for name in STEPS:
        told = stage(name, str(tmp_path / "log"), str(home), ["hour_band", "segment"])
        assert (told["mb"] > 0) == (name in TABLES)
        assert told["cpu_s"] > 0
    (lake,) = home.glob("*/lake")
    made = {folder.name for folder in lake.glob("[!.]*")}
    assert {"events", "icl_labels", "scene_features", "training_set"} <= made
