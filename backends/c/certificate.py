"""A certificate of sums: which interval every accumulator needs, and the word that it has.

``runtime/check_bounds.py`` checks it against the stored program and shares no code with the
compiler.
"""

from __future__ import annotations

import json

from snnc.backends.c.buffers import bounds_of
from snnc.backends.c.network import Network
from snnc.backends.c.sums import matmul_bounds, raw_bounds
from snnc.backends.c.views import read_view
from snnc.backends.c.words import hull, stored
from snnc.graph import Node
from snnc.intops import IntConv, IntConvTranspose, IntDelayLinear, IntLinear, IntMatmul

FORMAT = "snnc.bounds/1"


def bounds_json(net: Network) -> str:
    """Return ``bounds.json``: layers with weights, their input, sums and words; and products."""
    layers, products = [], []
    for node in net.plan.nodes:
        if isinstance(node.op, IntMatmul) and net.plan.chained(node) is None:
            products.append(_product(net, node))
        if not isinstance(node.op, IntLinear | IntDelayLinear | IntConv | IntConvTranspose):
            continue
        (edge,) = net.graph.in_edges(node.name)
        x = hull((0, 0), bounds_of(net.graph[edge.src], edge.out))
        if edge.delay and edge.init is not None:
            x = hull(x, (int(edge.init.data.min()), int(edge.init.data.max())))
        op = net.source_graph[node.name].op  # as stored; its sums are no smaller than the code's
        assert isinstance(op, IntLinear | IntDelayLinear | IntConv | IntConvTranspose)
        pairs = net.plan.pairs(node) if isinstance(node.op, IntLinear) else None
        kept = pairs is not None and not pairs.most
        layers.append(
            {
                "name": node.name,
                "input": list(x),
                "sums": list(raw_bounds(op, x)),
                "sum_word": "int16_t" if kept else "int64_t",
                "is_raw": net.plan.raw_sums(node) is not None,
                "value_word": net.plan.value(node.name).ctype,
                **_joined(net, node),
            }
        )
    document = {"format": FORMAT, "layers": layers, "products": products}
    return json.dumps(document, indent=1) + "\n"


def _joined(net: Network, node: Node) -> dict[str, object]:
    """The layer whose sums are added to those of this one, and by what both are shifted."""
    join = net.plan.joins.get(node.name)
    if join is None or join.first != node.name:
        return {}
    op = node.op
    assert isinstance(op, IntLinear), "only they are joined"
    return {"and": join.own, "shift": op.shift}


def _product(net: Network, node: Node) -> dict[str, object]:
    """The sums of products of elements of two computed matrices."""
    edges = net.graph.in_edges(node.name)
    left, right = (read_view(net.plan, e).buffer.bounds for e in edges)
    terms = net.graph[edges[0].src].types[edges[0].out].shape[-1]
    sums = matmul_bounds(left, right, terms)
    found: dict[str, object] = {"name": node.name, "factors": [list(left), list(right)]}
    return found | {"sums": list(sums), "sum_word": stored(sums)}
