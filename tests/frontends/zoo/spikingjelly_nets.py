"""Every neuron of SpikingJelly 2.0 between two linear layers, step by step and layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from tests.frontends.zoo.case import STEPS, Case, loud, sequence

SIZE = 6


class ByStep(nn.Module):
    """The neuron is called once per step."""

    def __init__(self, node: nn.Module) -> None:
        super().__init__()
        self.fc1, self.node, self.fc2 = nn.Linear(5, SIZE), node, nn.Linear(SIZE, 3)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        return torch.stack([self.fc2(self.node(self.fc1(x[t]))) for t in range(x.shape[0])])


class Whole(ByStep):
    """The node has no step mode: it is given all steps."""

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        y: Tensor = self.fc2(self.node(self.fc1(x)))
        return y


class AllSteps(ByStep):
    """The neuron is given all steps."""

    def __init__(self, node: nn.Module) -> None:
        super().__init__(node)
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        y: Tensor = self.fc2(self.node(self.fc1(x)))
        return y


def conv_net(mode: str) -> nn.Module:
    """Convolution, BatchNorm, pools and three kinds of neurons."""
    net = nn.Sequential(
        *(layer.Conv2d(1, 4, 3, bias=False), layer.BatchNorm2d(4), neuron.IFNode()),
        *(layer.MaxPool2d(2, 2), layer.Flatten(), layer.Linear(36, 12, bias=False)),
        neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan(), detach_reset=True),
        *(layer.Linear(12, 4), neuron.ParametricLIFNode(3.0, v_reset=None, v_threshold=0.7)),
    )
    functional.set_step_mode(net, mode)
    net[1].running_mean.uniform_(-0.1, 0.1)
    net[1].running_var.uniform_(0.5, 1.5)
    return loud(net, 9.0)


class Deployed(nn.Module):
    """Reset inside forward, rates out."""

    def __init__(self) -> None:
        super().__init__()
        self.net = conv_net("m")

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self.net)
        y: Tensor = self.net(x).mean(0)
        return y


def _case(name: str, make_node: Callable[[], nn.Module], refused: str, mode: str) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        net = {"s": ByStep, "m": AllSteps, "all": Whole}[mode](make_node())
        return loud(net, 4.0), sequence(5, axis=0)

    title = f"spikingjelly/{name}" + (" multi-step" if mode == "m" else "")
    return Case(title, make, {"time_axis": 0}, refused)


def _nodes(names: dict[str, dict[str, Any]], refused: str = "", mode: str = "s") -> list[Case]:
    found = []
    for title, options in names.items():
        kind = getattr(neuron, title.split()[0], None)
        if kind is not None:
            found.append(_case(title, lambda k=kind, o=options: k(**o), refused, mode))
    return found


def _table(scale: float = 1.0) -> neuron.FewSpikeTable:
    """Binary digits of a value in four steps."""
    digits = [scale * 0.5**k for k in range(4)]
    return neuron.FewSpikeTable(digits, digits, digits)


def _flex(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    v = v * 0.7 + x
    s = surrogate.Sigmoid()(v - 1.0)
    return s, v * (1 - s)


#: Their connection has a bias, which acts from the second step on.
CONNECTED: dict[str, dict[str, Any]] = {
    "ILCIFNode": {"act_dim": 3, "dec_pop_dim": 2},
    "ILCLIFNode": {"act_dim": 3, "dec_pop_dim": 2},
    "ILCCUBALIFNode": {"act_dim": 3, "dec_pop_dim": 2},
    "NoisyILCCUBALIFNode": {"act_dim": 3, "dec_pop_dim": 2, "is_training": False, "T": STEPS},
}

PLAIN: dict[str, dict[str, Any]] = {
    "IFNode": {},
    "IFNode soft": {"v_reset": None},
    "LIFNode": {},
    "LIFNode decay_input=False": {"decay_input": False},
    "LIFNode soft": {"v_reset": None, "tau": 3.0},
    "LIFNode v_reset=-0.2 detach": {"v_reset": -0.2, "detach_reset": True},
    "ParametricLIFNode": {"init_tau": 3.0},
    "ParametricLIFNode soft": {"v_reset": None, "decay_input": False},
    "QIFNode": {},
    "EIFNode": {},
    "IzhikevichNode": {},
    "KLIFNode": {},
    "KLIFNode scale_reset": {"scale_reset": True},
    "ComplementaryLIFNode": {},
    "LIAFNode": {"act": nn.ReLU(), "threshold_related": False},
    "CUBALIFNode": {},
    "ILIFNode": {},
    "TernaryLIFNode": {},
    "TernaryIFNode": {},
    "OTTTLIFNode": {},
    "SLTTLIFNode": {},
    "RAFNode": {},
    "SimpleIFNode": {},
    "SimpleLIFNode": {"tau": 2.0, "decay_input": True},
    "MPBNLIFNode": {"out_features": 6},
    "HalfThresholdIFNode": {},
    "ActivationAwareIFNode": {"v_threshold": torch.full((SIZE,), 0.8), "v_offset": 0.1},
    "STBIFNode": {"q_threshold": 0.5, "level": 8},
    "STBIFNode sym": {"q_threshold": 0.5, "level": 8, "sym": True},
    "FewSpikeNode": {"table": _table()},
    "OutlierAwareThresholdNode": {
        "table": _table(),
        "outlier_table": _table(4.0),
        "split_threshold": 1.5,
    },
    "HGNode": {"tables": [_table(), _table(2.0), _table(4.0)], "gate_thresholds": [0.5, 2.0]},
    "FlexSN": {"core": _flex, "num_states": 1, "step_mode": "s"},
}

#: Nodes that take all steps.
WHOLE: dict[str, dict[str, Any]] = {
    "NonSpikingIFNode": {"decode": "mean-mem"},
    "NonSpikingIFNode max": {"decode": "max-mem"},
    "NonSpikingIFNode max abs": {"decode": "max-abs-mem"},
    "NonSpikingLIFNode": {"decode": "last_mem"},
    "NoisyCUBALIFNode": {"num_node": SIZE, "is_training": False, "T": STEPS},
    "NoisyNonSpikingIFNode": {
        "num_node": SIZE,
        "is_training": False,
        "T": STEPS,
        "decode": "mean-mem",
    },
}

BOTH = ("IFNode", "LIFNode", "LIFNode soft", "KLIFNode", "ComplementaryLIFNode")

CASES = [
    *_nodes(PLAIN),
    *_nodes({k: v for k, v in PLAIN.items() if k in BOTH}, mode="m"),
    *_nodes({"DSRLIFNode": {"T": STEPS}, "DSRIFNode": {"T": STEPS}}, mode="m"),
    *_nodes(WHOLE, mode="all"),
    *_nodes(CONNECTED, mode="all"),
    *_nodes({"GatedLIFNode": {"T": STEPS}}, mode="m"),
    *_nodes({"PSN": {"T": STEPS}}, mode="m"),
    *_nodes({"MaskedPSN": {"T": STEPS, "k": 2}}, mode="m"),
    *_nodes({"SlidingPSN": {"k": 2}}, mode="m"),
    Case(
        "spikingjelly/conv single-step",
        lambda: (conv_net("s"), torch.rand(STEPS, 3, 1, 8, 8) * 3),
        {"steps": STEPS},
    ),
    Case(
        "spikingjelly/conv multi-step",
        lambda: (conv_net("m"), torch.rand(STEPS, 3, 1, 8, 8) * 3),
        {"steps": STEPS},
    ),
    Case(
        "spikingjelly/conv reset and mean",
        lambda: (Deployed().eval(), torch.rand(STEPS, 3, 1, 8, 8) * 3),
        {"steps": STEPS},
    ),
]
