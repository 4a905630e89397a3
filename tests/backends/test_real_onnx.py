"""The real-valued network in ONNX Runtime is that of snnc's own float simulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc import ops
from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.driver import compile_model
from snnc.graph import Graph, Value
from snnc.options import Options
from snnc.params import Param
from snnc.types import Clock, TensorType
from snnc.verify import float_graph
from tests.models import model_file
from tests.realgraphs import compartments, differences, mlp, recurrent, residual_conv

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

STEPS = 9


def same(graph: Graph, raw: bytes) -> None:
    """Check the model, and compare it with the simulator."""
    onnx.checker.check_model(onnx.load_model_from_string(raw), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(raw, options, ["CPUExecutionProvider"])
    rng, x = np.random.default_rng(0), {}
    for n in graph:
        if isinstance(n.op, ops.Input):
            head = (4,) if n.type.clock is Clock.ONCE else (4, STEPS)
            x[n.name] = rng.random((*head, *n.type.shape))
    given = {i.name for i in session.get_inputs()}
    want, _ = FloatSimulator(graph).run(x, STEPS if "steps" in given else None)
    feed: dict[str, Any] = {**x, **({"steps": np.array(STEPS)} if "steps" in given else {})}
    got = dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))
    assert got.keys() == want.keys()
    for name in want:
        assert np.any(want[name] != 0)
        np.testing.assert_allclose(got[name], want[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", [mlp, residual_conv, recurrent, compartments, differences])
def test_networks(make: Callable[[], Graph], tmp_path: Path) -> None:
    graph = make()
    compile_model(model_file(tmp_path, graph), tmp_path / "net", Options(targets=("onnx:float",)))
    raw = (tmp_path / "net/onnx-float/model.onnx").read_bytes()
    same(graph, raw)
    same(float_graph(graph), raw)  # the same function, with neurons found


def test_delays_and_collectors() -> None:
    from snnc.backends.onnx.real import real_model

    g, rng = Graph("late", STEPS), np.random.default_rng(1)
    g.add("x", ops.Input(TensorType((3, 6)), -1.0, 1.0))
    g.add("first", ops.AvgPool1d((2,), (2,)), "x")
    init = Param(rng.normal(size=(3, 3)))
    g.add("sum", ops.Sum(), "first", Value("first", delay=3, init=init))
    for i, op in enumerate((ops.TimeSum(), ops.TimeMean(), ops.TimeMax(), ops.TimeLast())):
        g.add(f"c{i}", op, "sum")
        g.add(f"out{i}", ops.Output(), f"c{i}")
    g.add("all", ops.TimeStack(), Value("sum", delay=1))
    g.add("out", ops.Output(), "all")
    same(g, real_model(g).SerializeToString())


def test_what_is_not_written(tmp_path: Path) -> None:
    g = Graph("net", 3)
    g.add("x", ops.Input(TensorType((3,)), 0.0, 1.0, 1.0))
    g.add("soft", ops.Softmax(0), "x")
    g.add("all", ops.TimeSum(), "soft")
    g.add("out", ops.Output(), "all")
    with pytest.raises(CompileError, match=r"E501.*Softmax"):
        compile_model(model_file(tmp_path, g), tmp_path / "net", Options(targets=("onnx:float",)))
    with pytest.raises(CompileError, match="E002"):
        Options(targets=("onnx:double",)).check()
