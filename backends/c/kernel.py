"""Neuron kernels as C: one local variable per line, in the word that its proven range needs."""

from __future__ import annotations

from collections import Counter

from snnc.backends.c import names
from snnc.backends.c.shifts import Shifted, Var, rounded, shifted_product
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
    """Inputs, states, constants and tables that are read."""
    read = {*kernel.outputs, *(s.next for s in kernel.states)}
    return read.union(*(line.args for line in live_lines(kernel)))


def proven(item: Line | State) -> Bounds:
    """Proven interval of a line or state; ``check`` has seen to it that there is one."""
    assert item.lo is not None, "checked before"
    assert item.hi is not None, "checked before"
    return item.lo, item.hi


def assignments(kernel: Kernel, env: dict[str, Var]) -> list[str]:
    """Declarations of the live lines; adds their variables to ``env``."""
    out: list[str] = []
    lines = live_lines(kernel)
    shifts = _shifts_of_products(kernel, lines)
    fused: dict[str, Shifted] = {}
    for i, line in enumerate(lines):
        bounds = proven(line)
        word = computed(bounds)
        name = f"v{i}_{names.slug(line.name)}"
        args = [env[a] for a in line.args if a in env]
        if line.name in shifts and word != "int32_t":
            found = _fused(args, shifts[line.name], name)
            if found is not None:
                fused[shifts[line.name].name] = found
                continue
        if line.name in fused:
            found = fused[line.name]
            out += found.before
            text, kind = found.text, found.word
        else:
            text, kind = expression(line, args, bounds)
        cast = "" if kind == word else f"({word})"
        out.append(
            f"const {word} {name} = {cast}({text});" if cast else f"const {word} {name} = {text};"
        )
        env[line.name] = Var(name, word, bounds)
    return out


def _shifts_of_products(kernel: Kernel, lines: list[Line]) -> dict[str, Line]:
    """Products that nothing reads but one right shift, with that shift."""
    uses = Counter([*kernel.outputs, *(s.next for s in kernel.states)])
    uses.update(a for line in lines for a in line.args)
    products = {line.name for line in lines if line.fn == "mul" and uses[line.name] == 1}
    return {line.args[0]: line for line in lines if line.fn == "rsh" and line.args[0] in products}


def _fused(args: list[Var], shift: Line, name: str) -> Shifted | None:
    for x, factor in (args, reversed(args)):
        if found := shifted_product(x, factor, shift.shift, shift.rounding, name):
            return found
    return None


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
        case "wrap":
            return _wrapped(args[0], line.shift)
        case "div":
            word = computed(args[0].bounds, args[1].bounds, bounds)
            size = "64" if word == "int64_t" else "32"
            return f"snn_div_{size}({args[0].as_(word)}, {args[1].as_(word)})", word
        case "isqrt":
            return f"(int64_t)snn_isqrt_64((uint64_t){args[0].as_('int64_t')})", "int64_t"
        case "lookup":
            return f"{args[1].text}[{args[0].text}]", args[1].word
        case "copy":
            return a[0], word
    assert line.fn in PREDICATES, f"no C for {line.fn}"
    return f"(int32_t)({_predicate(line.fn, args, a)})", "int32_t"


def _wrapped(x: Var, bits: int) -> tuple[str, str]:
    """``x`` in a word of ``bits``: computed modulo a power of two, in unsigned words."""
    half, (lo, hi) = 1 << (bits - 1), x.bounds
    if lo > -half and hi <= half:
        return x.text, x.word
    word = computed(x.bounds, (half - hi, half - lo), (1 - half, (1 << bits) - 1))
    unsigned, mask = f"u{word}", (1 << bits) - 1
    macro = "UINT64_C" if word == "int64_t" else "UINT32_C"
    left = f"{literal(half, word)} - {x.as_(word)}"
    return f"{literal(half, word)} - ({word})(({unsigned})({left}) & {macro}({mask}))", word


def _predicate(fn: str, args: list[Var], a: list[str]) -> str:
    if fn in _INFIX:
        return f"{a[0]} {_INFIX[fn]} {a[1]}"
    tests = [f"({x.text} {'==' if fn == 'not' else '!='} 0)" for x in args]
    return (" & " if fn == "and" else " | ").join(tests)
