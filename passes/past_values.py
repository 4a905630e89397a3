"""Numbers that are read in a later step by another node: in a format fixed before they are known.

Whoever reads a membrane or a current of the step before is lowered, in a loop, before the node
that computes it.  Such a value therefore gets the absolute unit ``2**-14`` and, since a loop
through weights has no bound of its own, saturates at ``2**22`` steps of it, which is 256.  Spikes,
and what only moves them, stay what they are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.exact import ONE, floats, leaf, nearest
from snnc.graph import Edge, Node, Value
from snnc.intops import IntNeuron
from snnc.kernel import Const, Kernel, Line
from snnc.ops import Neuron
from snnc.params import Param, compact
from snnc.passes.counters import counts
from snnc.passes.quantized_value import Lowered, QValue
from snnc.types import INT, SPIKE

#: Fractional bits of a value that is read in a later step.
PAST_BITS = 14
#: Where it saturates: products with weights of 16 bits and decays still fit 63 bits.
LIMIT = 1 << 22
UNIT = ONE / leaf(float(1 << PAST_BITS))


def announce(low: Lowered, node: Node, whole: bool) -> None:
    """Let a node's values be read, a step later, before the node itself is lowered.

    ``whole`` says that its values are spikes, wherever they came from.
    """
    types = tuple(replace(t, dtype=INT) for t in node.types)
    low.out.declare(node.name, node.op, types, node.loc)
    delayed = {e.out for e in low.real.out_edges(node.name) if e.delay}
    for i, t in enumerate(node.types):
        if t.dtype == SPIKE or whole:
            low.values[node.name, i] = QValue(Value(node.name, i), ONE)
        elif i in delayed:
            name = low.out.fresh(f"{node.name}.past")
            low.out.declare(name, node.op, (replace(t, dtype=INT),), node.loc)
            counter = isinstance(node.op, Neuron) and counts(node.op.kernel)
            low.past[node.name, i] = QValue(Value(name), ONE if counter else UNIT)


def arriving(low: Lowered, edge: Edge) -> QValue | None:
    """The operand that an edge of the real graph brings, or None if its producer failed."""
    if not edge.delay:
        return low.values.get((edge.src, edge.out))
    v = low.past.get((edge.src, edge.out)) or low.values.get((edge.src, edge.out))
    if v is None:
        return None
    init = None
    if edge.init is not None:
        init = Param(compact(nearest(leaf(edge.init.data) / v.unit)))
    return replace(v, value=replace(v.value, delay=edge.delay, init=init))


def finish(low: Lowered) -> None:
    """Bring the announced values to their format, now that their own is known."""
    for (src, out), past in low.past.items():
        found = low.values.get((src, out))
        if found is None:
            continue  # its node failed and is reported
        v = low.settled(found)
        node, shape = low.real[src], low.real[src].types[out].shape
        ratio = v.unit / past.unit
        smallest = float(np.abs(floats(ratio)).min())
        shift = min(max(0, low.profile.decay_bits - int(np.frexp(smallest)[1])), 38)
        factor = Param(compact(nearest(ratio * leaf(float(1 << shift)))))
        reach = Param(compact(nearest(leaf(float(LIMIT + 1)) / ratio)))
        consts = (
            Const("a", factor),
            Const("reach", reach),
            Const("low", Param(np.array(-LIMIT))),
            Const("high", Param(np.array(LIMIT))),
        )
        body = (
            Line("minus", "neg", ("reach",)),
            Line("x1", "maximum", ("x", "minus")),  # so that the product fits
            Line("x2", "minimum", ("x1", "reach")),
            Line("product", "mul", ("x2", "a")),
            Line("value", "rsh", ("product",), shift, low.profile.rounding),
            Line("above", "maximum", ("value", "low")),
            Line("kept", "minimum", ("above", "high")),
        )
        op = IntNeuron(Kernel(("x",), (), consts, body, ("kept",)), shape)
        name = past.value.src
        low.ctx.note(name, unit=float(floats(past.unit)))
        low.out.replace(Node(name, op, low.out[name].types, node.loc))
        low.out.connect(Edge(v.value.src, name, 0, v.value.out, v.value.delay, v.value.init))
