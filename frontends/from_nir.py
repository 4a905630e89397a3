"""Read a NIR file: https://neuroir.org, the exchange format of spiking networks.

Stages, all in a child process (``isolated.py``): ``nir_file`` (HDF5 to records), ``nir_graph``
(one flat network, loops cut), ``nir_time`` (length of a step), ``nir_shapes`` (what the axes
mean), and here the graph.  What NIR leaves open is ``NirOptions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.container import LoadedModel
from snnc.diagnostics import CompileError, Diagnostic, error, fail, remark, stop_on_errors, warning
from snnc.frontends.nir_exporters import EXPORTERS
from snnc.frontends.nir_file import OPTIONS, RawNode, read_file
from snnc.frontends.nir_graph import Network, flatten, order
from snnc.frontends.nir_layers import (
    OPTIONAL,
    REQUIRED,
    SHAPES,
    UnsupportedError,
    delay_steps,
)
from snnc.frontends.nir_neurons import NEURONS, neuron_kernel
from snnc.frontends.nir_options import NirOptions
from snnc.frontends.nir_shapes import Shapes, find_shapes
from snnc.frontends.nir_time import choose_step
from snnc.frontends.readouts import READOUTS
from snnc.graph import Edge, Graph, Value
from snnc.params import Param
from snnc.types import TensorType
from snnc.untrusted import UnsafeError, parse_json


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read a NIR file from its bytes, in this process: for the child, and for tests.

    Raises:
        CompileError: E10x and E14x for files that cannot be read, E148 for options, E2xx for
            networks that do not fit together or are not supported, E301 for NaN, E322 for time
            constants.
    """
    given = NirOptions.of(options)
    root, version = read_file(data, name)
    chosen = _recorded(root, given).resolved()
    net = flatten(root, chosen.loop or "spikes")
    found = net.diagnostics + _check_fields(net)
    stop_on_errors(found)
    neurons = [n for n in net.nodes.values() if n.kind in NEURONS]
    dt, why, said = choose_step([n for n in neurons if n.kind != "Threshold"], chosen)
    found += said
    stop_on_errors(found)
    shapes = find_shapes(net)
    found += shapes.diagnostics
    stop_on_errors(found)
    graph = _Builder(net, chosen, dt, shapes, Path(name).stem).build()
    found.append(_assumptions(chosen, dt, why, net))
    meta = {"format": "nir", "nir": version, "options": asdict(chosen) | {"dt": dt}}
    return LoadedModel(graph, meta, found)


def _recorded(root: RawNode, given: NirOptions) -> NirOptions:
    """The options, those that nobody has given as snnc has recorded them in the file.

    Raises:
        CompileError: E146 for a damaged record, E148 for impossible values.
    """
    text = root.fields.get(OPTIONS)
    if not isinstance(text, str) or given.exporter != NirOptions().exporter:
        return given
    try:
        recorded = parse_json(text.encode())["options"]
        known = {k: v for k, v in recorded.items() if k in NirOptions.__dataclass_fields__}
    except (UnsafeError, KeyError, TypeError, AttributeError) as e:
        text = "the record of snnc in the file's metadata is damaged"
        raise fail("E146", text, help="write the file again, or name an exporter") from e
    usual = asdict(NirOptions())
    missing = {k: v for k, v in known.items() if asdict(given)[k] == usual[k]}
    return NirOptions.of(asdict(given) | missing)


def _check_fields(net: Network) -> list[Diagnostic]:
    """Unknown types, missing parameters, and parameters that nobody reads."""
    found: list[Diagnostic] = []
    known = ", ".join(sorted({*REQUIRED, *NEURONS}))
    for name, node in net.nodes.items():
        if node.kind in NEURONS:
            kind = NEURONS[node.kind]
            required, optional = kind.required, tuple(kind.optional)
        elif node.kind in REQUIRED:
            required, optional = REQUIRED[node.kind], OPTIONAL.get(node.kind, ())
        else:
            text = f"{name} is a {node.kind!r:.60}, which snnc does not know"
            found.append(error("E210", text, node.loc, help=f"known: {known}"))
            continue
        missing = [p for p in required if p not in node.fields]
        if missing:
            text = f"{name} ({node.kind}) has no {', '.join(missing)}"
            found.append(error("E146", text, node.loc, help="export the model again"))
        texts = [p for p in required if isinstance(node.fields.get(p), str)]
        texts += [p for p in optional if isinstance(node.fields.get(p), str) and p != "padding"]
        if texts:
            text = f"{name} ({node.kind}): {', '.join(texts)} is text"
            found.append(error("E146", text, node.loc))
        spare = sorted(set(node.fields) - {*required, *optional, *SHAPES, "version"})
        if spare:
            text = f"{name} ({node.kind}) has parameters that are not read: {', '.join(spare)}"
            found.append(warning("W140", text[:400], node.loc))
    return found


def _assumptions(options: NirOptions, dt: float, why: str, net: Network) -> Diagnostic:
    """The remark that says how the file was read."""
    kinds = [NEURONS[n.kind] for n in net.nodes.values() if n.kind in NEURONS]
    leaks, synapses = any(k.tau for k in kinds), any("tau_syn" in k.required for k in kinds)
    whole = "(1 - decay) * r" if leaks else "dt * r"
    if leaks and not all(k.tau for k in kinds):
        whole += ", without a leak dt * r"
    ode = {"ode": whole, "r": "r", "one": "1"}
    reset = {"zero": "to v_reset", "subtract": "by v_threshold", "none": "none"}
    when = {
        "same": "in the step of the spike",
        "next": "in the step after, before the update",
        "drop": "in the step after, in place of the update",
        "snntorch": "as snnTorch does with reset_delay=False",
    }[options.timing or "same"]
    fires = ">" if options.compare == "gt" else ">="
    decay = {"euler": "1 - dt/tau", "exp": "exp(-dt/tau)"}
    notes = [f"dt = {dt:g} ({why})"]
    if leaks:
        notes.append(f"decay = {decay[options.decay or 'euler']} (decay=euler|exp)")
    notes.append(f"gain of the input = {ode[options.gain or 'ode']} (gain=ode|r|one)")
    if any(k.fires for k in kinds):
        often = "as often as the threshold fits" if options.spikes == "many" else "once a step"
        text = f"fires at v {fires} v_threshold, {often}"
        notes.append(f"{text} (compare=gt|ge, spikes=one|many)")
        text = f"reset {reset[options.reset or 'zero']}, {when}"
        notes.append(f"{text} (reset=zero|subtract|none, timing=same|next|drop|snntorch)")
    notes.append(f"starts at {options.initial} (initial=zero|v_leak|v_reset)")
    if options.floor == "zero":
        notes.append("a membrane below 0 is kept as 0 (floor=none|zero)")
    if synapses:
        gain = {"ode": "(1 - decay) * w_in", "jump": "w_in", "decayed": "decay"}
        text = f"a synapse decays by {decay[options.decay_syn or 'euler']}"
        text += f", gain of its input = {gain[options.synapse or 'ode']}"
        notes.append(f"{text} (decay_syn=euler|exp, synapse=ode|jump|decayed)")
    if net.delayed:
        wires = ", ".join(f"{a} → {b}" for a, b in sorted(net.delayed))[:200]
        notes.append(f"arrives one step later: {wires} (loop=spikes|current)")
    low, high, step = options.input_lo, options.input_hi, options.input_step
    grid = f" in steps of {step:g}" if step else ""
    notes.append(f"inputs are {low:g} to {high:g}{grid} (input_lo=, input_hi=, input_step=)")
    notes += EXPORTERS[options.exporter].notes
    text = f"NIR leaves the arithmetic open; read with the conventions of {options.exporter!r}"
    return remark("R140", text, None, *notes)


class _Builder:
    """Make the graph of a network whose shapes are known."""

    def __init__(
        self, net: Network, options: NirOptions, dt: float, shapes: Shapes, name: str
    ) -> None:
        self.net, self.options, self.dt, self.shapes = net, options, dt, shapes
        self.graph = Graph(name, options.steps)
        self.edges: list[Edge] = []
        self.delays: dict[str, npt.NDArray[np.int64]] = {}

    def build(self) -> Graph:
        names = order(self.net)
        self.each([n for n in names if self.net.nodes[n].kind == "Delay"], self.delay)
        self.each(names, self.node)
        for edge in self.edges:  # only now do all producers exist: loops look ahead
            self.graph.connect(edge)
        for made in self.graph:
            arriving = (Value(e.src, e.out) for e in self.graph.in_edges(made.name))
            types = made.op.infer(tuple(map(self.graph.type_of, arriving)))
            self.graph.replace(replace(made, types=types))
        self.graph.verify()
        return self.graph

    def each(self, names: list[str], make: Callable[[str, RawNode], None]) -> None:
        """Call ``make`` with every node; all its problems are raised together."""
        problems: list[Diagnostic] = []
        for name in names:
            node = self.net.nodes[name]
            try:
                make(name, node)
            except UnsupportedError as e:
                problems.append(error("E210", f"{name} ({node.kind}): {e}", node.loc))
            except ValueError as e:
                problems.append(error("E202", f"{name} ({node.kind}): {e}", node.loc))
        if problems:
            raise CompileError(problems)

    def delay(self, name: str, node: RawNode) -> None:
        """Find the steps of a Delay node; in a loop that it closes they are at least one."""
        steps = delay_steps(node, self.shapes.arriving[name], self.dt)
        closes = any(source == name for source, _ in self.net.delayed)
        self.delays[name] = np.maximum(steps, 1) if closes else steps

    def node(self, name: str, node: RawNode) -> None:
        shape = self.shapes.arriving[name]
        if name in self.net.inputs:
            o = self.options
            op = ops.Input(TensorType(shape), o.input_lo, o.input_hi, o.input_step)
            self.emit(name, op, name, [], shape)
            return
        if self.is_wire(name):
            return
        operands = self.operands(name)
        if node.kind in NEURONS:
            kernel = neuron_kernel(node, shape, len(operands), self.options, self.dt)
            self.emit(name, ops.Neuron(kernel, shape), name, operands, shape)
            return
        links = self.shapes.links[name]
        if len(operands) > 1:
            last = not links and name not in self.net.outputs and not self.spreads(name)
            total = name if last else self.fresh(f"{name}.sum")
            self.emit(total, ops.Sum(), name, operands, shape)
            operands = [(total, 0)]
        if self.spreads(name):
            self.spread(name, operands[0], shape)
        for i, link in enumerate(links):
            made = name if i == len(links) - 1 else self.fresh(f"{name}.{i}")
            if link.constant is not None:
                constant = self.fresh(f"{name}.constant")
                self.graph.add(constant, ops.Constant(link.constant), loc=node.loc)
                operands = [*operands, (constant, 0)]
            shape = self.emit(made, link.op, name, operands, shape)
            operands = [(made, 0)]
        if name in self.net.outputs:
            read = self.fresh(f"{name}.{self.options.readout}")
            self.emit(read, READOUTS[self.options.readout](), name, operands, shape)
            self.graph.declare(name, ops.Output(), self.graph[read].types, node.loc)
            self.edges.append(Edge(read, name))

    def spreads(self, name: str) -> bool:
        """Whether a node delays its neurons by different times."""
        return name in self.delays and self.delays[name].ndim > 0

    def spread(self, name: str, operand: tuple[str, int], shape: tuple[int, ...]) -> None:
        """Delay each group of neurons by its own time: multiply by masks, then add."""
        steps, (source, before) = self.delays[name], operand
        parts = []
        for count in map(int, np.unique(steps)):
            mask, part = self.fresh(f"{name}.mask{count}"), self.fresh(f"{name}.{count}")
            values = (steps == count).astype(np.float32)
            self.graph.add(mask, ops.Constant(Param(values)), loc=self.net.nodes[name].loc)
            operands = [(source, before + count), (mask, 0)]
            self.emit(part, ops.Pointwise("mul"), name, operands, shape)
            parts.append((part, 0))
        self.emit(name, ops.Sum(), name, parts, shape)

    def is_wire(self, name: str) -> bool:
        """Whether a node only passes one value on, perhaps later."""
        passes = self.net.nodes[name].kind in ("Input", "Output", "Delay")
        passes &= not self.spreads(name)
        ends = name in self.net.inputs or name in self.net.outputs
        return passes and not ends and len(self.net.sources(name)) == 1

    def operands(self, name: str) -> list[tuple[str, int]]:
        """What feeds a node: operators and delays, with wires resolved."""
        return [self.resolved(source, name) for source in self.net.sources(name)]

    def resolved(self, source: str, target: str) -> tuple[str, int]:
        delay, seen = 0, {target}
        while True:
            if source not in self.delays:
                delay += (source, target) in self.net.delayed
            elif not self.spreads(source):
                delay += int(self.delays[source])
            if not self.is_wire(source):
                return source, delay
            if source in seen:
                raise ValueError("a loop of delays without a neuron")
            seen.add(source)
            source, target = self.net.sources(source)[0], source

    def fresh(self, name: str) -> str:
        while name in self.net.nodes or name in self.graph:
            name += "_"
        return name

    def emit(
        self,
        name: str,
        op: ops.Op,
        owner: str,
        operands: list[tuple[str, int]],
        shape: tuple[int, ...],
    ) -> tuple[int, ...]:
        """Declare an operator whose operands have this shape; returns the shape of its value."""
        arriving = [TensorType(shape)] * len(operands)
        if isinstance(op, ops.Pointwise):
            arriving[1] = self.graph[operands[1][0]].type
        types = op.infer(tuple(arriving))
        self.graph.declare(name, op, types, self.net.nodes[owner].loc)
        for port, (source, delay) in enumerate(operands):
            self.edges.append(Edge(source, name, port, 0, delay))
        return types[0].shape
