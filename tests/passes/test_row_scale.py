import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnc.ops import ConvTranspose2d
from snnc.params import Param
from snnc.passes.row_blocks import MadeRows
from snnc.passes.row_scale import largest, quantized, row_scales
from snnc.passes.weight_grid import grid_of
from snnc.passes.weight_rows import matrix, rows_first, with_rows

ROWS = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-1e6, 1e6)
)


def searched(rows: np.ndarray, bits: int) -> np.ndarray:
    """The percentages as the module's docstring defines them: every candidate, in integers."""
    top, peak = largest(bits), np.abs(rows).max(1)
    normal = peak > max(peak.max() * 2.0**-40, np.finfo(np.float64).tiny)
    unit = rows / np.where(normal, peak, 1.0)[:, None]
    weight = float(1 << (60 - rows.shape[1].bit_length()))
    found, least = np.full(len(rows), 100.0), np.full(len(rows), np.iinfo(np.int64).max)
    for percent in range(100, 24, -1):
        step = percent / 100 / top
        error = np.minimum(np.abs(unit - np.clip(np.rint(unit / step), -top, top) * step), 1.0)
        total = np.rint(error * error * weight).astype(np.int64).sum(1)
        found[normal & (total < least)] = percent
        least = np.minimum(least, total)
    return found


@pytest.mark.parametrize("seed", range(40))
def test_the_search_finds_the_best_candidate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 20)), int(rng.choice([1, 2, 7, 90, 900])))
    rows = [rng.normal(size=shape), rng.standard_cauchy(shape), rng.integers(-4, 5, shape) * 1.0][
        seed % 3
    ]
    if seed % 4 == 0:  # ties, zeros, and rows that count as zero
        rows = np.round(rows * 4) / 4
        rows[0], rows[-1] = 0, rows[-1] * 1e-30
    bits = int(rng.integers(2, 12))
    np.testing.assert_array_equal(row_scales(rows, bits).percent, searched(rows, bits))


@given(ROWS, st.integers(2, 16))
def test_codes_are_symmetric_and_scales_positive(rows: np.ndarray, bits: int) -> None:
    scales = row_scales(rows, bits).floats
    assert (scales > 0).all()
    assert np.isfinite(scales).all()
    assert np.abs(quantized(rows, scales, bits)).max() <= largest(bits)


@given(ROWS, st.integers(2, 8))
def test_clipping_never_increases_the_error(rows: np.ndarray, bits: int) -> None:
    scales = row_scales(rows, bits).floats
    plain = np.abs(rows).max(1) / largest(bits)
    plain = np.where(plain > 0, plain, 1.0)

    def error(s: np.ndarray) -> np.ndarray:
        return ((rows - quantized(rows, s, bits) * s[:, None]) ** 2).sum(1)

    worse = error(scales) > error(plain) * (1 + 1e-9) + 1e-300
    peak = np.abs(rows).max(1)
    assert not (worse & (peak > peak.max() * 2.0**-40)).any()  # smaller rows count as zero


def test_an_outlier_is_clipped_at_few_bits() -> None:
    row = np.concatenate([np.linspace(-1, 1, 99), [4.0]])[None]
    assert row_scales(row, 2).floats[0] < 4.0


def test_denormal_weights_do_not_divide_by_zero() -> None:
    assert row_scales(np.full((1, 3), 5e-324), 8).floats.tolist() == [1.0]


def test_the_largest_weight_is_exact() -> None:
    from snnc.exact import floats, leaf

    for peak in (1.0, 0.1, 0.7, 3.3e-5):
        unit = row_scales(np.array([[peak, peak / 3]]), 8)
        if unit.percent[0] == 100:
            assert floats(unit.exact((-1,)) * leaf(127.0))[0] == peak


def test_percentile_leaves_out_the_largest_of_a_hundred() -> None:
    row = np.concatenate([np.full(99, 1.0), [50.0]])[None]
    assert row_scales(row, 8, "max").floats[0] == 50 / 127
    assert row_scales(row, 8, "percentile").floats[0] == 1 / 127
    assert row_scales(np.array([[0.0, 0.0, 3.0]]), 8, "percentile").floats[0] == 3 / 127


def test_important_weights_decide_the_scale() -> None:
    row = np.concatenate([np.linspace(-1, 1, 99), [4.0]])[None]
    importance = np.full(row.shape, 1e-6)
    importance[0, -1] = 1
    assert row_scales(row, 2).floats[0] < 4
    assert row_scales(row, 2, "mse", importance).floats[0] == 4


@pytest.mark.parametrize("method", ["max", "mse", "percentile"])
def test_rows_that_are_made_give_what_an_array_gives(method: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 700))  # several blocks
    made = MadeRows(rows.shape, lambda a, b: rows[a:b].copy())
    scales = row_scales(rows, 8, method)
    again = row_scales(made, 8, method)
    assert np.array_equal(scales.floats, again.floats)
    codes = quantized(made, scales.floats, 8)
    assert codes.dtype == np.int8
    assert np.array_equal(codes, np.clip(np.rint(rows / scales.floats[:, None]), -127, 127))
    on_grid = MadeRows(codes.shape, lambda a, b: codes[a:b] * scales.floats[a:b, None])
    found = grid_of(on_grid)
    assert found is not None
    assert np.array_equal(found[1], codes)


@pytest.mark.parametrize("groups", [1, 3])
def test_rows_of_a_transposed_convolution(groups: int) -> None:
    weight = np.random.default_rng(0).normal(size=(6, 2, 3, 5)).astype(np.float32)
    op = ConvTranspose2d(Param(weight), None, (1, 1), (0, 0), (0, 0), (1, 1), groups)
    rows = rows_first(op)
    for g in range(groups):
        inside = slice(g * 6 // groups, (g + 1) * 6 // groups)
        assert np.array_equal(rows[2 * g : 2 * g + 2], weight[inside].swapaxes(0, 1))
    assert np.array_equal(matrix(op)[1:2], rows[1:2].reshape(1, -1))
    assert np.array_equal(with_rows(op, matrix(op), None).weight.data, weight)
