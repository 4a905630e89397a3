"""Which populations of a network are compiled, with what is added for them, and when that pays."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from snnc.backends.torch import machine
from snnc.backends.torch.attention import Matmul
from snnc.backends.torch.cmatmul import NativeMatmul
from snnc.backends.torch.events import Rows, rows_of
from snnc.backends.torch.layers import DelayLinear, Linear, Weighted
from snnc.backends.torch.native import NativePopulation
from snnc.backends.torch.neuron import Neuron
from snnc.backends.torch.program import Program, Record
from snnc.backends.torch.windows import Convolution, TransposedConvolution

#: Updates of neurons that take tensor operations about as long as compiling takes, and what each
#: step of a population costs besides, in updates.
PAYS, STEP = 1 << 24, 1 << 13
_FOLDED = (Linear, DelayLinear, Convolution, TransposedConvolution)


class Layers(Protocol):
    """What is seen of the network."""

    program: Program
    names: list[str]
    layers: nn.ModuleList
    #: Names of the nodes of the first loop that wait for each other, in the order of evaluation.
    loops: list[list[str]]


class Natives:
    """The populations of a network that are compiled, from when that pays.

    Attributes:
        after: Updates of neurons before it pays.
        populations: By name.
        folded: Layers whose bare sums they take, and the population that takes them.
        products: Products of computed matrices, by name.
    """

    def __init__(self, network: Layers, after: int = PAYS) -> None:
        self.after, self._done = after, 0
        self.populations: dict[str, NativePopulation] = {}
        self.folded: dict[str, str] = {}
        self.products: dict[str, NativeMatmul] = {}
        modules = dict(zip(network.names, network.layers, strict=True))
        program, readers = network.program, _readers(network.program)
        loops = {name: set(group) for group in network.loops for name in group}
        for node in program.nodes:
            neuron = modules[node["name"]]
            if isinstance(neuron, Matmul):
                product = NativeMatmul(program, node, neuron)
                self.products |= {node["name"]: product} if product.possible() else {}
            if not isinstance(neuron, Neuron):
                continue
            folds = {
                port: layer
                for port, edge in enumerate(node["inputs"])
                if type(layer := modules[edge["src"]]) in _FOLDED
                and isinstance(layer, Weighted)
                and readers[edge["src"]] == 1
                and not edge["delay"]
                and program.clock[edge["src"]] == program.clock[node["name"]]
                and layer.shape == neuron.shape
            }
            rows = _rows_of(program, node, folds, loops.get(node["name"], set()))
            found = NativePopulation(program, node, neuron, folds, rows)
            if found.possible():
                self.populations[node["name"]] = found
                self.folded |= {node["inputs"][port]["src"]: node["name"] for port in folds}

    @property
    def paid(self) -> bool:
        """Whether enough has been run."""
        return self._done >= self.after and bool(self.populations) and machine.available()

    def pay(self, batch: int, steps: int) -> bool:
        """Whether a run is worth it, with all that there have been."""
        sizes = [p.size for p in self.populations.values()]
        self._done += steps * sum(batch * size + STEP for size in sizes)
        return min(batch, steps) > 0 and self.paid


def _rows_of(
    program: Program, node: Record, folds: dict[int, Weighted], loop: set[str]
) -> dict[int, Rows]:
    """How the sums of layers can be added, by the number of the neuron's input.

    Args:
        program: The stored program.
        node: The neuron.
        folds: The layers.
        loop: Names of the nodes that wait for each other, one of which is the neuron.
    """
    name, found, nodes = node["name"], {}, {n["name"]: n for n in program.nodes}
    for port, layer in folds.items():
        if type(layer) is not Linear:
            continue
        source = nodes[node["inputs"][port]["src"]]
        (edge,) = source["inputs"]
        own = edge["out"] if edge["src"] == name else -1
        if own >= 0 and (edge["delay"] != 1 or len(layer.shape) != 1 or not _silent(program, edge)):
            continue
        if rows := rows_of(layer.weight, program.operand_bounds(source), own):
            found[port] = rows
    closed = {name} | {node["inputs"][i]["src"] for i, r in found.items() if r.own >= 0}
    return found if loop <= closed else {i: r for i, r in found.items() if r.own < 0}


def _silent(program: Program, edge: Record) -> bool:
    """Whether a delayed edge gives zeros at first."""
    return edge["init"] is None or not program.param(edge["init"]).any()


def _readers(program: Program) -> dict[str, int]:
    """How many operands each node is."""
    count = dict.fromkeys(program.clock, 0)
    for node in program.nodes:
        for edge in node["inputs"]:
            count[edge["src"]] += 1
    return count
