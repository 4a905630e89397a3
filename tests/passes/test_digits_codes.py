"""Methods of choosing integers on a network trained on real digits."""

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
import torch
from torch import nn

from snnc.backends.float_sim import FloatSimulator
from snnc.backends.numpy.simulator import Simulator
from snnc.graph import Graph
from snnc.ops import Input, Linear, Repeat
from snnc.passes import Context, run_passes
from snnc.passes.calibration import Calibration
from snnc.passes.pipeline import integer_pipeline, real_pipeline
from snnc.quantization import Plan
from snnc.storage import dump_graph
from snnc.types import FLOAT32, Clock, TensorType
from tests.realgraphs import counted, lif, param

Floats = npt.NDArray[np.float64]
STEPS = 8


class Spike(torch.autograd.Function):
    """A step forward, a bump backward."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, v: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(v)
        return (v >= 0).float()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, g: torch.Tensor) -> torch.Tensor:
        (v,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return torch.as_tensor(g / (1 + 3 * v.abs()) ** 2)


@pytest.fixture(scope="module")
def trained() -> tuple[Graph, Floats, Floats, Floats]:
    """A network of two LIF layers; inputs of training samples, and inputs and labels of others."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x, y = digits.data[order] / 16, digits.target[order]
    torch.manual_seed(0)
    layers = [nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)]
    spike: Callable[[torch.Tensor], torch.Tensor] = Spike.apply  # type: ignore[assignment]

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        v, total = [torch.zeros(len(inputs), 64) for _ in range(2)], torch.zeros(())
        for _ in range(STEPS):
            s = inputs
            for i in range(2):
                v[i] = 0.875 * v[i] + layers[i](s)
                s = spike(v[i] - 1)
                v[i] = v[i] - s
            total = total + layers[2](s)
        return total / STEPS

    optimizer = torch.optim.Adam([p for m in layers for p in m.parameters()], 3e-3)
    images = torch.tensor(x[:900], dtype=torch.float32)
    for _ in range(12):
        for part in torch.randperm(900).split(60):
            loss = nn.functional.cross_entropy(forward(images[part]), torch.tensor(y[part]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    g = Graph("digits", STEPS)
    last = g.add("x", Input(TensorType((64,), FLOAT32, Clock.ONCE), 0.0, 1.0, 1 / 16)).name
    for i, m in enumerate(layers):
        op = Linear(param(m.weight.detach().numpy()), param(m.bias.detach().numpy()))
        last = g.add(f"fc{i}", op, last).name
        last = g.add("repeat", Repeat(), last).name if i == 0 else last
        last = lif(g, f"lif{i}", last, beta=0.875) if i < 2 else last
    return counted(g, last), x[:900], x[900:], y[900:]


def measured(
    trained: tuple[Graph, Floats, Floats, Floats], method: str, bits: int
) -> tuple[float, float]:
    """Share of right classes, and F1 of the spikes against the real network's."""
    graph, calibration, x, y = trained
    ctx = Context(calibration=Calibration({"x": calibration}))
    program = run_passes(graph, integer_pipeline(bits, plan=Plan(method)), ctx)
    text, blob = dump_graph(program)
    words = ["lif0.s0", "lif1.s0"]
    outputs, ours = Simulator(json.loads(text), safetensors.numpy.load(blob)).run(
        np.rint(x * 16).astype(np.int64), STEPS, words
    )
    _, theirs = FloatSimulator(run_passes(graph, real_pipeline())).run(x, STEPS, words)
    both = sum(float((ours[w] * theirs[w]).sum()) for w in words)
    total = sum(float((ours[w] + theirs[w]).sum()) for w in words)
    scale = np.asarray(program["out"].op.scale.data)  # type: ignore[attr-defined]
    return float((np.argmax(outputs["out"] * scale, 1) == y).mean()), 2 * both / total


def test_gptq_keeps_more_spikes_than_rounding(
    trained: tuple[Graph, Floats, Floats, Floats],
) -> None:
    right, spikes = measured(trained, "mse", 4)
    best_right, best_spikes = measured(trained, "gptq", 4)
    assert right > 0.9
    assert best_spikes > spikes + 0.02
    assert best_right > right - 0.01


def test_auto_is_about_as_good_as_the_best_method_at_two_bits(
    trained: tuple[Graph, Floats, Floats, Floats],
) -> None:
    singles = [measured(trained, method, 2) for method in ("max", "percentile", "mse", "gptq")]
    right, spikes = measured(trained, "auto", 2)
    assert right >= max(s[0] for s in singles) - 0.01  # of 897 digits
    assert spikes >= max(s[1] for s in singles) - 0.005
