"""Harnesses by which Frama-C Eva proves layers of the emitted C, for all inputs and any T.

``layer_K.c`` puts every operand and every state of a layer anywhere inside its proven interval,
element by element, runs the layer's own ``tick`` once, and asserts that states and values are
inside theirs again.  ``base_K.c`` puts anything into the states and asserts that ``snn_reset``
gives the initial ones.  Together they are an induction over steps; that Eva raises no alarm means
that there is no overflow, no access outside an array and nothing else that C leaves undefined.

Layers that add columns of a list of spikes (``pairs``) compute modulo powers of two, which
intervals cannot follow: their harness takes any list, even with repeated spikes, and asserts
memory safety alone; the range of their sums is for the certificate (``certificate``), and so is
that of products which list the columns of their left matrix.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.c.buffers import Buffer
from snnc.backends.c.join_sums import added_to, is_first, is_own, later_of
from snnc.backends.c.network import Network
from snnc.backends.c.plan import EVENT_OPS
from snnc.backends.c.tables import definition
from snnc.backends.c.views import written_view
from snnc.backends.c.words import LIMITS, index_type
from snnc.backends.c.writer import CWriter
from snnc.graph import Edge, Graph, Node
from snnc.interval import Interval
from snnc.intops import (
    IntConv,
    IntConvTranspose,
    IntInput,
    IntLinear,
    IntMatmul,
    IntMaxPool,
    IntNeuron,
    IntOutput,
    IntReduce,
    IntRescale,
    IntSum,
    IntSumPool,
)
from snnc.params import Param
from snnc.passes.base import Context, run_passes
from snnc.passes.kernel_ranges import kernel_ranges
from snnc.passes.prove_ranges import ProveRanges
from snnc.types import Clock

Ints = npt.NDArray[np.int64]

#: Layers whose ``tick`` is a function of their operands and states.
PROVABLE = (
    *(IntNeuron, IntLinear, IntConv, IntConvTranspose, IntSumPool, IntMaxPool),
    *(IntSum, IntRescale, IntMatmul, IntReduce),
)

#: Synapses or neurons of the largest layer that is given to Eva.
LARGEST = 50_000

#: Eva's own headers make INT32_C(c) a constant of 64 bits.
PROOF_H = """#ifndef PROOF_H
#define PROOF_H
#include <stdint.h>
#undef INT32_C
#define INT32_C(c) c
#undef UINT32_C
#define UINT32_C(c) c##u
#include "__fc_builtin.h"
#endif
"""


@dataclass(frozen=True)
class Harness:
    """A program for Eva.

    Attributes:
        node: The layer that it is about.
        name: Of the file.
        text: C.
        asserts: Assertions in it, all of which must be reached and proven.
        unroll: Iterations of the longest loop.
    """

    node: str
    name: str
    text: str
    asserts: int
    unroll: int


def proven_ranges(graph: Graph) -> dict[tuple[str, int], Interval]:
    """Proven interval of every value, element by element."""
    ctx = Context()
    run_passes(graph, [ProveRanges(graph.max_steps)], ctx)
    return ctx.ranges


def too_large(net: Network, node: Node) -> bool:
    """Whether a layer is beyond Eva's reach: it analyses every synapse and every neuron."""
    weight = node.op.params.get("weight")
    work = weight.data.size if weight is not None else node.type.size
    arrays = [buffer.size for buffer in net.plan.operands(node)] + [node.type.size]
    return max(work, *arrays) > LARGEST


def _lists_repeat(net: Network, node: Node) -> bool:
    """Whether a product lists counts as often as they say: its lists are beyond Eva's reach."""
    left = net.plan.operands(node)[0]
    return isinstance(node.op, IntMatmul) and not left.is_spikes


def uncovered(net: Network, found: list[Harness]) -> list[str]:
    """Layers with code of their own that no harness is about."""
    known = {h.node for h in found}
    quiet = (IntInput, IntOutput)
    return [
        n.name
        for n in net.plan.nodes
        if n.name not in known and not net.plan.is_skipped(n) and not isinstance(n.op, quiet)
    ]


def harnesses(net: Network, ranges: dict[tuple[str, int], Interval]) -> list[Harness]:
    """All that can be written for a network, layer after layer."""
    found = []
    for node in net.plan.nodes:
        if not isinstance(node.op, PROVABLE) or net.plan.is_skipped(node):
            continue
        if too_large(net, node) or _lists_repeat(net, node):
            continue
        states = state_ranges(net.graph, node, ranges)
        if states is None:
            continue  # bounded by the number of steps: no induction
        k = net.plan.index[node.name]
        if states:
            found.append(_base(net, node, f"base_{k}.c"))
        found.append(_layer(net, node, f"layer_{k}.c", ranges, states))
    return found


def arriving(graph: Graph, edge: Edge, ranges: dict[tuple[str, int], Interval]) -> Interval:
    """What a consumer sees: a delayed edge also brings its initial value."""
    found = ranges[edge.src, edge.out]
    if edge.delay:
        start = Interval.of(0, 0) if edge.init is None else Interval.exactly(edge.init)
        found = found.join(start.broadcast(graph[edge.src].types[edge.out].shape))
    return found.broadcast(graph[edge.src].types[edge.out].shape)


def _as_stored(
    net: Network, edge: Edge, value: Interval, ranges: dict[tuple[str, int], Interval]
) -> Interval:
    """What the array of a value holds: sums alone, where neurons apply shift and bias.

    Those of joined layers are the sums of both.
    """
    source, join = net.graph[edge.src], net.plan.joins.get(edge.src)
    if join and join.first == edge.src:
        (late,) = net.graph.out_edges(join.own)
        more = arriving(net.graph, late, ranges)
        value = Interval(value.lo + more.lo, value.hi + more.hi)
    if edge.delay or net.plan.raw_sums(source) is None:
        return value
    op = source.op
    assert isinstance(op, IntLinear | IntConv), "layers with sums"
    bias = np.zeros(1, np.int64) if op.bias is None else op.bias.data.astype(np.int64)
    behind = [1] * (value.lo.ndim - 1) if isinstance(op, IntConv) else []
    bias = bias.reshape(-1, *behind)
    return Interval((value.lo - bias) >> op.shift, (value.hi - bias) >> op.shift)


def state_ranges(
    graph: Graph, node: Node, ranges: dict[tuple[str, int], Interval]
) -> dict[str, Interval] | None:
    """Invariant of every state, element by element; None if it does not hold for any T."""
    if not isinstance(node.op, IntNeuron) or not node.op.kernel.states:
        return {}
    op, shape = node.op, node.op.shape
    inputs = [arriving(graph, e, ranges).broadcast(shape) for e in graph.in_edges(node.name)]
    consts = [
        c.values.data if c.index is None else c.values.data[c.index.data] for c in op.kernel.consts
    ]
    leaves = [a for x in inputs for a in (x.lo, x.hi)]
    leaves += [np.broadcast_to(a, shape) for a in consts]
    leaves += [np.broadcast_to(s.init.data, shape) for s in op.kernel.states]
    rows = np.stack([np.asarray(a, np.int64).reshape(-1) for a in leaves], 1)
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    found: dict[str, list[Ints]] = {s.name: [] for s in op.kernel.states}
    for one in first:  # every different neuron alone
        here = np.unravel_index(one, shape)
        kernel = _one_neuron(op, here)
        alone = [Interval.of(x.lo[here], x.hi[here]).broadcast((1,)) for x in inputs]
        result = kernel_ranges(kernel, alone, (1,), graph.max_steps or 1)
        if not result.bounded:
            return None
        for name, list_ in found.items():
            x = result.env[name].broadcast((1,))
            list_.append(np.array([int(x.lo[0]), int(x.hi[0])]))
    spread = {name: np.array(v)[inverse.reshape(-1)] for name, v in found.items()}
    return {name: Interval(v[:, 0], v[:, 1]) for name, v in spread.items()}


def _one_neuron(op: IntNeuron, here: tuple[Any, ...]) -> Any:
    def at(values: npt.NDArray[Any]) -> Param:
        return Param(np.broadcast_to(values, op.shape)[here].reshape(1))

    consts = tuple(
        replace(
            c,
            values=at(c.values.data if c.index is None else c.values.data[c.index.data]),
            index=None,
        )
        for c in op.kernel.consts
    )
    states = tuple(replace(s, init=at(s.init.data)) for s in op.kernel.states)
    return replace(op.kernel, consts=consts, states=states)


class _Program:
    """The text of one harness."""

    def __init__(self) -> None:
        self.tables: list[str] = []
        self.w = CWriter()
        self.asserts = 0
        self.unroll = 8
        self._count = itertools.count()

    def limits(self, x: Interval, size: int) -> tuple[str, str]:
        """Expressions of the ends of element i."""
        ends = []
        for a in (x.lo, x.hi):
            flat = np.asarray(a, np.int64).reshape(-1)
            if (flat == flat[0]).all():
                ends.append(f"({int(flat[0])})")
                continue
            name = f"bound{next(self._count)}"
            self.tables.append(f"static {definition(name, 'int64_t', flat)}")
            ends.append(f"{name}[i]")
        self.unroll = max(self.unroll, size)
        return ends[0], ends[1]

    def fill(self, buffer: Buffer, x: Interval) -> None:
        """Put any value of an interval into every element, and any list into its spike list."""
        lo, hi = self.limits(x, buffer.size)
        wide = buffer.ctype == "int64_t"
        any_ = "Frama_C_long_long_interval" if wide else "Frama_C_interval"
        with self.w.loop("i", buffer.size):
            self.w(f"{buffer.name}[i] = ({buffer.ctype}){any_}({lo}, {hi});")
            if buffer.ids:
                number = f"({index_type(buffer.size)})Frama_C_interval(0, {buffer.size - 1})"
                self.w(f"{buffer.ids}[i] = {number};")
        if buffer.ids:
            self.w(f"{buffer.ids}_n = (uint32_t)Frama_C_interval(0, {buffer.size});")

    def check(self, buffer: Buffer, x: Interval, label: str) -> None:
        """Assert that every element lies in an interval."""
        lo, hi = self.limits(x, buffer.size)
        self.asserts += 1
        with self.w.loop("i", buffer.size):
            self.w(f"/*@ assert {label}: {lo} <= {buffer.name}[i] <= {hi}; */")

    def harness(self, node: Node, name: str) -> Harness:
        """Close it."""
        body = "\n".join(f"    {line}" if line else "" for line in self.w.text.splitlines())
        head = ['#include "proof.h"', '#include "snn.c"', "", *self.tables]
        text = "\n".join([*head, "int main(void) {", body, "    return 0;", "}", ""])
        return Harness(node.name, name, text, self.asserts, self.unroll)


def _reads_of_other(net: Network, node: Node) -> list[Edge]:
    """What the layer reads whose sums are added in the same function."""
    join = net.plan.joins.get(node.name)
    return net.plan.reads(net.graph[join.own]) if join and join.first == node.name else []


def _layer(
    net: Network,
    node: Node,
    name: str,
    ranges: dict[tuple[str, int], Interval],
    states: dict[str, Interval],
) -> Harness:
    p, layer = _Program(), net.layers[node.name]
    for edge in [*net.plan.reads(node), *_reads_of_other(net, node)]:
        known = arriving(net.graph, edge, ranges)
        p.fill(net.plan.operand(edge), _as_stored(net, edge, known, ranges))
    for state, interval in states.items():
        p.fill(layer.states[state], interval)
    operands = net.plan.operands(node)
    counted = isinstance(node.op, IntSumPool | IntMaxPool) and operands[0].ids is not None
    if counted:  # every element at most once
        y = net.plan.value(node.name)
        p.w(f"memset({y.name}, 0, sizeof {y.name});")
        with p.w.block(f"for (uint32_t id = 0u; id < {operands[0].size}u; id++)"):
            p.w(f"if (Frama_C_nondet(0, 1) != 0) {{ {layer.id('event')}({y.name}, id); }}")
    elif is_own(layer):
        kept = replace(net.plan.value(net.plan.joins[node.name].first), name="kept", ids=None)
        p.tables.append(f"static {kept.ctype} kept[{kept.size}];")
        p.fill(kept, Interval.of(*kept.bounds).broadcast(kept.shape))
        p.w(added_to(layer, "kept"))
    elif is_first(layer):
        later = later_of(net.plan, net.plan.joins[node.name])
        p.w(f"{net.plan.id(later, 'both')}();")
    else:
        p.w(f"{layer.tick}();")
    for state, interval in states.items():
        p.check(layer.states[state], interval, "state")
    for out, t in enumerate(node.types):
        own = is_own(layer)  # what it adds goes to the array of the other layer
        buffer = net.plan.value(net.plan.joins[node.name].first if own else node.name, out)
        if buffer.only_listed:
            continue
        known = ranges[node.name, out].broadcast(t.shape)
        if moved := written_view(net.plan, node):
            (edge,) = net.graph.out_edges(node.name)
            buffer, known = moved.buffer, ranges[edge.dst, 0].broadcast(moved.buffer.shape)
        if isinstance(node.op, EVENT_OPS) and not counted:  # sums of any list: see the certificate
            known = Interval.of(*LIMITS[buffer.ctype]).broadcast(t.shape)
        p.check(buffer, known, "value")
    p.unroll = max([p.unroll, *(size for _, size in layer.arrays.values())])
    return p.harness(node, name)


def _base(net: Network, node: Node, name: str) -> Harness:
    p, layer = _Program(), net.layers[node.name]
    assert isinstance(node.op, IntNeuron), "only neurons have states"
    for state in node.op.kernel.states:
        buffer = layer.states[state.name]
        p.fill(buffer, Interval.of(*LIMITS[buffer.ctype]).broadcast(buffer.shape))
    later = node.type.clock.phase if node.type.clock.kind is Clock.STEP else 1
    p.w(f"snn_reset{later}();" if later > 1 else "snn_reset();")
    for state in node.op.kernel.states:
        buffer = layer.states[state.name]
        init = Interval.exactly(state.init).broadcast(buffer.shape)
        p.check(buffer, init, "initial")
    p.unroll = max([p.unroll, *(s for x in net.layers.values() for _, s in x.arrays.values())])
    return p.harness(node, name)
