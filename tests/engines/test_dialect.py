"""What has no form for Spark is refused, not rewritten to something else."""

from __future__ import annotations

import pytest

from exit_pipeline.engines.dialect import to_spark

JOINED = "select m.a, d.b from m asof left join (from s) as d on "


def test_an_asof_join_is_one_on_the_keys():
    found = to_spark(JOINED + "d.u = m.u and d.t <= m.t", {})
    assert "PARTITION BY `u` ORDER BY `t`" in found
    assert "(`d`.`followed_at` IS NULL OR `m`.`t` < `d`.`followed_at`)" in found
    assert "ASOF" not in found


@pytest.mark.parametrize(
    "condition",
    ["m.u = d.u and d.t <= m.t", "d.u = m.u and m.t >= d.t", "d.u = m.u and d.t <= m.t and d.k <> 1",
     "d.t <= m.t", "d.u = m.u and d.v = 1 and d.t < m.t"],
)  # fmt: skip
def test_another_asof_join_is_refused(condition):
    with pytest.raises(ValueError, match="no form for Spark: ASOF"):
        to_spark(JOINED + condition, {})
