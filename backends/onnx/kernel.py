"""Kernels of neurons, line by line, in 32 bits where every line fits them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from snnc.backends.onnx.arithmetic import isqrt, rdiv, rsh, wrap
from snnc.backends.onnx.block import BOOL, INT32, INT64, Block, Bounds, V, storage
from snnc.intops import IntNeuron
from snnc.kernel import PREDICATES, Const, Kernel, Line, State

Env = dict[str, V]

_COMPARE = {
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "lt": "Less",
    "eq": "Equal",
    "ne": "Equal",
}
_PLAIN = {"add": "Add", "sub": "Sub", "mul": "Mul", "maximum": "Max", "minimum": "Min"}


def kernel(b: Block, op: IntNeuron, inputs: list[V], states: list[V]) -> tuple[list[V], list[V]]:
    """Outputs and new states of one step; values (N, *shape), or of fewer axes."""
    return _Writer(b, op, inputs).run(inputs, states)


def live_lines(k: Kernel) -> list[Line]:
    """Lines that an output or a state needs, in order."""
    wanted, found = {*k.outputs, *(s.next for s in k.states)}, []
    for line in reversed(k.body):
        if line.name in wanted:
            wanted |= set(line.args)
            found.append(line)
    return found[::-1]


class _Writer:
    def __init__(self, b: Block, op: IntNeuron, inputs: list[V]) -> None:
        self.b, self.op, k = b, op, op.kernel
        self.lines = live_lines(k)
        self.bounds: dict[str, Bounds] = {
            name: x.bounds for name, x in zip(k.inputs, inputs, strict=True)
        }
        for c in (*k.consts, *k.tables):
            data = c.values.data
            self.bounds[c.name] = int(data.min(initial=0)), int(data.max(initial=0))
        ranged: tuple[State | Line, ...] = (*k.states, *self.lines)
        for item in ranged:
            assert item.lo is not None, "checked: all ranges are proven"
            assert item.hi is not None, "checked: all ranges are proven"
            self.bounds[item.name] = item.lo, item.hi
        uses = [a for line in self.lines for a in line.args]
        uses += [*k.outputs, *(s.next for s in k.states)]
        #: Products that only a shift reads: they alone may need 64 bits.
        self.wide = (
            {
                line.args[0]
                for line in self.lines
                if line.fn == "rsh" and uses.count(line.args[0]) == 1
            }
            - {s.name for s in k.states}
            - set(k.inputs)
        )
        tables = {t.name for t in k.tables}
        narrow = [b for n, b in self.bounds.items() if n not in self.wide and n not in tables]
        self.base = INT32 if all(storage(x) != INT64 for x in narrow) else INT64

    def run(self, inputs: list[V], states: list[V]) -> tuple[list[V], list[V]]:
        k, b = self.op.kernel, self.b
        env: Env = dict(zip(k.inputs, inputs, strict=True))
        env |= zip((s.name for s in k.states), states, strict=True)
        env |= {c.name: b.constant(constant(c), self._kind(c.name)) for c in k.consts}
        env |= {t.name: b.constant(t.values.data) for t in k.tables}
        for line in self.lines:
            env[line.name] = self._line(line, env)
        return [env[n] for n in k.outputs], [env[s.next] for s in k.states]

    def _kind(self, name: str) -> int:
        return INT32 if storage(self.bounds[name]) != INT64 else INT64

    def _line(self, line: Line, env: Env) -> V:
        b = self.b
        kind = INT64 if line.name in self.wide else self.base
        if line.fn in PREDICATES:
            return self._predicate(line, env)
        if line.fn == "copy":
            return env[line.args[0]]
        if line.fn == "select":
            condition = self._truth(env[line.args[0]])
            y = b.where(condition, *(self._as(env, a, kind) for a in line.args[1:]))
        elif line.fn in _PLAIN:
            left, right = (self._as(env, a, kind) for a in line.args)
            y = b.binary(_PLAIN[line.fn], left, right)
        elif line.fn == "neg":
            y = b.op("Neg", self._as(env, line.args[0], kind))
        else:
            y = b.cast(self._wide(line, env), kind)
        return V(y.name, y.type, self.bounds[line.name])

    def _wide(self, line: Line, env: Env) -> V:
        """Functions that are written in 64 bits."""
        b, x = self.b, self._as(env, line.args[0], INT64)
        if line.fn == "lookup":
            return b.op("Gather", env[line.args[1]], x, axis=0)
        if line.fn == "div":
            return rdiv(b, x, self._as(env, line.args[1], INT64))
        functions: dict[str, Callable[[], V]] = {
            "rsh": lambda: rsh(b, x, line.shift, line.rounding),
            "shl": lambda: b.mul(x, 1 << line.shift),
            "wrap": lambda: wrap(b, x, line.shift),
            "isqrt": lambda: isqrt(b, x, self.bounds[line.args[0]][1]),
        }
        return functions[line.fn]()

    def _predicate(self, line: Line, env: Env) -> V:
        b = self.b
        if line.fn in ("and", "or"):
            left, right = (self._truth(env[a]) for a in line.args)
            return b.op(line.fn.capitalize(), left, right)
        if line.fn == "not":
            return b.op("Not", self._truth(env[line.args[0]]))
        left, right = (self._as(env, a, self.base) for a in line.args)
        y = b.binary(_COMPARE[line.fn], left, right)
        return b.op("Not", y) if line.fn == "ne" else y

    def _truth(self, x: V) -> V:
        if x.type == BOOL or x.bounds == (0, 1):
            return self.b.cast(x, BOOL)
        x = self.b.cast(x, INT32) if storage(x.bounds) != INT64 else x
        return self.b.op("Not", self.b.binary("Equal", x, 0))

    def _as(self, env: Env, name: str, kind: int) -> V:
        x = env[name]
        if x.type == kind:
            return x
        made = self.b.cast(x, kind)
        return V(made.name, kind, self.bounds[name])


def constant(const: Const) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The numbers of a constant, looked up if it is a table."""
    values = const.values.data.astype(np.int64)
    return values if const.index is None else values[const.index.data]
