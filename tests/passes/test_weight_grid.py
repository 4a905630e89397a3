"""Weights that are integers already are kept, code for code, through folding and export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import snnc
from snnc.graph import Graph
from snnc.ops import BatchNorm, Conv2d, Linear, Output, TimeSum
from snnc.passes.weight_grid import grid_of
from tests.models import model_file
from tests.realgraphs import lif, mlp, param, projected, recurrent, residual_conv

Floats = npt.NDArray[np.float64]


def single(x: Floats) -> Floats:
    return np.asarray(x, np.float32).astype(np.float64)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("scales", ["row", "tensor", "even"])
def test_integers_of_float32_weights_are_found(bits: int, scales: str) -> None:
    rng, top = np.random.default_rng(bits), (1 << (bits - 1)) - 1
    codes = rng.integers(-top, top + 1, (20, 30))
    codes[:, 0], codes[3] = 1, 0
    step = rng.uniform(1e-4, 2, (20, 1)) if scales == "row" else np.full((20, 1), 0.0371)
    found = grid_of(single(codes * (step * (2 if scales == "even" else 1))))
    assert found is not None
    np.testing.assert_array_equal(found[1], codes)
    values = found[0].floats[:, None] * codes
    np.testing.assert_allclose(values, codes * step * (2 if scales == "even" else 1), 1e-6)


def test_a_shared_scale_is_kept_where_rows_could_have_coarser_ones() -> None:
    codes = np.array([[2, -4, 6], [1, 3, -5], [0, 0, 0]])
    found = grid_of(single(codes * 0.3))
    assert found is not None
    np.testing.assert_array_equal(found[1], codes)
    assert len(set(found[0].floats)) == 1


def test_numbers_on_no_grid_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    for shape in ((500, 3), (200, 9), (50, 784)):
        assert grid_of(single(rng.normal(size=shape))) is None
    almost = np.array([[0.25, 0.5, 0.7501]])
    assert grid_of(almost) is None
    assert grid_of(np.zeros((3, 4))) is None
    assert grid_of(np.array([[1.0, 128.0]])) is None  # more than 8 bits


def _on_grid(graph: Graph, bits: int, shared: bool = True) -> dict[str, npt.NDArray[np.int64]]:
    """Put the weights of all layers on a grid; returns the integers."""
    rng, top, found = np.random.default_rng(bits), (1 << (bits - 1)) - 1, {}
    for i, node in enumerate(graph.nodes):
        if isinstance(node.op, Linear | Conv2d):
            codes = rng.integers(-top, top + 1, node.op.weight.shape)
            codes.reshape(len(codes), -1)[:, 0] = top
            step = 0.0371 if shared else 0.0371 + 0.01 * i
            graph.replace(replace(node, op=replace(node.op, weight=param(codes * step))))
            found[node.name] = codes
    return found


@pytest.mark.parametrize(("bits", "given"), [(2, 2), (3, 8), (4, 4), (8, 8)])
@pytest.mark.parametrize("method", ["mse", "gptq"])
def test_layers_keep_their_codes_with_any_method(
    tmp_path: Path, bits: int, given: int, method: str
) -> None:
    graph = mlp()
    codes = _on_grid(graph, bits, shared=False)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((40, 16, 12)))
    made = snnc.compile(
        model_file(tmp_path, graph),
        tmp_path / "net",
        bits=given,
        method=method,
        calibration=tmp_path / "x.npy",
    )
    program = made.graph()
    for name, kept in codes.items():
        np.testing.assert_array_equal(program[name].op.weight.data, kept)  # type: ignore[attr-defined]
    facts = {layer.name: layer.facts for layer in made.manifest.layers}
    assert {facts[name]["method"] for name in codes} == {"kept"}
    assert not any("W34" in w for w in made.manifest.warnings)


def test_batch_norm_is_folded_into_scales_not_into_codes(tmp_path: Path) -> None:
    graph = residual_conv()
    assert any(isinstance(n.op, BatchNorm) for n in graph.nodes)
    codes = _on_grid(graph, 4, shared=False)
    made = snnc.compile(model_file(tmp_path, graph), tmp_path / "net", bits=4)
    for name, kept in codes.items():
        found = made.graph()[name].op.weight.data.reshape(kept.shape)  # type: ignore[attr-defined]
        sign = np.where((found * kept).reshape(len(kept), -1).sum(1) < 0, -1, 1)
        np.testing.assert_array_equal(found, kept * sign.reshape(-1, *[1] * (kept.ndim - 1)))


def test_layers_of_one_neuron_keep_a_scale_that_they_share(tmp_path: Path) -> None:
    graph = recurrent()
    codes = _on_grid(graph, 3)
    made = snnc.compile(model_file(tmp_path, graph), tmp_path / "a", bits=3)
    for name, kept in codes.items():
        np.testing.assert_array_equal(made.graph()[name].op.weight.data, kept)  # type: ignore[attr-defined]
    _on_grid(graph, 3, shared=False)
    made = snnc.compile(model_file(tmp_path, graph), tmp_path / "b", bits=3)
    said = [w for w in made.manifest.warnings if "W343" in w]
    assert len(said) == 2
    assert "feed one neuron with different scales" in said[0]


def test_too_few_bits_are_said(tmp_path: Path) -> None:
    graph = mlp()
    _on_grid(graph, 4)
    made = snnc.compile(model_file(tmp_path, graph), tmp_path / "net", bits=3)
    said = [w for w in made.manifest.warnings if "W343" in w]
    assert len(said) == 2
    assert "integers of 4 bits, which are rounded to fewer" in said[0]


def test_inputs_of_different_units_are_said(tmp_path: Path) -> None:
    graph, _ = projected("states", 0)
    s = lif(graph, "lif", "fc")
    other = Linear(param(np.random.default_rng(1).integers(-3, 4, (4, 8)) * 0.25))
    graph.add("late", other, "lif.add")  # membranes, each in units of its own row
    graph.add("sum", TimeSum(), lif(graph, "end", "late"))
    graph.add("out", Output(), "sum")
    assert s in graph
    made = snnc.compile(model_file(tmp_path, graph), tmp_path / "net")
    said = [w for w in made.manifest.warnings if "W343" in w]
    assert any("late: the weights are integers already" in w for w in said)
    assert any("its inputs have different units" in w for w in said)
