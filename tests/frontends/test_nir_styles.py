"""NIR files in the style of every age and exporter: executed against the equations, or refused.

With the real files of ``test_nir_corpus.py`` these are what exporters write, and what goes wrong.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError, Severity
from tests.hostile.attacks import Stopwatch
from tests.nirfiles import chain_of, codes, library_reads, read
from tests.nirreference import Reference
from tests.nirstyles import (
    DT,
    VALID,
    N,
    Node,
    Style,
    chain,
    conv,
    lif,
    linear,
    port,
    without,
    write,
)

STEPS = 30


@pytest.mark.parametrize("name", VALID)
def test_valid_files_follow_the_equations(tmp_path: Path, name: str) -> None:
    style = VALID[name]
    model = read(write(tmp_path / "n.nir", style), style.options)
    rng = np.random.default_rng(len(name))
    x = {k: rng.uniform(0, 1, (STEPS, *shape)) for k, shape in style.shapes.items()}
    found, _ = FloatSimulator(model.graph).run({k: v[None] for k, v in x.items()})
    dt = 1.0 if "dt=1," in f"{style.options}," else DT
    expected = Reference(*style.whole, dt, style.late).run(x)
    assert set(found) == set(expected)
    for key, values in expected.items():
        assert values.shape[0] == STEPS
        assert 0 < np.count_nonzero(values) < values.size or not np.isin(values, (0, 1)).all()
        assert values.std() > 0
        if np.isin(values, (0, 1)).all():
            np.testing.assert_array_equal(found[key][0], values)
        else:
            np.testing.assert_allclose(found[key][0], values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("time axis in the input", "batch or time"),
        ("flatten of torch", "counts the batch axis"),
        ("an edge twice", "2 times"),
        ("a node for nothing", "lost"),
        ("without input and output", "no Input"),
    ],
)
def test_what_is_odd_is_a_warning(tmp_path: Path, name: str, word: str) -> None:
    model = read(write(tmp_path / "n.nir", VALID[name]), VALID[name].options)
    assert "W140" in codes(model)
    assert word in " ".join(d.message for d in model.diagnostics if d.code == "W140")


def test_a_single_node_is_a_network(tmp_path: Path) -> None:
    h5py: Any = importlib.import_module("h5py")
    node = lif()
    with h5py.File(tmp_path / "n.nir", "w") as file:
        for key, value in node.items():
            file[f"node/{key}"] = value
    graph = read(tmp_path / "n.nir", f"dt={DT}").graph
    x = np.random.default_rng(0).uniform(0, 1, (STEPS, N))
    nodes, edges = chain_of((N,), node, out=(N,))
    expected = Reference(nodes, edges, DT).run({"input": x})["output"]
    assert 0 < expected.sum() < expected.size
    found, _ = FloatSimulator(graph).run(x[None])
    np.testing.assert_array_equal(found["output"][0], expected)


def edited(change: Callable[[dict[str, Node], list[tuple[str, str]]], None]) -> Style:
    nodes, edges = chain_of((N,), linear(), lif(), out=(N,))
    change(nodes, edges)
    return Style(nodes, edges)


def of_two_inputs() -> Style:
    inner = {"x": port("Input"), "y": port("Input"), "lif": lif(), "out": port("Output")}
    edges = [("x", "lif"), ("y", "lif"), ("lif", "out")]
    return chain((N,), {"type": "NIRGraph", "nodes": inner, "edges": edges})


IMAGE = (2, 6, 6)
BROKEN: dict[str, tuple[Style, str, str]] = {
    "no tau": (chain((N,), without(lif(), "tau")), "E146", "no tau"),
    "no threshold": (chain((N,), without(lif(), "v_threshold")), "E146", "no v_threshold"),
    "no weight": (chain((N,), {"type": "Linear"}), "E146", "no weight"),
    "an unknown type": (chain((N,), {"type": "Warp", "speed": 9.0}), "E210", "'Warp'"),
    "an edge to nowhere": (edited(lambda n, e: e.append(("1", "2"))), "E146", "names '2'"),
    "nothing arrives": (edited(lambda n, e: e.pop(0)), "E146", "nothing feeds 0"),
    "no way to the output": (edited(lambda n, e: e.pop(2)), "E146", "nothing feeds output"),
    "a negative time constant": (chain((N,), {**lif(), "tau": -1e-2}), "E322", "tau is -0.01"),
    "a time constant below a step": (chain((N,), {**lif(), "tau": 1e-4}), "E322", "0.0001"),
    "columns that do not fit": (chain((N,), linear(N, 7)), "E202", "7 columns"),
    "parameters that do not fit": (chain((N,), lif(7)), "E202", "shape (7,)"),
    "values that do not fit": (
        edited(lambda n, e: (n.update(a=linear(9)), e.extend([("input", "a"), ("a", "1")]))[0]),
        "E202",
        "different shapes",
    ),
    "NaN": (chain((N,), {**lif(), "r": np.array([1, np.nan, 1, 1])}), "E301", "r[1] is nan"),
    "infinity": (chain((N,), {**linear(), "weight": np.full((N, N), np.inf)}), "E301", "inf"),
    "a loop without a neuron": (edited(lambda n, e: e.append(("0", "0"))), "E203", "0: Linear"),
    "half a step": (chain((N,), {"type": "Delay", "delay": 1.5e-3}), "E202", "1.5 steps"),
    "a negative delay": (chain((N,), {"type": "Delay", "delay": [0, 0, 0, -DT]}), "E202", "-1"),
    "delays that do not fit": (chain((N,), {"type": "Delay", "delay": [0, DT]}), "E202", "(2,)"),
    "text for a number": (chain((N,), {**linear(), "weight": "heavy"}), "E144", "text"),
    "two inputs and one edge": (of_two_inputs(), "E146", "2 Input nodes"),
    "an input of no size": (chain((0,), lif()), "E202", "(0,)"),
    "an input of negative size": (chain((-4,), lif()), "E202", "(-4,)"),
    "a kernel of three axes": (chain(IMAGE, {**conv((2, 2, 3)), "type": "Conv2d"}), "E202", "wei"),
    "a kernel larger than its input": (chain(IMAGE, conv((2, 2, 9, 9))), "E202", "0 (Conv2d)"),
    "groups that do not divide": (
        chain(IMAGE, conv((3, 1, 3, 3), groups=2)),
        "E202",
        "with 2 group",
    ),
    "other channels": (chain(IMAGE, conv((3, 5, 3, 3))), "E202", "does not fit"),
    "a stride of zero": (chain(IMAGE, conv((2, 2, 3, 3), stride=0)), "E202", "stride"),
    "an unknown padding": (chain(IMAGE, conv((2, 2, 3, 3), padding="full")), "E202", "'full'"),
    "a bias of another size": (
        chain(IMAGE, {**conv((2, 2, 3, 3)), "bias": np.ones(5)}),
        "E202",
        "bias of shape (5,)",
    ),
    "a pool of a vector": (chain((N,), {"type": "SumPool2d", "kernel_size": 2}), "E202", "0 (Sum"),
    "a pool of one and a half": (
        chain(IMAGE, {"type": "AvgPool2d", "kernel_size": 1.5}),
        "E202",
        "integers",
    ),
    "axes that are not there": (
        chain((N,), {"type": "Flatten", "start_dim": 3, "end_dim": 5}),
        "E202",
        "axes 3 to 5",
    ),
    "a scale that does not fit": (chain((N,), {"type": "Scale", "scale": np.ones(7)}), "E202", "7"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    style, code, words = BROKEN[name]
    path = write(tmp_path / "n.nir", style)
    watch = Stopwatch()
    with pytest.raises(CompileError) as caught:
        read(path, style.options)
    assert watch.in_time()
    errors = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
    assert {d.code for d in errors} == {code}
    assert words in str(caught.value)


def test_there_are_more_than_52_files() -> None:
    assert len(VALID) >= 52
    assert len(VALID) + len(BROKEN) >= 90


def test_more_is_read_than_by_the_library_of_nir(tmp_path: Path) -> None:
    nir: Any = pytest.importorskip("nir", reason="the library of NIR is not installed")
    files = {name: write(tmp_path / f"{i}.nir", VALID[name]) for i, name in enumerate(VALID)}
    theirs = {name for name, path in files.items() if library_reads(nir, path)}
    assert 10 < len(theirs) < len(VALID)  # and all of VALID is read here
