"""Every neuron of snnTorch 1.0 between two linear layers, and networks as in its tutorials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

from tests.frontends.zoo.case import BATCH, STEPS, Case, loud, sequence

SIZE = 6


class Explicit(nn.Module):
    """Linear, neuron, linear: the state is handed from step to step."""

    def __init__(self, neuron: nn.Module, recurrent: bool = False) -> None:
        super().__init__()
        self.num_steps, self.recurrent = STEPS, recurrent
        self.fc1, self.neuron, self.fc2 = nn.Linear(5, SIZE), neuron, nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        state: tuple[Tensor, ...] = ()
        total = []
        for t in range(self.num_steps):
            out = self.neuron(self.fc1(x[t]), *state)
            state = out if self.recurrent else out[1:]
            total.append(self.fc2(out[0]))
        return torch.stack(total).sum(0)


class Hidden(nn.Module):
    """The neuron keeps its state in attributes."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.num_steps = STEPS
        self.fc1, self.neuron, self.fc2 = nn.Linear(5, SIZE), neuron, nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        for m in self.modules():
            for name in ("reset_mem", "reset_hidden"):
                if hasattr(m, name):
                    getattr(m, name)()
        y = []
        for t in range(x.shape[0]):
            out = self.neuron(self.fc1(x[t]))
            y.append(self.fc2(out[0] if isinstance(out, tuple) else out))
        return torch.stack(y)


class Sequence(nn.Module):
    """Neurons that take all steps at once."""

    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.fc1, self.neuron, self.fc2 = nn.Linear(5, SIZE), neuron, nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.neuron(self.fc1(x))
        y: Tensor = self.fc2(out[0] if isinstance(out, tuple) else out)
        return y


class Tutorial(nn.Module):
    """Three layers, membranes and spikes of the last one."""

    def __init__(self) -> None:
        super().__init__()
        slope = surrogate.fast_sigmoid()
        beta = torch.rand(12) * 0.5 + 0.4
        self.num_steps = STEPS
        self.fc1 = nn.Linear(6, 12)
        self.l1 = snn.Leaky(beta=beta, threshold=0.8, spike_grad=slope, learn_beta=True)
        self.fc2, self.l2 = nn.Linear(12, 8), snn.Synaptic(alpha=0.7, beta=0.8, spike_grad=slope)
        self.fc3, self.l3 = nn.Linear(8, 4), snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        m1, (i2, m2), m3 = self.l1.init_leaky(), self.l2.init_synaptic(), self.l3.init_leaky()
        spikes, membranes = [], []
        for t in range(self.num_steps):
            s, m1 = self.l1(self.fc1(x[t]), m1)
            s, i2, m2 = self.l2(self.fc2(s), i2, m2)
            s, m3 = self.l3(self.fc3(s), m3)
            spikes.append(s)
            membranes.append(m3)
        return torch.stack(spikes), torch.stack(membranes)


class StaticRecurrent(nn.Module):
    """One image, shown at every step to a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.num_steps = STEPS
        self.fc1 = nn.Linear(6, 12)
        self.l1 = snn.RLeaky(beta=0.7, linear_features=12, spike_grad=surrogate.atan())
        self.fc2, self.l2 = nn.Linear(12, 4), snn.Leaky(beta=0.9, reset_mechanism="zero")

    def forward(self, x: Tensor) -> Tensor:
        s, m1 = self.l1.init_rleaky()
        m2, out = self.l2.init_leaky(), []
        for _ in range(self.num_steps):
            s, m1 = self.l1(self.fc1(x), s, m1)
            y, m2 = self.l2(self.fc2(s), m2)
            out.append(y)
        return torch.stack(out).sum(0)


def _conv_hidden() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), snn.Leaky(beta=0.8, init_hidden=True)),
        *(nn.Flatten(), nn.Linear(36, 10)),
        *(snn.Synaptic(alpha=0.6, beta=0.8, init_hidden=True), nn.Linear(10, 4)),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


def _recurrent_hidden() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(6, 10), snn.RLeaky(beta=0.8, linear_features=10, init_hidden=True)),
        *(nn.Linear(10, 4), snn.Leaky(beta=0.9, init_hidden=True, output=True)),
    )


def _quantized() -> nn.Module:
    from snntorch.functional import quant

    return snn.Leaky(0.9, state_quant=quant.state_quant(num_bits=4))


class Delta(nn.Module):
    """Fires where the membrane changes; its state is a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.neuron = nn.Linear(5, SIZE), snn.DeltaLeaky(1.0, 0.8)
        self.fc2 = nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        state, out = (None, None), []
        for t in range(x.shape[0]):
            spk, state = self.neuron(self.fc1(x[t]), state)
            out.append(self.fc2(spk))
        return torch.stack(out)


class Graded(nn.Module):
    """Learned sizes of spikes, one per neuron: (N, B) as GradedSpikes wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, SIZE), nn.Linear(SIZE, 3)
        self.neuron, self.graded = snn.Leaky(0.9), snn.GradedSpikes(SIZE, None)

    def forward(self, x: Tensor) -> Tensor:
        mem, out = self.neuron.init_leaky(), []
        for t in range(x.shape[0]):
            spk, mem = self.neuron(self.fc1(x[t]), mem)
            out.append(self.fc2(self.graded(spk.T).T))
        return torch.stack(out)


class ConvLSTM(nn.Module):
    """An LSTM whose gates are convolutions."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.cell = snn.SConv2dLSTM(1, 3, 3, threshold=0.1, **options)

    def forward(self, x: Tensor) -> Tensor:
        syn, mem = self.cell.init_sconv2dlstm()
        out = []
        for t in range(x.shape[0]):
            spk, syn, mem = self.cell(x[t], syn, mem)
            out.append(spk.flatten(1))
        return torch.stack(out)


def _explicit(name: str, neuron: Callable[[], nn.Module], refused: str = "", **more: Any) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(Explicit(neuron(), **more), 4.0), sequence(5, axis=0)

    return Case(f"snntorch/{name}", make, {"time_axis": 0}, refused)


def _hidden(name: str, neuron: Callable[[], nn.Module], refused: str = "") -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(Hidden(neuron()), 4.0), sequence(5, axis=0)

    return Case(f"snntorch/{name} hidden", make, {"time_axis": 0}, refused)


def _all(name: str, neuron: Callable[[], nn.Module], refused: str = "") -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(Sequence(neuron()), 4.0), sequence(5, axis=0)

    return Case(f"snntorch/{name}", make, {"time_axis": 0}, refused)


CASES = [
    _explicit("Leaky", lambda: snn.Leaky(0.9)),
    _explicit("Leaky zero", lambda: snn.Leaky(0.9, reset_mechanism="zero")),
    _explicit("Leaky none", lambda: snn.Leaky(0.9, reset_mechanism="none")),
    _explicit("Leaky no delay", lambda: snn.Leaky(0.9, reset_delay=False)),
    _explicit("Leaky graded", lambda: snn.Leaky(0.9, graded_spikes_factor=0.5)),
    _explicit("Leaky inhibition", lambda: snn.Leaky(0.9, inhibition=True)),
    _explicit("Leaky state_quant", _quantized, "E130"),
    _explicit("Synaptic", lambda: snn.Synaptic(0.8, 0.9)),
    _explicit("Lapicque", lambda: snn.Lapicque(0.9)),
    _explicit("Alpha", lambda: snn.Alpha(0.85, 0.8)),
    _explicit("RLeaky", lambda: snn.RLeaky(0.9, linear_features=SIZE), recurrent=True),
    _explicit("RLeaky V", lambda: snn.RLeaky(0.9, all_to_all=False), recurrent=True),
    _explicit("RSynaptic", lambda: snn.RSynaptic(0.8, 0.9, linear_features=SIZE), recurrent=True),
    # |membrane| = |o * tanh(c)| < 1
    _explicit("SLSTM", lambda: snn.SLSTM(SIZE, SIZE, threshold=0.2)),
    _explicit(
        "SLSTM subtract", lambda: snn.SLSTM(SIZE, SIZE, True, 0.2, reset_mechanism="subtract")
    ),
    *(
        _hidden(name, neuron)
        for name, neuron in {
            "Leaky": lambda: snn.Leaky(0.9, init_hidden=True),
            "Synaptic": lambda: snn.Synaptic(0.8, 0.9, init_hidden=True),
            "Lapicque": lambda: snn.Lapicque(0.9, init_hidden=True),
            "Alpha": lambda: snn.Alpha(0.85, 0.8, init_hidden=True),
            "RSynaptic": lambda: snn.RSynaptic(0.8, 0.9, linear_features=6, init_hidden=True),
        }.items()
    ),
    _all("LeakyParallel", lambda: snn.LeakyParallel(SIZE, SIZE)),
    _all("StateLeaky", lambda: snn.StateLeaky(0.9, SIZE)),
    _all("LinearLeaky", lambda: snn.LinearLeaky(0.9, SIZE, SIZE)),
    _all(
        "AssociativeLeaky",
        lambda: snn.AssociativeLeaky(SIZE, 2, 3, SIZE, use_q_projection=False),
        "",
    ),
    Case("snntorch/DeltaLeaky", lambda: (loud(Delta()), sequence(5, axis=0)), {"time_axis": 0}),
    Case("snntorch/GradedSpikes", lambda: (loud(Graded()), sequence(5, axis=0)), {"time_axis": 0}),
    *(
        Case(
            f"snntorch/SConv2dLSTM {name}".strip(),
            lambda o=options: (loud(ConvLSTM(**o)), sequence(1, 6, 6, axis=0)),  # type: ignore[misc]
            {"time_axis": 0},
        )
        for name, options in {
            "": {},
            "max pool": {"max_pool": 2},
            "zero": {"reset_mechanism": "zero", "avg_pool": 2},
        }.items()
    ),
    Case("snntorch/tutorial", lambda: (loud(Tutorial()), sequence(6, axis=0))),
    Case("snntorch/static RLeaky", lambda: (loud(StaticRecurrent()), torch.randn(BATCH, 6) * 2)),
    Case(
        "snntorch/conv init_hidden",
        lambda: (loud(_conv_hidden()), torch.rand(STEPS, BATCH, 1, 8, 8)),
        {"steps": STEPS, "outputs": ["spikes", "membrane"]},
    ),
    Case(
        "snntorch/RLeaky init_hidden",
        lambda: (loud(_recurrent_hidden()), sequence(6, axis=0)),
        {"steps": STEPS},
    ),
]
