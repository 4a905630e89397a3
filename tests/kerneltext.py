"""Kernels written as Python assignments, for tests."""

from __future__ import annotations

import ast

import numpy as np

from snnc.graph import Graph
from snnc.kernel import Const, Kernel, Line, State
from snnc.ops import Input, Neuron, Output, TimeStack
from snnc.params import Param
from snnc.types import TensorType

_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
_COMPARE = {ast.GtE: "ge", ast.Gt: "gt", ast.LtE: "le", ast.Lt: "lt"}


def kernel(text: str, outputs: str = "s", **consts: object) -> Kernel:
    """``v' = ...`` lines update states; names never assigned and not in ``consts`` are inputs.

    ``init_v=...`` gives the initial value of state ``v``.
    """
    lines: list[Line] = []
    updates: dict[str, str] = {}
    numbers: dict[str, object] = {k: v for k, v in consts.items() if not k.startswith("init_")}
    used: dict[str, None] = {}

    def visit(e: ast.expr, name: str | None = None) -> str:
        if isinstance(e, ast.Name):
            used[e.id] = None
            return e.id
        if isinstance(e, ast.Constant):
            key = f"k{len(numbers)}"
            numbers[key] = e.value
            return key
        if isinstance(e, ast.BinOp):
            fn, args = _BINARY[type(e.op)], [visit(e.left), visit(e.right)]
        elif isinstance(e, ast.Compare):
            fn, args = _COMPARE[type(e.ops[0])], [visit(e.left), visit(e.comparators[0])]
        elif isinstance(e, ast.Call) and isinstance(e.func, ast.Name):
            fn, args = e.func.id, [visit(a) for a in e.args]
        else:
            assert isinstance(e, ast.UnaryOp), ast.dump(e)
            fn, args = "neg", [visit(e.operand)]
        lines.append(Line(name or f"t{len(lines)}", fn, tuple(args)))
        return lines[-1].name

    for row in filter(None, map(str.strip, text.splitlines())):
        left, right = (part.strip() for part in row.split("=", 1))
        value = ast.parse(right, mode="eval").body
        if left.endswith("'"):
            updates[left[:-1]] = visit(value)
        else:
            visit(value, left)
    known = {line.name for line in lines} | set(numbers) | set(updates)
    inputs = tuple(n for n in used if n not in known)
    init = {k: np.asarray(consts.get(f"init_{k}", 0.0), np.float64) for k in updates}
    states = tuple(State(k, v, Param(init[k])) for k, v in updates.items())
    fixed = tuple(Const(k, Param(np.asarray(v, np.float64))) for k, v in numbers.items())
    return Kernel(inputs, states, fixed, tuple(lines), tuple(outputs.split()))


def population(k: Kernel, size: int, low: float = -2.0, high: float = 2.0) -> Graph:
    """The neuron alone, driven directly; every output is a sequence."""
    g = Graph("population", 16)
    for name in k.inputs:
        g.add(name, Input(TensorType((size,)), low, high, 2.0**-6))
    g.add("n", Neuron(k, (size,)), *k.inputs)
    from snnc.graph import Value

    for i, out in enumerate(k.outputs):
        g.add(f"stack.{out}", TimeStack(), Value("n", i))
        g.add(f"out.{out}", Output(), f"stack.{out}")
    return g


LIF = """
v1 = a * v + x
s = v1 >= theta
v' = v1 - theta * s
"""
ZOO: dict[str, Kernel] = {
    "lif soft": kernel(LIF, a=0.9, theta=1.0),
    "lif strict": kernel(LIF.replace(">=", ">"), a=0.9, theta=1.0),
    "lif hard": kernel(LIF.replace("v1 - theta * s", "v1 * (1 - s)"), a=0.875, theta=0.7),
    "lif to value": kernel(
        LIF.replace("v1 - theta * s", "v1 * (1 - s) + 0.25 * s"), a=0.5, theta=1.0
    ),
    "lif per neuron": kernel(LIF, a=[0.5, 0.8, 0.95, 0.99], theta=[0.5, 1, 2, 3]),
    "if": kernel(LIF, a=1.0, theta=1.0),
    "asn": kernel(
        """
        tau_eff = softplus(tau) + 1
        v1 = v + (x - v) / tau_eff
        s = v1 >= theta
        v' = v1 * (1 - s)
        """,
        tau=[-1.0, 0.0, 0.5, 2.0],
        theta=0.4,
    ),
    "spikingjelly": kernel(
        """
        v1 = v + (x - (v - 0.1)) / 2
        s = v1 >= 0.5
        v' = (1 - s) * v1 + s * 0.1
        """,
        init_v=0.1,
    ),
    "snntorch": kernel(
        """
        r = v - theta > 0
        v1 = beta * v + x - r * theta
        s = v1 - theta > 0
        v' = v1
        """,
        beta=0.9,
        theta=1.0,
    ),
    "snntorch zero": kernel(
        """
        r = v - theta > 0
        b = beta * v + x
        v1 = b - r * b
        s = v1 - theta > 0
        v' = v1
        """,
        beta=0.9,
        theta=1.0,
    ),
    "synaptic": kernel(
        """
        i1 = alpha * i + x
        v1 = beta * v + i1
        s = v1 > theta
        v' = v1 - s * theta
        i' = i1
        """,
        alpha=0.7,
        beta=0.9,
        theta=2.0,
    ),
    "adaptive": kernel(
        """
        v1 = beta * v + x
        s = v1 - theta - b * a >= 0
        v' = v1 - s * theta
        a' = rho * a + s
        """,
        beta=0.9,
        rho=0.95,
        theta=1.0,
        b=0.2,
    ),
    "previous spike": kernel(
        """
        v1 = beta * v * (1 - p) + x
        s = v1 >= theta
        v' = v1
        p' = where(s, 1.0, 0.0)
        """,
        beta=0.9,
        theta=1.0,
    ),
    "rectified": kernel(
        """
        v1 = maximum(beta * v + x, -0.5)
        s = v1 >= theta
        v' = where(s, 0.0, v1)
        """,
        beta=0.9,
        theta=1.0,
    ),
    "membrane out": kernel(LIF, outputs="s v1", a=0.9, theta=1.0),
    "two inputs": kernel(LIF.replace("+ x", "+ x + 0.5 * y"), a=0.9, theta=1.0),
    "amplitude": kernel(LIF + "y = s * 0.75", outputs="y", a=0.9, theta=0.75),
}
