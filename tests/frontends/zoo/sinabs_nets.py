"""Layers of sinabs 3.1: (B, T, …), and (B*T, …) for the Squeeze layers."""

from __future__ import annotations

from collections.abc import Callable

import sinabs.activation
import sinabs.layers as sl
import torch
from torch import Tensor, nn

from tests.frontends.zoo.case import BATCH, STEPS, Case, loud, sequence

SIZE = 6


def _layer(name: str, make_layer: Callable[[], nn.Module], refused: str = "") -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        net = nn.Sequential(nn.Linear(5, SIZE), make_layer(), nn.Linear(SIZE, 3))
        return loud(net, 4.0), sequence(5)

    return Case(f"sinabs/{name}", make, {"time_axis": 1}, refused)


def _squeezed() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), sl.IAFSqueeze(batch_size=BATCH), sl.SumPool2d(2)),
        *(nn.Flatten(), nn.Linear(36, 4), sl.IAFSqueeze(batch_size=BATCH)),
    )


def _joined(name: str, kind: Callable[[], nn.Module]) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        net = nn.Sequential(nn.Linear(5, SIZE), kind(), nn.Linear(SIZE, 3))
        return loud(net, 4.0), torch.randn(BATCH * STEPS, 5) * 2

    return Case(f"sinabs/{name}", make, {"time_axis": 0, "batch_axis": 0, "steps": STEPS})


SQUEEZED: dict[str, Callable[[], nn.Module]] = {
    "LIFSqueeze": lambda: sl.LIFSqueeze(tau_mem=10.0, batch_size=BATCH),
    "ExpLeakSqueeze": lambda: sl.ExpLeakSqueeze(tau_mem=10.0, batch_size=BATCH),
}

CASES = [
    _layer("LIF", lambda: sl.LIF(10.0)),
    _layer("LIF norm_input=False", lambda: sl.LIF(10.0, norm_input=False)),
    _layer("LIF tau_syn", lambda: sl.LIF(10.0, tau_syn=5.0)),
    _layer("LIF min_v_mem", lambda: sl.LIF(10.0, min_v_mem=-1.0)),
    _layer("IAF", lambda: sl.IAF()),
    _layer("IAF single spike", lambda: sl.IAF(spike_fn=sinabs.activation.SingleSpike)),
    _layer("ALIF", lambda: sl.ALIF(10.0, 20.0)),
    _layer("ExpLeak", lambda: sl.ExpLeak(10.0)),
    _layer("LIFRecurrent", lambda: sl.LIFRecurrent(10.0, rec_connect=nn.Linear(SIZE, SIZE))),
    _layer(
        "ALIFRecurrent", lambda: sl.ALIFRecurrent(10.0, 20.0, rec_connect=nn.Linear(SIZE, SIZE))
    ),
    _layer("LIF max spikes", lambda: sl.LIF(10.0, spike_fn=sinabs.activation.MaxSpike(2))),
    _layer("LIF membrane reset", lambda: sl.LIF(10.0, reset_fn=sinabs.activation.MembraneReset())),
    _layer("NeuromorphicReLU", lambda: sl.NeuromorphicReLU()),
    _layer("QuantizeLayer", lambda: sl.QuantizeLayer()),
    *(_joined(name, kind) for name, kind in SQUEEZED.items()),
    _layer("IAFRecurrent", lambda: sl.IAFRecurrent(rec_connect=nn.Linear(SIZE, SIZE))),
    Case(
        "sinabs/LIF and IAF",
        lambda: (
            loud(
                nn.Sequential(
                    *(nn.Linear(6, 12), sl.LIF(tau_mem=10.0, norm_input=False)),
                    *(nn.Linear(12, 4), sl.IAF()),
                )
            ),
            torch.rand(BATCH, STEPS, 6),
        ),
        {"time_axis": 1},
    ),
    Case(
        "sinabs/IAFSqueeze conv",
        lambda: (loud(_squeezed()), torch.rand(BATCH * STEPS, 1, 8, 8) * 3),
        {"time_axis": 0, "batch_axis": 0, "steps": STEPS},
    ),
]
