"""Numbers read off curves are the first layer's product with their encoding."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exit_pipeline.model.embeddings import NumericEncoding
from exit_pipeline.model.encoders import Encoder
from exit_pipeline.model.inputs import InputSpec
from exit_pipeline.ranking.curves import Curves

NAMES = ("one", "two", "three")
# Bins of several numbers, of no width, and one for a number of one value.
EDGES = {"one": [-2.0, 0.0, 0.5, 7.0], "two": [0.0, 1.0, 1.0, 3.0], "three": [4.0, 4.0]}
ANY = st.one_of(
    st.floats(-10, 10, width=32),
    st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0, 4.0, 7.0, np.nan, np.inf, -np.inf]),
)


def encoding() -> NumericEncoding:
    inputs = InputSpec((), NAMES, {})
    return NumericEncoding(Encoder(inputs, {}, EDGES, "unit"), NAMES).eval()


@settings(deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.just(3)), elements=ANY))
def test_curves_are_the_product(numbers):
    numeric = encoding()
    weight = torch.randn(sum(numeric.widths), 5, generator=torch.Generator().manual_seed(0))
    found = torch.from_numpy(Curves(weight, numeric, np.arange(3), [3])(numbers))
    coded = numeric(torch.from_numpy(numbers), torch.zeros(len(numbers), 0, dtype=torch.bool))
    torch.testing.assert_close(found[:, 0], coded @ weight, rtol=1e-5, atol=1e-5)


def test_parts_add_up_to_the_whole_and_columns_may_be_left_out():
    numeric = encoding()
    weight = torch.randn(sum(numeric.widths), 5, generator=torch.Generator().manual_seed(0))
    numbers = np.array([[0.2, np.nan, 9.0], [5.0, 2.0, 4.0]], np.float32)
    whole = Curves(weight, numeric, np.arange(3), [3])(numbers)
    parts = Curves(weight, numeric, np.arange(3), [1, 2])(numbers)
    assert parts.shape == (2, 2, 5)
    np.testing.assert_allclose(parts.sum(1), whole[:, 0], rtol=1e-6)
    last = Curves(weight, numeric, np.array([1, 2]), [2])(numbers[:, 1:])
    np.testing.assert_array_equal(last[:, 0], parts[:, 1])
