"""One run of a program on a batch: values, states and what later steps will read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnc.backends.numpy.arithmetic import whole
from snnc.backends.numpy.attention import ATTENTION
from snnc.backends.numpy.layers import LAYERS, PRODUCTS
from snnc.backends.numpy.norms import NORMS
from snnc.backends.numpy.packing import ROWS
from snnc.backends.numpy.program import Array, Operator, Record
from snnc.backends.numpy.reductions import REDUCTIONS
from snnc.backends.numpy.steps import AT_STEP, COLLECTORS, SEQUENCES
from snnc.backends.numpy.tensors import TENSORS

if TYPE_CHECKING:
    from snnc.backends.numpy.simulator import Simulator

#: Operators without state, by name.
OPERATORS: dict[str, Operator] = {**LAYERS, **NORMS, **ATTENTION, **TENSORS, **REDUCTIONS}


class Values(dict[tuple[str, int], Array]):
    """Values by node and output, in int64 for those who read them."""

    def __getitem__(self, key: tuple[str, int]) -> Array:
        return whole(super().__getitem__(key))

    def kept(self, key: tuple[str, int]) -> Array:
        """A value in the type that it was given in."""
        return super().__getitem__(key)


class Run:
    """Values and states of one batch while it runs.

    Attributes:
        values: The latest, (N, ...), by node and output.
        state: By ``node.state``, after the latest step.
        records: What was asked for, (N, ...) of every step.
    """

    def __init__(self, sim: Simulator, batch: int, steps: int, wanted: set[str]) -> None:
        self.sim, self.batch, self.steps = sim, batch, steps
        self.values = Values()
        self.state: dict[str, Array] = {}
        self.records: dict[str, list[Array]] = {name: [] for name in sorted(wanted)}
        self._block: dict[tuple[str, int], list[Array]] = {}  # of the steps that are worked on
        self._stacks: dict[str, list[Array]] = {}
        self._done: dict[str, int] = {}  # steps of every loop, by its clock
        self._history: dict[tuple[str, int], list[Array]] = {}
        self._longest: dict[tuple[str, int], int] = {}
        for node in sim.nodes:
            further = int(sim.param(node["attributes"]["delay"]).max()) if _waits(node) else 0
            for e in node["inputs"]:
                if e["delay"] + further:
                    key = (e["src"], e["out"])
                    self._longest[key] = max(e["delay"] + further, self._longest.get(key, 0))
        self._start()

    def phase(self, clock: str, inputs: dict[str, Array]) -> None:
        """Evaluate the nodes of one clock, in order; ``step`` once per step."""
        self.block(clock, {name: [x] for name, x in inputs.items()}, 1)

    def block(self, clock: str, inputs: dict[str, list[Array]], count: int) -> None:
        """``count`` steps of a loop; the inputs (N, ...) of each, by name."""
        self._block = {}
        for group in self.sim.schedule(clock):
            if group.together:
                self._together(group.nodes[0], count)
                continue
            for i in range(count):
                for node in group.nodes:
                    self._one(node, clock, inputs, i)
        if clock.startswith("step"):
            self._done[clock] = self._done.get(clock, 0) + count
            for key, longest in self._longest.items():
                if self.sim.clock[key[0]] == clock:
                    past = [*self._history.get(key, []), *self._block[key]]
                    self._history[key] = past[-longest:]
        self._block = {}

    def _one(self, node: Record, clock: str, inputs: dict[str, list[Array]], i: int) -> None:
        """Step ``i`` of the block."""
        name, op, now = node["name"], node["op"], self._done.get(clock, 0) + i
        if op in COLLECTORS or op in SEQUENCES:
            if clock == self._clock_of_operand(node):
                self._collect(node, now, i)
            else:
                self._give((name, 0), self._collected(node, now))
        elif op == "IntInput":
            self._give((name, 0), inputs[name][i].astype(np.int64, copy=False))
        elif op == "IntNeuron":
            self._neuron(node, i)
        elif op in AT_STEP:
            y = AT_STEP[op](self.sim, node, self._operands(node, i), now)
            shape = (self.batch, *node["types"][0]["shape"])
            self._give((name, 0), np.broadcast_to(y, shape))
        else:
            self._give((name, 0), OPERATORS[op](self.sim, node, self._operands(node, i)))

    def _together(self, node: Record, count: int) -> None:
        """Many steps of the block at once, as if they were samples."""
        name, kind, size = node["name"], None, count
        if packed := self.sim.packed.get(name):
            kind, size = packed.dtype, max(1, ROWS // max(1, self.batch))
        elif node["op"] in PRODUCTS:
            kind = self.sim.exact[name].dtype
        for start in range(0, count, size):
            steps = range(start, min(start + size, count))
            operands = zip(*(self._operands(node, i) for i in steps), strict=True)
            joined = [_joined(x, kind) for x in operands]
            y = OPERATORS[node["op"]](self.sim, node, joined)
            for part in y.reshape(len(steps), self.batch, *y.shape[1:]):
                self._give((name, 0), part)

    def _give(self, key: tuple[str, int], value: Array) -> None:
        self.values[key] = value
        self._block.setdefault(key, []).append(value)

    def _operands(self, node: Record, i: int) -> list[Array]:
        if _waits(node):
            return [self._columns(node, i)]
        found = [self._operand(e, i) for e in node["inputs"]]
        return found if node["op"] in PRODUCTS else [whole(x) for x in found]

    def latest(self) -> dict[str, Array]:
        """What the sequences got in the last step, which are then forgotten; for streams."""
        found = {}
        nodes = {n["name"]: n for n in self.sim.nodes}
        for name in self.sim.sequences:
            stack = self._stacks.get(nodes[name]["inputs"][0]["src"], [])
            if stack:
                found[name] = stack[-1]
        self._stacks.clear()
        return found

    def _start(self) -> None:
        for node in (n for n in self.sim.nodes if n["op"] == "IntNeuron"):
            shape = (self.batch, *node["attributes"]["shape"])
            for s in node["attributes"]["kernel"]["states"]:
                init = np.broadcast_to(self.sim.param(s["init"]), shape)
                self.state[f"{node['name']}.{s['name']}"] = init

    def _operand(self, edge: Record, i: int) -> Array:
        """What an edge carries in step ``i`` of the block."""
        key: tuple[str, int] = edge["src"], edge["out"]
        delay: int = edge["delay"]
        block = self._block.get(key)
        past: list[Array] = self._history.get(key, [])
        if not delay:
            return self.values.kept(key) if block is None else block[i]
        if block is not None and i >= delay:
            return block[i - delay]
        if len(past) >= delay - i:
            return past[i - delay]
        shape = self.sim.types[edge["src"]][edge["out"]]["shape"]
        init = 0 if edge["init"] is None else self.sim.param(edge["init"])
        return np.broadcast_to(np.asarray(init, np.int64), (self.batch, *shape))

    def _columns(self, node: Record, i: int) -> Array:
        """The operand of a layer with delays: what each of its columns reads, some steps ago."""
        (edge,), a = node["inputs"], node["attributes"]
        index, delay = self.sim.param(a["index"]), self.sim.param(a["delay"])
        columns = np.zeros((self.batch, len(index)), np.int64)
        for lag in np.unique(delay):
            x = self._operand({**edge, "delay": edge["delay"] + int(lag)}, i)
            now = np.flatnonzero(delay == lag)
            columns[:, now] = x.reshape(self.batch, -1)[:, index[now]]
        return columns

    def _neuron(self, node: Record, i: int) -> None:
        name, kernel = node["name"], node["attributes"]["kernel"]
        shape = (self.batch, *node["attributes"]["shape"])
        leaves = {s["name"]: self.state[f"{name}.{s['name']}"] for s in kernel["states"]}
        for name_in, edge in zip(kernel["inputs"], node["inputs"], strict=True):
            x = self._operand(edge, i)
            if x.ndim < len(shape):  # of fewer axes: aligned right, behind the batch
                x = x.reshape(len(x), *[1] * (len(shape) - x.ndim), *x.shape[1:])
            leaves[name_in] = x
        env = self.sim.neurons[name].step(leaves)
        noted = {s["name"] for s in kernel["states"]}  # as a word: after the step
        for number, out in enumerate(kernel["outputs"]):
            self._give((name, number), _spread(env[out], shape))
            if out not in noted:
                self._note(f"{name}.{out}", self.values.kept((name, number)))
                noted.add(out)
        for s in kernel["states"]:
            self.state[f"{name}.{s['name']}"] = _spread(env[s["next"]], shape)
        for s in kernel["states"]:
            self._note(f"{name}.{s['name']}", self.state[f"{name}.{s['name']}"])

    def _note(self, word: str, value: Array) -> None:
        if word in self.records:
            self.records[word].append(whole(value))

    def _clock_of_operand(self, node: Record) -> str:
        found: str = self.sim.clock[node["inputs"][0]["src"]]
        return found

    def _collect(self, node: Record, now: int, i: int) -> None:
        """Take the value of step ``now``, unless it is warm-up."""
        name, op = node["name"], node["op"]
        key = f"{name}.acc"
        late = now < node["attributes"].get("start", 0)
        x = whole(self._operand(node["inputs"][0], i))
        if op == "IntTimeStack" or op in SEQUENCES:
            if not late:
                self._stacks.setdefault(name, []).append(x)
            return
        old = self.state.get(key)
        if late:
            x = self._zeros(node)
        elif old is not None and op == "IntTimeMax":
            x = np.maximum(old, x)
        elif old is not None and op != "IntTimeLast":
            x = old + x
        if not late:
            self.state[key] = x
        self._note(key, x)

    def _zeros(self, node: Record) -> Array:
        return np.zeros((self.batch, *node["types"][0]["shape"]), np.int64)

    def _collected(self, node: Record, now: int) -> Array:
        """The value of a collector after its loop, or of a sequence at step ``now``."""
        name, op = node["name"], node["op"]
        stack = self._stacks.get(name, [])
        if op in SEQUENCES:
            return SEQUENCES[op](self.sim, node, stack, now)
        if op == "IntTimeStack":
            empty = np.zeros((self.batch, 0, *node["types"][0]["shape"]), np.int64)
            return np.stack(stack, 1) if stack else empty
        total = self.state.get(f"{name}.acc", self._zeros(node))
        done = self._done.get(self._clock_of_operand(node), 0)
        return COLLECTORS[op](node, total, done)


def _spread(x: Array, shape: tuple[int, ...]) -> Array:
    """A value for every neuron of every sample."""
    return x if x.shape == shape else np.broadcast_to(x, shape)


def _joined(parts: Sequence[Array], kind: np.dtype[Any] | None) -> Array:
    """Values of several steps one behind the other, in the type ``kind`` if there is one."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, dtype=kind, casting="unsafe" if kind else "same_kind")


def _waits(node: Record) -> bool:
    """Whether a layer reads its input some steps ago, column by column."""
    return bool(node["op"] == "IntDelayLinear")
