import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.passes.exact_product import ExactLayers, product
from snnc.passes.gptq import Compensation, damped, lower_factor, row_errors, upper_factor
from snnc.passes.row_scale import largest, quantized, row_scales

Floats = npt.NDArray[np.float64]


def correlated(columns: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Weights of 32 rows, and the Hessian of spikes that share a few causes."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(3000, 12)) @ rng.normal(size=(12, columns)) / 2
    spikes = (causes + 0.5 * rng.normal(size=(3000, columns)) > 1).astype(np.float64)
    return rng.normal(size=(32, columns)), spikes.T @ spikes / len(spikes)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq_halves_the_error_of_rounding_on_correlated_inputs(bits: int) -> None:
    rows, hessian = correlated(150)  # more than one block
    scales = row_scales(rows, bits).floats
    rounded = row_errors(rows, scales, quantized(rows, scales, bits), hessian).sum()
    codes = Compensation(hessian).codes(rows, scales, bits)
    assert row_errors(rows, scales, codes, hessian).sum() < 0.5 * rounded
    assert np.abs(codes).max() <= largest(bits)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_descent_never_grows_the_damped_error(seed: int, bits: int) -> None:
    rows, hessian = correlated(12, seed)
    scales = row_scales(rows, bits).floats
    before, solver = quantized(rows, scales, bits), Compensation(hessian)
    after = solver.improved(rows, scales, bits, before)
    h = damped(hessian)
    old, new = (row_errors(rows, scales, c, h) for c in (before, after))
    assert (new <= old * (1 + 1e-9) + 1e-12).all()
    assert np.array_equal(after, solver.improved(rows, scales, bits, after))


def test_without_correlation_gptq_is_rounding() -> None:
    rows, _ = correlated(20)
    scales = row_scales(rows, 4).floats
    assert np.array_equal(
        Compensation(np.eye(20)).codes(rows, scales, 4), quantized(rows, scales, 4)
    )


def test_inputs_that_were_never_seen_are_rounded() -> None:
    rows, hessian = correlated(20)
    hessian[3] = hessian[:, 3] = 0
    scales = row_scales(rows, 4).floats
    codes = Compensation(hessian).codes(rows, scales, 4)
    assert np.array_equal(codes[:, 3], quantized(rows, scales, 4)[:, 3])
    silent = Compensation(np.zeros((20, 20))).codes(rows, scales, 4)
    assert np.array_equal(silent, quantized(rows, scales, 4))


@pytest.mark.parametrize("columns", [1, 128, 300])
def test_factors(columns: int) -> None:
    _, hessian = correlated(columns)
    h = damped(hessian)
    assert np.allclose(lower_factor(h), np.linalg.cholesky(h), rtol=0, atol=1e-11)
    upper = upper_factor(h)
    assert np.array_equal(upper, np.triu(upper))
    assert np.allclose(upper @ upper.T, h, rtol=0, atol=1e-11)


def test_products_do_not_depend_on_the_order_of_sums() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 500)), rng.normal(size=(500, 30))
    a[3] *= 1e9
    order = rng.permutation(500)
    assert np.array_equal(product(a, b), product(a[:, order], b[order]))
    size = np.abs(a).max(1)[:, None] * np.abs(b).max(0) * 500
    assert (np.abs(product(a, b) - a @ b) < 2.0**-36 * size).all()


def test_layers_do_not_depend_on_the_order_of_sums() -> None:
    from snnc.ops import Conv2d, Linear
    from snnc.params import Param

    rng = np.random.default_rng(0)
    w, order = rng.normal(size=(20, 400)), rng.permutation(400)
    for x in (rng.random((16, 400)) < 0.2, rng.normal(size=(16, 400))):
        ours = ExactLayers()(Linear(Param(w)), [x.astype(np.float64)])
        moved = ExactLayers()(Linear(Param(w[:, order])), [x[:, order].astype(np.float64)])
        assert np.array_equal(ours, moved)
        assert np.allclose(ours, x @ w.T, rtol=0, atol=1e-3)
        image, kernel = x.reshape(16, 4, 10, 10).astype(np.float64), w.reshape(20, 4, 10, 10)
        maps = ExactLayers()(Conv2d(Param(kernel)), [image])
        assert np.array_equal(maps[..., 0, 0], ours)
