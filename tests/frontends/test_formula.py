"""Neurons as equations in the user's parameters, exported and read again from the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

import snnc
from snnc.container import read_model
from snnc.inspection import ModelLayer, inspect_model

# the libraries' own deprecation warnings are not ours
pytestmark = pytest.mark.filterwarnings("ignore")


class Adaptive(nn.Module):
    """Learned time constants, and a threshold that rises with every spike."""

    def __init__(self) -> None:
        super().__init__()
        self.tau = nn.Parameter(torch.linspace(0.5, 3.0, 128))

    def forward(self, x: Tensor) -> Tensor:
        v, a, out = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            v = v + (x[:, t] - v) / (nn.functional.softplus(self.tau) + 1)
            s = (v >= 0.2 + 1.8 * a).float()
            v, a = v * (1 - s), 0.9 * a + s
            out.append(s)
        return torch.stack(out, 1)


class Leaky(nn.Module):
    def __init__(self, **options: bool) -> None:
        super().__init__()
        beta = torch.linspace(0.3, 0.9, 128)
        self.lif = snn.Leaky(beta, threshold=0.7, learn_beta=True, learn_threshold=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        mem, out = self.lif.init_leaky(), []
        for t in range(x.shape[1]):
            s, mem = self.lif(x[:, t], mem)
            out.append(s)
        return torch.stack(out, 1)


def layer_of(module: nn.Module, path: Path) -> ModelLayer:
    torch.manual_seed(1)
    snnc.export(module, torch.randn(2, 6, 128) * 2, path, time_axis=1)
    (found,) = (x for x in inspect_model(read_model(path).graph).layers if x.op == "Neuron")
    return found


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], dict[str, tuple[str, str]]]] = {
    "ALIF with learned tau": (
        Adaptive,
        (
            "t0 = v + (x - v) / (softplus(tau) + 1)",
            "s0 = t0 >= u * 1.8 + 0.2",
            "u' = u * 0.9 + s0",
            "v' = t0 * (1 - s0)",
        ),
        {"softplus(tau) + 1": ("folded to 128 constants, 1.97408 … 4.04859", "tau")},
    ),
    "snnTorch, delayed reset": (
        Leaky,
        (
            "v' = minimum(maximum(beta, 0), 1) * v + x - (v - threshold > 0) * threshold",
            "s0 = v' - threshold > 0",
        ),
        {
            "minimum(maximum(beta, 0), 1)": ("folded to 128 constants, 0.3 … 0.9", "lif.beta"),
            "threshold": ("0.7", "lif.threshold"),
        },
    ),
    "snnTorch, immediate reset": (
        lambda: Leaky(reset_delay=False),
        (
            "s0 = v - threshold > 0",
            "t0 = minimum(maximum(beta, 0), 1) * v + x - s0 * threshold",
            "s1 = t0 - threshold > 0",
            "v' = t0 - (s1 - s0) * threshold",
        ),
        {
            "minimum(maximum(beta, 0), 1)": ("folded to 128 constants, 0.3 … 0.9", "lif.beta"),
            "threshold": ("0.7", "lif.threshold"),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name: str, tmp_path: Path) -> None:
    make, equations, constants = CASES[name]
    layer = layer_of(make(), tmp_path / "model.pt")
    assert layer.formula == equations
    assert {c.name: (c.value, c.origin) for c in layer.constants} == constants
