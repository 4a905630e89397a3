"""Neuron kernels as C: one local variable per line, in the word that its proven range needs."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.c import names
from snnc.backends.c.words import Bounds, computed, literal
from snnc.kernel import PREDICATES, Kernel, Line, State

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "ge": ">=",
    "gt": ">",
    "le": "<=",
    "lt": "<",
    "eq": "==",
    "ne": "!=",
}


@dataclass(frozen=True, slots=True)
class Var:
    """A C expression without side effects, its word and the interval of its values."""

    text: str
    word: str
    bounds: Bounds

    def as_(self, word: str) -> str:
        """The expression in ``word``, which holds its value."""
        return self.text if word == self.word else f"({word}){self.text}"


def live_lines(kernel: Kernel) -> list[Line]:
    """Lines on which an output or a state depends, in order."""
    needed = {*kernel.outputs, *(s.next for s in kernel.states)}
    kept = []
    for line in reversed(kernel.body):
        if line.name in needed:
            needed.update(line.args)
            kept.append(line)
    return kept[::-1]


def used_leaves(kernel: Kernel) -> set[str]:
    """Inputs, states and constants that are read."""
    read = {*kernel.outputs, *(s.next for s in kernel.states)}
    return read.union(*(line.args for line in live_lines(kernel)))


def proven(item: Line | State) -> Bounds:
    """Proven interval of a line or state; ``check`` has seen to it that there is one."""
    assert item.lo is not None, "checked before"
    assert item.hi is not None, "checked before"
    return item.lo, item.hi


def assignments(kernel: Kernel, env: dict[str, Var]) -> list[str]:
    """Declarations of the live lines; adds their variables to ``env``."""
    out = []
    for i, line in enumerate(live_lines(kernel)):
        bounds = proven(line)
        word = computed(bounds)
        text, kind = expression(line, [env[a] for a in line.args], bounds)
        cast = "" if kind == word else f"({word})"
        name = f"v{i}_{names.slug(line.name)}"
        out.append(
            f"const {word} {name} = {cast}({text});" if cast else f"const {word} {name} = {text};"
        )
        env[line.name] = Var(name, word, bounds)
    return out


def expression(line: Line, args: list[Var], bounds: Bounds) -> tuple[str, str]:
    """C expression of a line and the word in which it is computed."""
    word = computed(bounds, *(a.bounds for a in args))
    a = [x.as_(word) for x in args]
    match line.fn:
        case "add" | "sub" | "mul":
            return f"{a[0]} {_INFIX[line.fn]} {a[1]}", word
        case "neg":
            return f"-({a[0]})", word
        case "maximum" | "minimum":
            sign = ">" if line.fn == "maximum" else "<"
            return f"({a[0]} {sign} {a[1]}) ? {a[0]} : {a[1]}", word
        case "select":
            return f"({args[0].text} != 0) ? {a[1]} : {a[2]}", word
        case "shl":
            if line.shift == 0:
                return a[0], word
            word = computed(bounds, args[0].bounds, (0, 1 << line.shift))
            return f"{args[0].as_(word)} * {literal(1 << line.shift, word)}", word
        case "rsh":
            return rounded(args[0], line.shift, line.rounding)
        case "copy":
            return a[0], word
    assert line.fn in PREDICATES, f"no C for {line.fn}"
    return f"(int32_t)({_predicate(line.fn, args, a)})", "int32_t"


def rounded(x: Var, shift: int, rounding: str) -> tuple[str, str]:
    """A rounding right shift and its word."""
    if shift == 0:
        return x.text, x.word
    word = "int64_t" if shift > 30 else x.word
    return f"snn_{rounding}_{'64' if word == 'int64_t' else '32'}({x.as_(word)}, {shift})", word


def _predicate(fn: str, args: list[Var], a: list[str]) -> str:
    if fn in _INFIX:
        return f"{a[0]} {_INFIX[fn]} {a[1]}"
    tests = [f"({x.text} {'==' if fn == 'not' else '!='} 0)" for x in args]
    return (" & " if fn == "and" else " | ").join(tests)
