"""Methods of choosing integers on whole networks."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from snnc.backends.float_sim import FloatSimulator
from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.ops import Conv2d, ConvTranspose2d, Input
from snnc.passes import Context, run_passes
from snnc.passes.calibration import Calibration
from snnc.passes.pipeline import integer_pipeline
from snnc.quantization import METHODS, Plan
from snnc.storage import dump_graph
from snnc.types import TensorType
from tests.realgraphs import counted, lif, mlp, noise, param, recurrent, residual_conv


def compiled(graph: Graph, method: str, bits: int, samples: int = 40) -> tuple[Graph, Context]:
    rng = np.random.default_rng(1)
    node = graph["x"].op
    assert isinstance(node, Input)
    whole = round(1 / node.step)
    x = rng.integers(0, whole + 1, (samples, 16, *node.type.shape)) / whole
    ctx = Context(calibration=Calibration({"x": x}))
    return run_passes(graph, integer_pipeline(bits, plan=Plan(method)), ctx), ctx


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("make", [mlp, residual_conv, recurrent])
@pytest.mark.parametrize("method", sorted(set(METHODS) - {"mse"}))
def test_integers_agree_with_their_fake_quantized_model(
    method: str, make: object, bits: int
) -> None:
    program, ctx = compiled(make(), method, bits, samples=6)  # type: ignore[operator]
    text, blob = dump_graph(program)
    sim = Simulator(json.loads(text), safetensors.numpy.load(blob))
    (shape, _, _, hi) = sim.inputs["x"]
    x = np.random.default_rng(2).integers(0, hi + 1, (40, 16, *shape))
    _, words = sim.run(x, record=sim.words())
    assert ctx.fake_quantized is not None
    reference = FloatSimulator(ctx.fake_quantized)
    scale = program["x"].op.scale  # type: ignore[attr-defined]
    _, expected = reference.run(x * scale, record=reference.words())
    for word in (w for w in words if w.endswith(".s0")):
        assert np.mean(words[word] == expected[word]) >= 0.998, word
    chosen = [f["method"] for f in ctx.layers.values() if "method" in f]
    assert len(chosen) >= 2
    assert all(method in str(m) for m in chosen) or method == "auto"


def test_auto_takes_what_changes_the_outputs_least() -> None:
    _, ctx = compiled(residual_conv(), "auto", 3, samples=8)
    for facts in ctx.layers.values():
        if "tried" in facts:
            tried = dict(t.rsplit(" ", 1) for t in str(facts["tried"]).split(", "))
            least = min(float(e) for e in tried.values())
            assert float(tried[str(facts["method"])]) == least
            assert len(tried) >= 2


def digest() -> str:
    """Of a program whose sums a BLAS would add in an order of its own."""
    text, blob = dump_graph(compiled(mlp((150, 90, 20)), "gptq", 4)[0])
    return hashlib.sha256(text + blob).hexdigest()


def test_bytes_do_not_depend_on_threads_or_kernels_of_the_blas() -> None:
    code = "from tests.passes.test_choose_codes import digest; print(digest())"
    env = os.environ | {"OPENBLAS_NUM_THREADS": "3", "OPENBLAS_CORETYPE": "Nehalem"}
    other = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == digest()


def test_transposed_convolutions_fall_back_to_the_squared_error() -> None:
    rng = np.random.default_rng(0)
    g = Graph("spread", 16)
    g.add("x", Input(TensorType((2, 3, 3)), 0.0, 1.0, 1.0))
    g.add("up", ConvTranspose2d(param(noise(rng, 2, 3, 2, 2)), None, (2, 2)), "x")
    spikes = lif(g, "lif", "up")
    g.add("conv", Conv2d(param(noise(rng, 4, 3, 3, 3))), spikes)
    _, ctx = compiled(counted(g, "conv"), "gptq", 4)
    assert ctx.layers["up"]["method"] == "mse"
    assert ctx.layers["conv"]["method"] == "gptq"
