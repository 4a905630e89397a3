"""The nodes and edges of NIR for a network of real operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.backends.nir.neurons import KEYS, USUAL, Convention, InexpressibleError, Neuron, neuron
from snnc.diagnostics import CompileError, Diagnostic, error, warning
from snnc.frontends.nir_file import RawNode
from snnc.frontends.nir_graph import flatten
from snnc.graph import Edge, Graph, Node
from snnc.ops import Collect, Op
from snnc.types import Clock

Array = npt.NDArray[Any]
Fields = dict[str, Any]
#: The reading of the NIR paper: values of ``KEYS``.
COMMON: Convention = (
    *("zero", "same", "gt", "one", "euler", "euler"),
    *("ode", "ode", "zero", "none"),
)
#: A node of the file and how many steps ago it is read.
Late = tuple[str, int]


@dataclass
class Network:
    """What a file holds.

    Attributes:
        nodes: Type and parameters by name.
        edges: Pairs of names.
        options: How a reader must read it: values of ``NirOptions``.
        problems: What NIR cannot say, as errors and warnings.
    """

    nodes: dict[str, Fields] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)


def network(graph: Graph) -> Network:
    """The network in NIR; ``problems`` has an error for all that NIR has no node for."""
    return _Writer(graph).write()


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.net = graph, Network()
        self.feeds: dict[str, list[Late]] = {}  # nodes of the file that give a value
        self.neurons: dict[str, Neuron] = {}
        self.pending: list[tuple[Edge, str]] = []
        self.implied: set[tuple[str, str]] = set()
        self.dt = USUAL

    def write(self) -> Network:
        if self.graph.phases > 1:
            text = "NIR has one loop over time, the network has several"
            self.net.problems.append(error("E541", text))
            return self.net
        for node in self.graph:
            if isinstance(node.op, ops.Neuron):
                self._find(node, node.op)
        self._agree()
        for node in self.graph:
            self._node(node)
        self._wires()
        doubled = {e for e in self.net.edges if self.net.edges.count(e) > 1}
        for a, b in sorted(doubled):
            text = f"{b} reads {a} several times; an edge of NIR counts once"
            self.net.problems.append(error("E541", text, help="multiply it by a number instead"))
        return self.net

    def _find(self, node: Node, op: ops.Neuron) -> None:
        try:
            self.neurons[node.name] = neuron(op.kernel, op.shape)
        except InexpressibleError as e:
            text = f"NIR has no neuron like {node.name}: {e}"
            hint = "NIR knows IF, LIF, CubaLIF, I, LI, CubaLI and Threshold; use another target"
            program = tuple(op.kernel.text[:12])
            self.net.problems.append(error("E542", text, node.loc, *program, help=hint))

    def _agree(self) -> None:
        """One convention and one step for all neurons, which NIR does not record."""
        steps = {n.dt for n in self.neurons.values()} - {None}
        if len(steps) > 1:
            text = f"neurons count time in steps of {', '.join(f'{s:g}' for s in sorted(steps))}"  # type: ignore[type-var]
            self.net.problems.append(error("E543", text))
        self.dt = next(iter(steps), USUAL) or USUAL
        shared: set[Convention] | None = None
        for found in self.neurons.values():
            shared = set(found.conventions) if shared is None else shared & found.conventions
        if shared is not None and not shared:
            text = "neurons differ in what NIR leaves open, such as resets; a file has one reading"
            notes = [f"{n}: {_said(min(x.conventions))}" for n, x in self.neurons.items()]
            self.net.problems.append(error("E543", text, None, *notes[:12]))
            return
        common = COMMON
        chosen = min(
            shared or {common},
            key=lambda c: (sum(a != b for a, b in zip(c, common, strict=True)), c),
        )
        self.net.options = {"dt": self.dt, **dict(zip(KEYS, chosen, strict=True))}
        special = [
            f"{k}={v}" for k, v, usual in zip(KEYS, chosen, common, strict=True) if v != usual
        ]
        if special:
            text = f"NIR does not record that {', '.join(special)}; other readers will not know it"
            hint = "snnc reads it from the file's metadata"
            self.net.problems.append(warning("W544", text, help=hint))

    def _node(self, node: Node) -> None:
        op, edges = node.op, self.graph.in_edges(node.name)
        write = WRITERS.get(type(op))
        if isinstance(op, ops.Output | ops.Input | ops.Neuron):
            self._end(node, op, edges)
        elif isinstance(op, ops.Sum | ops.Repeat | Collect | ops.TimeLast):
            self._pass(node, op, edges)
        elif isinstance(op, ops.Constant):
            self.feeds[node.name] = []
        else:
            late = node.type.clock.kind is Clock.END
            fields = None if write is None or late else write(self.graph, node)
            if fields is None:
                self._refuse(node)
            else:
                self._add(node, fields, edges[:1])

    def _refuse(self, node: Node) -> None:
        late = node.type.clock.kind is Clock.END
        what = " after the last step" if late else ""
        text = f"NIR has no node for {node.name} ({type(node.op).__name__}{what})"
        hint = "leave it to the program around the network, or use another target"
        self.net.problems.append(error("E541", text, node.loc, help=hint))
        self.feeds[node.name] = []

    def _end(self, node: Node, op: Op, edges: list[Edge]) -> None:
        shape = np.array(node.type.shape, np.int64)
        if isinstance(op, ops.Input):
            if op.type.clock is Clock.ONCE:
                text = f"the input {node.name} does not change over time, which NIR does not record"
                self.net.problems.append(warning("W544", text, node.loc))
            keys = {"input_lo": op.lo, "input_hi": op.hi, "input_step": op.step}
            self.net.options |= keys
            self._add(node, {"type": "Input", "shape": shape}, [])
        elif isinstance(op, ops.Output):
            self._add(node, {"type": "Output", "shape": shape}, edges)
        elif node.name in self.neurons:
            found = self.neurons[node.name]
            # where it is 0, v_reset is left to its default: NIR up to 1.0.4 does not know it
            fields = {
                p: np.broadcast_to(v, node.type.shape)
                for p, v in found.fields.items()
                if p != "v_reset" or v.any()
            }
            self._add(node, {"type": found.kind, **fields}, edges)
        else:
            self.feeds[node.name] = []

    def _pass(self, node: Node, op: Op, edges: list[Edge]) -> None:
        """What is no node: sums, repetition, and what is made of an output over time."""
        if isinstance(op, Collect | ops.TimeLast):
            if not all(isinstance(u.op, ops.Output) for u in self.graph.users(node.name)):
                return self._refuse(node)
            readout = type(op).__name__.removeprefix("Time").lower()
            if getattr(op, "start", 0):
                return self._refuse(node)
            if self.net.options.setdefault("readout", readout) != readout:
                text = "outputs are made of their steps in different ways, which NIR cannot say"
                self.net.problems.append(error("E541", text, node.loc))
            if readout != "stack":
                text = f"that {node.name} is the {readout} over time is not recorded by NIR"
                self.net.problems.append(warning("W544", text, node.loc))
        self.feeds[node.name] = [(f"\0{node.name}", 0)]
        self.pending += [(e, f"\0{node.name}") for e in edges]
        return None

    def _add(self, node: Node, fields: Fields, edges: list[Edge]) -> None:
        name = node.name.replace("/", "_")
        while name in self.net.nodes or name in (".", ".."):
            name += "_"
        self.net.nodes[name] = fields
        self.feeds[node.name] = [(name, 0)]
        self.pending += [(e, name) for e in edges]

    def _sources(self, edge: Edge) -> list[Late]:
        """Nodes of the file that an edge reads, through sums and the like."""
        found: list[Late] = []
        for name, late in self.feeds.get(edge.src, []):
            if not name.startswith("\0"):
                found.append((name, late + edge.delay))
                continue
            for inner in self.graph.in_edges(name[1:]):
                found += [(n, late + d + edge.delay) for n, d in self._sources(inner)]
        return found

    def _wires(self) -> None:
        """Connect the nodes; a reader delays one edge of every loop, and is told which.

        If it would be another one than here, a node says the delay.
        """
        nodes = dict(self.net.nodes)
        for loop in ("spikes", "current", ""):
            self.net.nodes, self.net.edges, self.implied = dict(nodes), [], set()
            for edge, name in self.pending:
                self._connect(edge, name, explicit=not loop)
            if not loop or self._delayed(loop) == self.implied:
                break
        if self.net.options and loop == "current":
            self.net.options["loop"] = loop

    def _delayed(self, loop: str) -> set[tuple[str, str]]:
        """The edges that a reader delays by itself."""
        if not any(n["type"] == "Input" for n in self.net.nodes.values()):
            return set()
        nodes = {
            name: RawNode(fields["type"], name, {k: v for k, v in fields.items() if k != "type"})
            for name, fields in self.net.nodes.items()
        }
        root = RawNode("NIRGraph", "", {}, nodes, tuple(dict.fromkeys(self.net.edges)))
        try:
            found = flatten(root, loop).delayed
        except CompileError:
            return set()
        return {(a, b) for a, b in found if self.net.nodes[a]["type"] != "Delay"}

    def _connect(self, edge: Edge, name: str, explicit: bool) -> None:
        if name.startswith("\0"):
            return
        if edge.delay and edge.init is not None and edge.init.data.any():
            text = f"{edge.dst} reads {edge.src} of before the first step, which is not 0"
            self.net.problems.append(error("E541", text, self.graph[edge.dst].loc))
        for source, delay in self._sources(edge):
            closes = delay == 1 and self._reaches(name, source) and not explicit
            between = source
            if closes:
                self.implied.add((source, name))
            elif delay:
                # a delay in a loop counts the step that the loop takes, too
                between = f"{source}.delay{delay}.{name}"
                shape = self.graph[edge.src].type.shape
                self.net.nodes[between] = {
                    "type": "Delay",
                    "delay": np.full(shape, delay * self.dt),
                }
                self.net.edges.append((source, between))
            self.net.edges.append((between, name))

    def _reaches(self, start: str, goal: str) -> bool:
        """Whether a path of the program leads from one node to the other."""
        seen, todo = set(), [start]
        names = {a: b for b, found in self.feeds.items() for a, _ in found}
        target = names.get(goal, goal)
        while todo:
            at = names.get(todo.pop(), "")
            if at == target:
                return True
            for e in self.graph.out_edges(at) if at in self.graph else ():
                if e.dst not in seen:
                    seen.add(e.dst)
                    todo += [n for n, _ in self.feeds.get(e.dst, [])]
        return False


def _said(convention: Convention) -> str:
    return ", ".join(f"{k}={v}" for k, v in zip(KEYS, convention, strict=True))


def _linear(graph: Graph, node: Node) -> Fields | None:
    assert isinstance(node.op, ops.Linear), "the table says so"
    weight = node.op.weight.data
    if node.op.bias is None:
        return {"type": "Linear", "weight": weight}
    return {"type": "Affine", "weight": weight, "bias": node.op.bias.data}


def _conv(graph: Graph, node: Node) -> Fields | None:
    op = node.op
    assert isinstance(op, ops.Conv1d | ops.Conv2d), "the table says so"
    (x,) = graph.operands(node.name)
    extent = np.array(x.type.shape[1:], np.int64)
    bias = np.zeros(len(op.weight.data), op.weight.data.dtype)
    one = isinstance(op, ops.Conv1d)
    pairs = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation}
    return {
        "type": "Conv1d" if one else "Conv2d",
        "input_shape": extent.reshape(()) if one else extent,
        "weight": op.weight.data,
        **{k: np.array(v[0] if one else v, np.int64) for k, v in pairs.items()},
        "groups": np.array(op.groups, np.int64),
        "bias": bias if op.bias is None else op.bias.data,
    }


def _pool(graph: Graph, node: Node) -> Fields | None:
    op = node.op
    assert isinstance(op, ops.SumPool2d | ops.AvgPool2d), "the table says so"
    sizes = {"kernel_size": op.kernel, "stride": op.stride, "padding": op.padding}
    return {"type": type(op).__name__, **{k: np.array(v, np.int64) for k, v in sizes.items()}}


def _flatten(graph: Graph, node: Node) -> Fields | None:
    """A reshape that joins neighbouring axes; None for any other."""
    (x,) = graph.operands(node.name)
    before, after = x.type.shape, node.type.shape
    joined = len(before) - len(after)
    for start in range(len(after)):
        end = start + joined
        same = before[:start] == after[:start] and before[end + 1 :] == after[start + 1 :]
        if joined >= 0 and same:
            return {
                "type": "Flatten",
                "input_type": np.array(before, np.int64),
                "start_dim": np.array(start, np.int64),
                "end_dim": np.array(end, np.int64),
            }
    return None


def _scale(graph: Graph, node: Node) -> Fields | None:
    assert isinstance(node.op, ops.Pointwise), "the table says so"
    operands = graph.operands(node.name)
    if node.op.fn != "mul" or not isinstance(operands[1].op, ops.Constant):
        return None
    return {"type": "Scale", "scale": np.broadcast_to(operands[1].op.value.data, node.type.shape)}


#: Writes a layer; None if NIR has nothing for it.
WRITERS: Mapping[type[Op], Callable[[Graph, Node], Fields | None]] = {
    ops.Linear: _linear,
    ops.Conv1d: _conv,
    ops.Conv2d: _conv,
    ops.SumPool2d: _pool,
    ops.AvgPool2d: _pool,
    ops.Reshape: _flatten,
    ops.Pointwise: _scale,
}
