"""C source of a population to train: all its steps forward, and backward through its surrogates.

Both functions compute what ``neuron.TrainedNeuron`` computes line by line with tensors: forward the
same integers in float64, backward the same derivatives (``gradients.py``).  Lines are computed
again on the way back; of the forward pass, the states are kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from snnc.backends.torch.arithmetic import NUDGE
from snnc.backends.torch.program import Record

#: Rounding of ``x``, which has been nudged for ``half_away``.
_ROUNDED = {
    "half_away": "rint({})",
    "half_even": "rint({})",
    "half_up": "floor({} + 0.5)",
    "floor": "floor({})",
    "trunc": "trunc({})",
}
_BINARY = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}"}
_BINARY |= {"maximum": "{0} > {1} ? {0} : {1}", "minimum": "{0} < {1} ? {0} : {1}"}
_UNARY = {"neg": "-{0}", "copy": "{0}"}
#: Comparisons, and the sign of the distance ``a - b`` that they ask to be positive.
_COMPARED = {"gt": (">", 1), "ge": (">=", 1), "lt": ("<", -1), "le": ("<=", -1)}
#: Derivatives: of the operands, given ``g`` of the result.
_BACK = {
    "add": ("g", "g"),
    "sub": ("g", "-g"),
    "mul": ("g * {1}", "g * {0}"),
    "maximum": (
        "g * ({0} > {1} ? 1 : {0} == {1} ? 0.5 : 0)",
        "g * ({1} > {0} ? 1 : {0} == {1} ? 0.5 : 0)",
    ),
    "minimum": (
        "g * ({0} < {1} ? 1 : {0} == {1} ? 0.5 : 0)",
        "g * ({1} < {0} ? 1 : {0} == {1} ? 0.5 : 0)",
    ),
    "neg": ("-g",),
    "copy": ("g",),
    "select": ("g * ({1} - {2})", "g * {0}", "g * (1 - {0})"),
}


@dataclass(frozen=True)
class Shift:
    """A rounding shift of ``read``, or of its product with ``factor``."""

    read: str
    factor: str | None
    bits: int
    rounding: str


@dataclass(frozen=True)
class Kernel:
    """What is compiled.

    Attributes:
        inputs: Names, in order.
        consts: The same.
        states: Names, and that of the line that each becomes.
        outputs: Names.
        lines: In order, without products that a shift makes.
        shifts: Those among them, by name.
    """

    inputs: tuple[str, ...]
    consts: tuple[str, ...]
    states: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    lines: tuple[Record, ...]
    shifts: Mapping[str, Shift]

    def expressible(self, truths: set[str]) -> bool:
        """Whether C has all lines; ``truths`` are names of 0 and 1."""
        for line in self.lines:
            fn, args = line["fn"], line["args"]
            fine = fn in {*_BINARY, *_UNARY, "shl"} or line["name"] in self.shifts
            fine |= fn == "select" and args[0] in truths
            fine |= fn in _COMPARED and args[1] in self.consts  # its width is known beforehand
            if not fine:
                return False
        return bool(self.outputs) and bool(self.inputs)

    def widths(self) -> list[str]:
        """Constants that are widths of surrogates."""
        return [line["args"][1] for line in self.lines if line["fn"] in _COMPARED]


def forward(k: Kernel) -> str:
    """The function that runs all steps.

    Sizes: T, the first and last sample, N, and E.  Pointers: inputs (T, N, E), constants (E),
    states (T + 1, N, E) of which the first step is given, and outputs (T, N, E).
    """
    names = _names(k)
    pointers = [
        *(f"const double *x{i}" for i in range(len(k.inputs))),
        *(f"const double *c{i}" for i in range(len(k.consts))),
        *(f"double *s{i}" for i in range(len(k.states))),
        *(f"double *y{i}" for i in range(len(k.outputs))),
    ]
    body = [*_loads(k, names), *_lines(k, names)]
    body += [f"s{i}[all + j] = {names[after]};" for i, (_, after) in enumerate(k.states)]
    body += [f"y{i}[j] = {names[o]};" for i, o in enumerate(k.outputs)]
    return _function(pointers, "for (long long t = 0; t < d[0]; t++)", body)


def backward(k: Kernel) -> str:
    """The function of derivatives; ``gs`` are those of the states after the last step.

    Sizes as before.  Pointers: inputs, constants, states, derivatives of outputs (T, N, E) and of
    states (N, E), which become those of the first, and those to write: of inputs (T, N, E), and of
    constants (E), which are added to.
    """
    names = _names(k)
    pointers = [
        *(f"const double *x{i}" for i in range(len(k.inputs))),
        *(f"const double *c{i}" for i in range(len(k.consts))),
        *(f"const double *s{i}" for i in range(len(k.states))),
        *(f"const double *gy{i}" for i in range(len(k.outputs))),
        *(f"double *gs{i}" for i in range(len(k.states))),
        *(f"double *gx{i}" for i in range(len(k.inputs))),
        *(f"double *gc{i}" for i in range(len(k.consts))),
    ]
    body = [*_loads(k, names), *_lines(k, names)]
    body += [f"double g{n} = 0;" for n in names.values()]
    body += [f"g{names[o]} += gy{i}[j];" for i, o in enumerate(k.outputs)]
    body += [f"g{names[after]} += gs{i}[one];" for i, (_, after) in enumerate(k.states)]
    for line in reversed(k.lines):
        body += _back(k, names, line)
    body += [f"gs{i}[one] = g{names[s]};" for i, (s, _) in enumerate(k.states)]
    body += [f"gx{i}[j] = g{names[x]};" for i, x in enumerate(k.inputs)]
    body += [f"gc{i}[e] += g{names[c]};" for i, c in enumerate(k.consts)]
    return _function(pointers, "for (long long t = d[0] - 1; t >= 0; t--)", body)


def _function(pointers: list[str], steps: str, body: list[str]) -> str:
    taken = "\n".join(
        f"    {p.replace('*', '*restrict ')} = p[{i}];" for i, p in enumerate(pointers)
    )
    inner = "\n".join(f"        {text}" for text in body)
    return f"""#include <math.h>
void run(const long long *d, void *const *p) {{
{taken}
    const long long all = d[3] * d[4];
    {steps}
    for (long long n = d[1]; n < d[2]; n++)
    for (long long e = 0; e < d[4]; e++) {{
        const long long one = n * d[4] + e, j = t * all + one;
        (void)one;
{inner}
    }}
}}
"""


def _names(k: Kernel) -> dict[str, str]:
    """Names in C."""
    known = [*k.inputs, *k.consts, *(s for s, _ in k.states), *(y["name"] for y in k.lines)]
    return {name: f"v{i}" for i, name in enumerate(dict.fromkeys(known))}


def _loads(k: Kernel, names: Mapping[str, str]) -> list[str]:
    found = [f"const double {names[x]} = x{i}[j];" for i, x in enumerate(k.inputs)]
    found += [f"const double {names[c]} = c{i}[e];" for i, c in enumerate(k.consts)]
    return found + [f"const double {names[s]} = s{i}[j];" for i, (s, _) in enumerate(k.states)]


def _lines(k: Kernel, names: Mapping[str, str]) -> list[str]:
    return [f"const double {names[y['name']]} = {_value(k, names, y)};" for y in k.lines]


def _value(k: Kernel, names: Mapping[str, str], line: Record) -> str:
    fn, args = line["fn"], [names.get(a, "") for a in line["args"]]
    if (shift := k.shifts.get(line["name"])) is not None:
        by = "1.0" if shift.factor is None else names[shift.factor]
        x = names[shift.read]
        if not shift.bits:
            return f"{x} * {by}"
        scaled = f"({by} * {(2.0**-shift.bits).hex()})"
        if shift.rounding == "half_away":
            scaled = f"({scaled} * {(1 + NUDGE).hex()})"
        return _ROUNDED[shift.rounding].format(f"({x} * {scaled})")
    if fn in _COMPARED:
        return f"{args[0]} {_COMPARED[fn][0]} {args[1]} ? 1.0 : 0.0"
    if fn == "select":
        return f"{args[2]} + {args[0]} * ({args[1]} - {args[2]})"
    if fn == "shl":
        return f"{args[0]} * {float(1 << line['shift']).hex()}"
    return (_BINARY | _UNARY)[fn].format(*args)


def _back(k: Kernel, names: Mapping[str, str], line: Record) -> list[str]:
    """Statements that hand the derivative of a line on."""
    fn, args = line["fn"], [names.get(a, "") for a in line["args"]]
    g = f"g{names[line['name']]}"
    if (shift := k.shifts.get(line["name"])) is not None:
        small, x = (2.0**-shift.bits).hex(), names[shift.read]
        if shift.factor is None:
            return [f"g{x} += {g} * {small};"]
        by = names[shift.factor]
        return [f"g{x} += {g} * {small} * {by};", f"g{by} += {g} * {small} * {x};"]
    if fn == "shl":
        return [f"g{args[0]} += {g} * {float(1 << line['shift']).hex()};"]
    if fn in _COMPARED:
        a, b = args
        sign = "" if _COMPARED[fn][1] > 0 else "-"
        text = f"const double w = fabs({b}), u = {math.pi.hex()} * ({a} - {b}) / w"
        return [f"{{ {text}, h = {sign}{g} / ((u * u + 1) * w); g{a} += h; g{b} -= h; }}"]
    texts = [text.format(*args).replace("g", g, 1) for text in _BACK[fn]]
    return [f"g{a} += {text};" for a, text in zip(args, texts, strict=True)]
