"""What a linear layer leaves to the neurons that read it: ``(sum << shift) + bias``."""

from __future__ import annotations

from dataclasses import replace

from snnc.backends.c.joins import joined_kernel, ports_of
from snnc.backends.c.plan import Plan
from snnc.graph import Node
from snnc.intops import IntConv, IntLinear, IntNeuron
from snnc.kernel import Const, Kernel, Line
from snnc.params import Param


def with_tails(plan: Plan, node: Node) -> Kernel:
    """The kernel of a population, for inputs that are raw sums."""
    op = node.op
    assert isinstance(op, IntNeuron), "called for populations only"
    kernel, join = op.kernel, plan.joins.get(node.name)
    if join:
        found = joined_kernel(node, *ports_of(plan.graph, join))
        assert found is not None, "else they are not joined"
        kernel = found
    inputs, consts, body = list(kernel.inputs), list(kernel.consts), []
    for i, edge in enumerate(plan.graph.in_edges(node.name)):
        source = plan.graph[edge.src]
        raw = plan.raw_sums(source)
        if raw is None:
            continue
        if join and source.name == join.first:
            raw = join.bounds
        linear = source.op
        assert isinstance(linear, IntLinear | IntConv), "only they have raw sums"
        name, value = inputs[i], f"_sum{i}"
        inputs[i] = value
        lo, hi = (n << linear.shift for n in raw)
        shifted = name if linear.bias is None else f"_shifted{i}"
        body.append(Line(shifted, "shl", (value,), linear.shift, lo=lo, hi=hi))
        if linear.bias is not None:
            bias = linear.bias.data
            if isinstance(linear, IntConv):
                bias = bias.reshape(-1, *[1] * len(linear.stride))
            lo, hi = lo + int(bias.min()), hi + int(bias.max())
            consts.append(Const(f"_bias{i}", Param(bias), origin=f"{source.name}: bias"))
            body.append(Line(name, "add", (shifted, f"_bias{i}"), lo=lo, hi=hi))
    return replace(kernel, inputs=tuple(inputs), consts=tuple(consts), body=(*body, *kernel.body))


def without_indices(kernel: Kernel) -> Kernel:
    """The kernel with an element per neuron instead of tables: vectors cannot look them up."""
    consts = []
    for const in kernel.consts:
        if const.index is not None:
            index, values = const.index.data, const.values.data
            const = replace(const, values=Param(values[index]), index=None)
        consts.append(const)
    return replace(kernel, consts=tuple(consts))
