"""Random constants and integer kernels of a given shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc.graph import Graph
from snnc.kernel import ROUNDINGS, Const, Kernel, Line, State
from snnc.params import Param

#: What the constants of a random graph are like.
POLICIES = ("any", "any", "limits", "negative", "ties", "sparse")


@dataclass
class Builder:
    """A graph and the random choices that make it; ``policy`` is one of ``POLICIES``."""

    rng: np.random.Generator
    graph: Graph
    names: int = 0
    policy: str = "any"

    def name(self, kind: str) -> str:
        """A fresh node name."""
        self.names += 1
        return f"{kind}.{self.names}"

    def param(self, shape: tuple[int, ...], lo: int, hi: int) -> Param:
        """Random constants at the smallest type."""
        values = self.rng.integers(lo, hi + 1, shape)
        if self.policy == "limits":
            values = np.where(self.rng.random(shape) < 0.5, lo, hi)
        elif self.policy == "negative" and lo < 0:
            values = -np.abs(values).clip(0, -lo)
        elif self.policy == "ties":  # sums meet thresholds
            values = (np.rint(values / 20) * 20).astype(np.int64).clip(lo, hi)
        elif self.policy == "sparse" and lo <= 0 <= hi:
            values = np.where(self.rng.random(shape) < 0.8, 0, values)
        return Param(values.astype(np.min_scalar_type(min(lo, -hi - 1))))

    def const(self, name: str, shape: tuple[int, ...], lo: int, hi: int) -> Const:
        """A scalar, per-channel, full or table constant."""
        kind = self.rng.integers(4)
        if kind == 0:
            return Const(name, self.param((), lo, hi))
        channel = (shape[0], *(1,) * (len(shape) - 1))
        if kind == 1:
            return Const(name, self.param(channel, lo, hi))
        if kind == 2:
            return Const(name, self.param(shape, lo, hi))
        index = self.param(shape if self.rng.integers(2) else channel, 0, 2)
        return Const(name, self.param((3,), lo, hi), index, "decay of lif.tau")

    def rounding(self) -> str:
        """One of the rounding modes."""
        return str(self.rng.choice(ROUNDINGS))

    def shape(self, value: str) -> tuple[int, ...]:
        """Shape of a node's value."""
        return self.graph[value].type.shape


def _init(b: Builder, shape: tuple[int, ...]) -> Param:
    kind = b.rng.integers(3)
    if kind == 0:
        return Param(np.array(0))
    return b.param(() if kind == 1 else shape, -20, 20)


def lif(b: Builder, shape: tuple[int, ...]) -> Kernel:
    """``v' = rsh(v * alpha) + i; s = v' >= theta``; reset by subtraction or to a value."""
    reset = b.rng.integers(2)
    body = [
        Line("p", "mul", ("v", "alpha")),
        Line("d", "rsh", ("p",), shift=8, rounding=b.rounding()),
        Line("u", "add", ("d", "i")),
        Line("s", str(b.rng.choice(["ge", "gt"])), ("u", "theta")),
    ]
    if reset:
        body += [Line("r", "mul", ("s", "theta")), Line("w", "sub", ("u", "r"))]
    else:
        body += [Line("w", "select", ("s", "rest", "u"))]
    consts = (
        b.const("alpha", shape, 100, 250),
        b.const("theta", shape, 20, 400),
        *(() if reset else (b.const("rest", shape, -10, 10),)),
    )
    return Kernel(("i",), (State("v", "w", _init(b, shape)),), consts, tuple(body), ("s",))


def refractory(b: Builder, shape: tuple[int, ...]) -> Kernel:
    """Integrate with leak unless a counter runs; two outputs, one of them graded."""
    body = (
        Line("a", "mul", ("v", "k")),
        Line("b", "rsh", ("a",), shift=6, rounding=b.rounding()),
        Line("c", "add", ("b", "i")),
        Line("busy", "gt", ("n", "zero")),
        Line("free", "not", ("busy",)),
        Line("m", "select", ("busy", "zero", "c")),
        Line("high", "ge", ("m", "theta")),
        Line("spike", "and", ("high", "free")),
        Line("w", "select", ("spike", "zero", "m")),
        Line("low", "maximum", ("w", "floor_")),
        Line("n1", "sub", ("n", "one")),
        Line("n2", "maximum", ("n1", "zero")),
        Line("n3", "select", ("spike", "hold", "n2")),
        Line("unused", "neg", ("n3",)),
        Line("graded", "mul", ("spike", "gain")),
    )
    consts = (
        b.const("k", shape, 30, 60),
        b.const("theta", shape, 10, 300),
        b.const("hold", shape, 1, 3),
        b.const("gain", shape, -7, 7),
        b.const("floor_", shape, -200, -5),
        Const("zero", Param(np.array(0))),
        Const("one", Param(np.array(1))),
    )
    states = (State("v", "low", _init(b, shape)), State("n", "n3", Param(np.array(0))))
    return Kernel(("i",), states, consts, body, ("spike", "graded"))


def arithmetic(b: Builder, shape: tuple[int, ...]) -> Kernel:
    """Every integer function, in words beyond 32 bits; the state before the step is an output."""
    wide = int(b.rng.integers(8, 34))
    body = (
        Line("x2", "shl", ("i",), shift=wide),
        Line("x3", "add", ("x2", "big")),
        Line("x4", "neg", ("x3",)),
        Line("x5", "maximum", ("x3", "x4")),
        Line("x6", "minimum", ("x5", "big")),
        Line("e", "eq", ("i", "k")),
        Line("f", "ne", ("x6", "big")),
        Line("g", "le", ("x4", "k")),
        Line("h", "lt", ("x3", "v")),
        Line("j", "or", ("e", "f")),
        Line("l", "and", ("g", "h")),
        Line("m", "not", ("l",)),
        Line("n", "select", ("j", "x3", "x4")),
        Line("o", "rsh", ("n",), shift=int(b.rng.integers(1, 40)), rounding=b.rounding()),
        Line("q", "copy", ("o",)),
        Line("r", "minimum", ("q", "cap")),
        Line("t", "maximum", ("r", "floor_")),
        Line("w", "rsh", ("x3",), shift=int(b.rng.integers(0, 40)), rounding=b.rounding()),
        Line("y", "wrap", (str(b.rng.choice(("x3", "i", "t"))),), shift=int(b.rng.integers(2, 40))),
        Line("z", "div", (str(b.rng.choice(("x3", "i", "t"))), str(b.rng.choice(("up", "down"))))),
        Line("i0", "maximum", ("i", "zero")),
        Line("i1", "minimum", ("i0", "six")),
        Line("found", "lookup", ("i1", "table")),
        Line("size", "maximum", ("x3", "zero")),
        Line("root", "isqrt", ("size",)),
    )
    consts = (
        b.const("up", shape, 1, 1 << int(b.rng.integers(1, 36))),
        b.const("down", shape, -9, -1),
        Const("zero", Param(np.array(0))),
        Const("six", Param(np.array(6))),
        b.const("k", shape, -3, 3),
        b.const("big", shape, -(1 << 35), 1 << 35),
        Const("cap", Param(np.array(900))),
        Const("floor_", Param(np.array(-1000))),
    )
    short, more = ("t", "v", "y", "z", "x4"), ("m", "v", "t", "i", "w", "y", "z", "found", "root")
    outputs = more if b.rng.integers(2) else short
    wide = 1 << int(b.rng.integers(2, 36))
    table = Const("table", Param(b.rng.integers(-wide, wide, 7)))
    states = (State("v", "t", _init(b, shape)),)
    return Kernel(("i",), states, consts, body, outputs, (table,))


def function(b: Builder, shape: tuple[int, ...]) -> Kernel:
    """No state: what is larger of two scaled values, and which; it runs whenever they are known."""
    body = (
        Line("a", "mul", ("i", "k")),
        Line("b", "rsh", ("a",), shift=3, rounding=b.rounding()),
        Line("c", "maximum", ("b", "j")),
        Line("d", "minimum", ("c", "top")),
        Line("e", "gt", ("b", "j")),
    )
    consts = (b.const("k", shape, -20, 20), b.const("top", shape, 0, 90))
    return Kernel(("i", "j"), (), consts, body, ("d", "e"))
