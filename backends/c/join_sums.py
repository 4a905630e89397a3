"""The functions of joined layers (``joins``), in the section of the later one.

``both`` adds the columns of both lists and writes the sums, which are the array of the first layer;
``onto`` writes that array from the sums of the recurrent layer and what the other one has kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.backends.c.joins import Join
from snnc.backends.c.layer import Layer
from snnc.backends.c.layouts import in_order
from snnc.backends.c.packing import PairRows
from snnc.backends.c.plan import Plan
from snnc.backends.c.sums import raw_bounds
from snnc.backends.c.true_sums import read_sums
from snnc.backends.c.writer import CWriter
from snnc.graph import Node
from snnc.intops import IntLinear


def later_of(plan: Plan, join: Join) -> Node:
    """The layer whose section has the functions of a join."""
    return plan.graph[max((join.first, join.own), key=lambda name: plan.index[name])]


def is_later(layer: Layer) -> bool:
    """Whether the functions of a join are in the section of this layer."""
    join = layer.plan.joins.get(layer.node.name)
    return join is not None and later_of(layer.plan, join) is layer.node


def is_own(layer: Layer) -> bool:
    """Whether the layer is the recurrent one of a join."""
    join = layer.plan.joins.get(layer.node.name)
    return join is not None and join.own == layer.node.name


def is_first(layer: Layer) -> bool:
    """Whether the layer is the other one of a join."""
    join = layer.plan.joins.get(layer.node.name)
    return join is not None and join.first == layer.node.name


def columns_of(layer: Layer) -> str:
    """Where the columns of a layer begin: those of a joined one lie behind the other's."""
    join = layer.plan.joins.get(layer.node.name)
    if join is None or join.first == layer.node.name:
        return layer.id("w")
    first = layer.plan.graph[join.first]
    return f"({layer.plan.id(first, 'w')} + {_words(layer.plan, first)}u)"


def with_own(layer: Layer, packed: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Columns of the first layer of a join, and behind them those of the other."""
    plan = layer.plan
    own = plan.graph[plan.joins[layer.node.name].own]
    pairs, (x,) = plan.pairs(own), plan.operands(own)
    assert pairs is not None, "joined layers add pairs"
    return np.concatenate([packed, pairs.pack(in_order(own.op.params["weight"].data, x.channels))])


def added_to(layer: Layer, values: str) -> str:
    """Call that adds the sums of a recurrent layer to ``values``, those of the first one."""
    if not is_own(layer):
        return ""
    later = later_of(layer.plan, layer.plan.joins[layer.node.name])
    return f"{layer.plan.id(later, 'onto')}({values});"


def emit_more(layer: Layer, index: str, passes: list[int]) -> None:
    """``more``: add columns of the recurrent layer to sums that have begun."""
    w = layer.code
    sums = "uint16_t *lo, uint16_t *hi"
    head = f"static void {layer.id('more')}({sums}, const {index} *ids, uint32_t count)"
    with w.block(head):
        w("uint32_t n = 0u;")
        for rows in passes:
            name = layer.id(f"event{rows}" if rows > 1 else "event")
            ids = "ids + n" if rows > 1 else "ids[n]"
            with w.block(f"for (; count - n >= {rows}u; n += {rows}u)"):
                w(f"{name}(lo, hi, {columns_of(layer)}, {ids});")


def emit_joined(layer: Layer, pairs: PairRows, has_sums: bool) -> None:
    """``both`` and ``onto``; ``layer`` is the later one, ``pairs`` its columns."""
    plan = layer.plan
    join = plan.joins[layer.node.name]
    first, own = plan.graph[join.first], plan.graph[join.own]
    least = raw_bounds(own.op, (0, 1)) if isinstance(own.op, IntLinear) else join.bounds
    y, out = plan.value(join.first), first.op.params["weight"].shape[0]
    word = y.ctype
    for name, node, more, bounds in (
        ("total", first, "", join.bounds),
        ("rest", own, f", const {word} *restrict from", least),
    ):
        layer.code(*(["#ifndef SNN_SUMS"] if has_sums else []))
        head = f"SNN_ROWS void {layer.id(name)}({word} *restrict y, uint32_t base{more})"
        with layer.code.block(head):
            sums = plan.id(node, "lo"), plan.id(node, "hi")
            read_sums(layer, pairs, y, out, "{} + from[{at}]" if more else "{}", sums, bounds)
        layer.code(*(["#endif"] if has_sums else []))
    _both(layer, pairs, (first, own), has_sums)
    _onto(layer, pairs, (first, own), has_sums)


def _both(layer: Layer, pairs: PairRows, nodes: tuple[Node, Node], has_sums: bool) -> None:
    (first, own), plan, w = nodes, layer.plan, layer.code
    x, late, y = plan.operands(first)[0], plan.operands(own)[0], plan.value(first.name)
    inputs = first.op.params["weight"].shape[1]
    listed = f"(void)snn_copy_15({x.ids} + {x.ids}_n, {late.ids}, {late.ids}_n, {inputs});"
    count = f"{x.ids}_n + {late.ids}_n"
    with w.block(f"static void {layer.id('both')}(void)"):
        w("/* modulo 65536: what was added to every weight */")
        w(f"const uint32_t base = {_base(plan, first)}u * ({x.ids}_n % 65536u)")
        w(f"                      + {_base(plan, own)}u * ({late.ids}_n % 65536u);")
        if has_sums:
            w("#ifdef SNN_SUMS", listed)
            _sums(w, plan.id(first, "w"), pairs.words, f"{x.ids}, {count}", y.name)
            w("#else")
        w("#ifdef SNN_COLUMNS", listed, f"{plan.id(first, 'add')}({x.ids}, {count});", "#else")
        w(f"{plan.id(first, 'add')}({x.ids}, {x.ids}_n);")
        sums = f"{plan.id(first, 'lo')}, {plan.id(first, 'hi')}"
        w(f"{plan.id(own, 'more')}({sums}, {late.ids}, {late.ids}_n);", "#endif")
        w(f"{layer.id('total')}({y.name}, base);", *(["#endif"] if has_sums else []))


def _onto(layer: Layer, pairs: PairRows, nodes: tuple[Node, Node], has_sums: bool) -> None:
    (first, own), plan, w = nodes, layer.plan, layer.code
    late, y = plan.operands(own)[0], plan.value(first.name)
    with w.block(f"static void {layer.id('onto')}(const {y.ctype} *from)"):
        w(f"const uint32_t base = {_base(plan, own)}u * ({late.ids}_n % 65536u);")
        if has_sums:
            w("#ifdef SNN_SUMS")
            start = f"{plan.id(first, 'w')} + {_words(plan, first)}u"
            _sums(w, start, pairs.words, f"{late.ids}, {late.ids}_n", y.name)
            with w.loop("j", y.size):
                w(f"{y.name}[j] = ({y.ctype})({y.name}[j] + from[j]);")
            w("#else")
        w(f"{plan.id(own, 'add')}({late.ids}, {late.ids}_n);")
        w(f"{layer.id('rest')}({y.name}, base, from);", *(["#endif"] if has_sums else []))


def _sums(w: CWriter, table: str, stride: int, listed: str, y: str) -> None:
    w(f"snn_sums({table}, {stride}u, {stride}u, {listed},")
    w(f"         (uint16_t)(base % 65536u), {y}, {y} + {stride}u);")


def _base(plan: Plan, node: Node) -> int:
    """What is added per spike, modulo 65536."""
    pairs = plan.pairs(node)
    assert pairs is not None, "joined layers add pairs"
    return 65536 - pairs.offset


def _words(plan: Plan, node: Node) -> int:
    """Words of all columns."""
    pairs = plan.pairs(node)
    assert pairs is not None, "joined layers add pairs"
    return pairs.words * int(node.op.params["weight"].shape[1])
