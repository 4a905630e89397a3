"""One batch while it runs, phase by phase and step by step, as in the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn

from snnc.backends.torch.collectors import Collector, Sequence, Stack
from snnc.backends.torch.compiled import Natives
from snnc.backends.torch.layers import DelayLinear, Weighted
from snnc.backends.torch.neuron import Neuron
from snnc.backends.torch.operator import Function, StepFunction
from snnc.backends.torch.program import Program, Record

Values = dict[str, Tensor]
#: Output ``out`` of a node.
Key = tuple[str, int]
#: A node, its module, and whether it gives its value then, or only collects.
Part = tuple[Record, nn.Module, bool]


class Parts(Protocol):
    """What a run sees of the network."""

    program: Program
    #: What is evaluated at every clock, in order.
    parts: dict[str, list[Part]]
    #: Those of the first loop, together where they wait for each other, in the order of evaluation.
    groups: list[list[Part]]
    #: Types of the inputs.
    words: dict[str, torch.dtype]
    #: How many past values are read, of those that are.
    longest: dict[Key, int]


class Run:
    """Values and states of one batch while it runs, phase by phase, as in the simulator."""

    def __init__(
        self, network: Parts, inputs: Values, wanted: set[str], natives: Natives | None = None
    ) -> None:
        self.network, self.program, self.natives = network, network.program, natives
        clocks = self.program.clock
        given = {k: x.to(network.words[k]) for k, x in inputs.items()}
        self.like = next(iter(given.values()))
        self.batch = self.like.shape[0]
        self.static = {k: x for k, x in given.items() if clocks[k] == "once"}
        # steps first, so that each is contiguous
        steps = {
            k: x.transpose(0, 1).contiguous() for k, x in given.items() if k not in self.static
        }
        self.sequences = steps
        self.values: dict[Key, Tensor] = {}
        self.records: dict[str, list[Tensor]] = {name: [] for name in sorted(wanted)}
        self.state: dict[str, list[Tensor]] = {}
        self.kept: dict[str, Tensor] = {}
        self.stacks: dict[str, list[Tensor]] = {}
        self.done: dict[str, int] = {}  # steps of every loop, by its clock
        self.history: dict[Key, list[Tensor]] = {}
        self.deferred: dict[str, tuple[Weighted, list[Tensor]]] = {}  # layers and their operands

    def phase(self, clock: str, inputs: Values) -> None:
        """Evaluate the nodes of one clock, in order; ``step`` once per step."""
        self.evaluate(self.network.parts.get(clock, ()), self.done.get(clock, 0), inputs)
        if clock.startswith("step"):
            self.done[clock] = self.done.get(clock, 0) + 1
            self.keep(k for k in self.network.longest if self.program.clock[k[0]] == clock)

    def evaluate(self, parts: Iterable[Part], now: int, inputs: Values) -> None:
        """Evaluate some nodes in step ``now``."""
        for node, module, own in parts:
            name = node["name"]
            if isinstance(module, Neuron):
                self._neuron(node, module)
            elif isinstance(module, Function):
                self.values[name, 0] = self._function(node, module)
            elif isinstance(module, StepFunction):
                y = module.forward(now, *map(self.operand, node["inputs"]))
                self.values[name, 0] = y.expand(self.batch, *module.shape)
            elif isinstance(module, Collector | Sequence | Stack):
                if not own:
                    self.take(node, module, now)
                else:
                    self.values[name, 0] = self._collected(node, module, now)
            else:
                self.values[name, 0] = self.static[name] if name in self.static else inputs[name]

    def keep(self, keys: Iterable[Key]) -> None:
        """Remember the latest values of some outputs for as long as they are read."""
        for key in keys:
            past = [*self.history.get(key, []), self.values[key]]
            self.history[key] = past[-self.network.longest[key] :]

    def _function(self, node: Record, module: Function) -> Tensor:
        call = self.function(node["name"], module)
        if isinstance(module, DelayLinear):
            (edge,) = node["inputs"]
            past = [self.operand({**edge, "delay": edge["delay"] + lag}) for lag in module.lags]
            return call(module.columns(past))
        return call(*map(self.operand, node["inputs"]))

    def function(self, name: str, module: Function) -> Callable[..., Tensor]:
        """What to call of a module: a compiled population takes the bare sums of a layer."""
        if self.natives and name in self.natives.products:
            return self.natives.products[name]
        if self.natives and name in self.natives.folded and isinstance(module, Weighted):
            return module.sums
        return module.forward

    def operand(self, edge: Record) -> Tensor:
        key = edge["src"], edge["out"]
        if not edge["delay"]:
            return self.values[key]
        past = self.history.get(key, [])
        if len(past) >= edge["delay"]:
            late: Tensor = past[-edge["delay"]]
            return late
        return self.before(edge)

    def before(self, edge: Record) -> Tensor:
        """What a delayed edge gives before the first delayed value."""
        shape = self.program.types[edge["src"]][edge["out"]]["shape"]
        if edge["init"] is None:
            return self.like.new_zeros((self.batch, *shape))
        init = self.program.tensor(edge["init"]).to(self.like.device)
        return init.expand(self.batch, *shape)

    def _neuron(self, node: Record, module: Neuron) -> None:
        name = node["name"]
        if name not in self.state:
            self.state[name] = module.start(self.batch)
        inputs = [self.operand(edge) for edge in node["inputs"]]
        if self.natives and (native := self.natives.populations.get(name)):
            outputs, states = native(inputs, self.state[name])
        else:
            outputs, states = module.forward(inputs, self.state[name])
        self.state[name] = states
        for i, value in enumerate(outputs):
            self.values[name, i] = value
        if self.records:  # a state as a word: after the step
            words = dict(zip(module.outputs, outputs, strict=True))
            words |= dict(zip(module.states, states, strict=True))
            for kept, value in words.items():
                self.note(f"{name}.{kept}", value)

    def note(self, name: str, value: Tensor) -> None:
        if name in self.records:
            self.records[name].append(value)

    def take(self, node: Record, module: Collector | Sequence | Stack, now: int) -> None:
        """Take the value of step ``now``, unless it is warm-up."""
        name = node["name"]
        late = now < (0 if isinstance(module, Sequence) else module.start)
        if not isinstance(module, Collector):
            if not late:
                self.stacks.setdefault(name, []).append(self.operand(node["inputs"][0]))
            return
        if not late:
            x = self.operand(node["inputs"][0])
            self.kept[name] = module.forward(self.kept.get(name), x)
        self.note_collected(node, module)

    def note_collected(self, node: Record, module: Collector) -> None:
        """Record what a collector has kept so far."""
        name = node["name"]
        self.note(f"{name}.acc", self.kept.get(name, self._zeros(module)))

    def _collected(self, node: Record, module: Collector | Sequence | Stack, now: int) -> Tensor:
        """The value of a collector after its loop, or of a sequence at step ``now``."""
        name = node["name"]
        stack = self.stacks.get(name, [])
        if isinstance(module, Sequence):
            return module.forward(stack, now)
        if isinstance(module, Stack):
            return module.forward(stack, self.like)
        done = self.done.get(self.program.clock[node["inputs"][0]["src"]], 0)
        return module.result(self.kept.get(name, self._zeros(module)), done)

    def _zeros(self, module: Collector) -> Tensor:
        return self.like.new_zeros((self.batch, *module.shape), dtype=torch.int64)
