"""A naive C emitter: the same integers, one plain loop after the other.

What a straightforward code generator writes: an ``if`` per input, sums of 32 bits, rows of int8
weights added element by element, neurons with products of 64 bits.  Rows are added by a function
of their own, so that no compiler fuses that loop with the one over spikes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples.benchmarks.c_speed.case import Run
from examples.benchmarks.c_speed.native import Build, compile_library, library_run
from snnc.backends.c.words import computed
from snnc.diagnostics import CompileError, fail
from snnc.graph import Edge, Graph, Node
from snnc.intops import (
    IntInput,
    IntLinear,
    IntNeuron,
    IntOutput,
    IntReshape,
    IntSum,
    IntTimeSum,
)
from snnc.kernel import Const, Kernel, Line

NAIVE = Build("naive C -O2", ("-std=gnu99", "-O2"))
HEAD = """
#include <stdint.h>
#include <string.h>
static inline int64_t half_away(int64_t x, int s) {
    const int64_t m = ((x < 0 ? -x : x) + ((int64_t)1 << (s - 1))) >> s;
    return x < 0 ? -m : m;
}
"""
RUN = """
int bench(const uint8_t *x, uint32_t samples, uint32_t steps, int64_t *scores) {
    for (uint32_t n = 0; n < samples; n++) {
        reset();
        for (uint32_t t = 0; t < steps; t++, x += @IN@) { step(x); }
        for (int i = 0; i < @OUT@; i++) { *scores++ = @RESULT@[i]; }
    }
    return 0;
}
"""
_INFIX = {"add": "+", "sub": "-", "mul": "*", "ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


class Naive:
    """The program of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.number = {node.name: i for i, node in enumerate(graph)}
        self.head: list[str] = [HEAD]
        self.step: list[str] = []
        self.reset: list[str] = []
        self.late: list[str] = []
        self.result = ("", 0)
        self.size = 0
        self._queues: set[str] = set()
        for node in graph:
            self._node(node)

    @property
    def text(self) -> str:
        """The source."""
        run = RUN.replace("@IN@", str(self.size)).replace("@OUT@", str(self.result[1]))
        return "\n".join(
            [
                *self.head,
                "static void reset(void) {",
                *self.reset,
                "}",
                "static void step(const uint8_t *x) {",
                *self.step,
                *self.late,
                "}",
                run.replace("@RESULT@", self.result[0]),
            ]
        )

    def _name(self, name: str) -> str:
        return f"y{self.number[name]}"

    def _read(self, edge: Edge) -> str:
        """The array at the end of an edge; that of a delayed one is copied after every step."""
        name = self._name(edge.src)
        if not edge.delay:
            return name
        if edge.delay != 1 or (edge.init is not None and edge.init.data.any()):
            raise _not_taken("delays other than one step from zeros", self.graph[edge.src])
        late, size = f"late_{name}", self.graph[edge.src].type.size
        if late not in self._queues:
            self._queues.add(late)
            self.head.insert(1, f"static uint8_t {late}[{size}];")
            self.reset.append(f"memset({late}, 0, sizeof {late});")
            self.late.append(f"memcpy({late}, {name}, sizeof {late});")
        return late

    def _node(self, node: Node) -> None:
        name, size = self._name(node.name), node.type.size
        args = [self._read(e) for e in self.graph.in_edges(node.name)]
        match node.op:
            case IntInput():
                self.size = size
                self.step.append(f"const uint8_t *{name} = x;")
            case IntLinear() as op:
                self._array("int32_t", name, size)
                self._linear(name, args[0], op)
            case IntSum():
                self._array("int32_t", name, size)
                self._loop(size, f"{name}[i] = {' + '.join(f'{a}[i]' for a in args)};")
            case IntNeuron(kernel=kernel):
                self._array("uint8_t", name, size)
                self._neuron(node, kernel, args)
            case IntTimeSum():
                self._array("int32_t", name, size)
                self.reset.append(f"memset({name}, 0, sizeof {name});")
                self._loop(size, f"{name}[i] += {args[0]}[i];")
            case IntReshape():
                self.step.append(f"#define {name} {args[0]}")
            case IntOutput():
                self.result = args[0], size
            case _:
                raise _not_taken(type(node.op).__name__, node)

    def _array(self, ctype: str, name: str, size: int) -> None:
        self.head.append(f"static {ctype} {name}[{size}];")

    def _loop(self, size: int, *lines: str) -> None:
        self.step.append(f"for (int i = 0; i < {size}; i++) {{ {' '.join(lines)} }}")

    def _linear(self, name: str, x: str, op: IntLinear) -> None:
        out, fan_in = op.weight.shape
        self._table("int8_t", f"w_{name}", op.weight.data.T)
        self.head.append(
            f"__attribute__((noinline)) static void row_{name}(int32_t *restrict a, "
            f"const int8_t *restrict w) {{ for (int j = 0; j < {out}; j++) {{ a[j] += w[j]; }} }}"
        )
        self.step.append(f"memset({name}, 0, sizeof {name});")
        self._loop(fan_in, f"if ({x}[i]) {{ row_{name}({name}, w_{name} + i * {out}); }}")
        if op.shift:
            self._loop(out, f"{name}[i] *= {1 << op.shift};")
        if op.bias is not None:
            self._table("int32_t", f"b_{name}", op.bias.data)
            self._loop(out, f"{name}[i] += b_{name}[i];")

    def _table(self, ctype: str, name: str, values: npt.NDArray[np.int64]) -> None:
        body = ", ".join(map(str, values.reshape(-1).tolist()))
        self.head.append(f"static const {ctype} {name}[{values.size}] = {{{body}}};")

    def _neuron(self, node: Node, kernel: Kernel, args: list[str]) -> None:
        name, size = self._name(node.name), node.type.size
        env = {k: f"{a}[i]" for k, a in zip(kernel.inputs, args, strict=True)}
        for state in kernel.states:
            array = f"s_{name}_{state.name}"
            self._array(computed((state.lo or 0, state.hi or 0)), array, size)
            self.reset.append(f"memset({array}, 0, sizeof {array});")
            if state.init.data.any():
                raise _not_taken("states that do not start at 0", node)
            env[state.name] = f"{array}[i]"
        env |= {c.name: self._constant(name, c) for c in kernel.consts}
        lines = []
        for line in kernel.body:
            assert line.lo is not None, "proven"
            assert line.hi is not None, "proven"
            local = f"k_{line.name}"
            word = computed((line.lo, line.hi))
            value = _expression(line, [env[a] for a in line.args], node)
            lines.append(f"const {word} {local} = {value};")
            env[line.name] = local
        lines += [f"s_{name}_{s.name}[i] = {env[s.next]};" for s in kernel.states]
        (output,) = kernel.outputs
        self._loop(size, *lines, f"{name}[i] = {env[output]};")

    def _constant(self, name: str, const: Const) -> str:
        values = const.values.data
        if values.min() == values.max():
            return str(int(values.flat[0]))
        self._table("int32_t", f"c_{name}_{const.name}", values)
        return f"c_{name}_{const.name}[i]"


def _not_taken(what: str, node: Node) -> CompileError:
    return fail("E501", f"this emitter does not take {what}", node.loc, help="use --target c")


def _expression(line: Line, a: list[str], node: Node) -> str:
    if line.fn == "mul":
        return f"(int64_t){a[0]} * {a[1]}"
    if line.fn in _INFIX:
        return f"{a[0]} {_INFIX[line.fn]} {a[1]}"
    if line.fn == "rsh" and line.rounding == "half_away" and line.shift:
        return f"half_away({a[0]}, {line.shift})"
    if line.fn == "select":
        return f"{a[0]} ? {a[1]} : {a[2]}"
    raise _not_taken(f"{line.fn} in a kernel", node)


def naive_run(graph: Graph, folder: Path, x: npt.NDArray[np.uint8], outputs: int) -> Run:
    """Emit and compile."""
    source = folder / "naive.c"
    source.write_text(Naive(graph).text)
    return library_run(compile_library(folder, NAIVE, [source], "naive"), x, outputs, x.shape[1])
