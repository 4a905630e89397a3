"""A neuron's kernel as a C function over all steps of a population, in words as narrow as proven.

The meaning of every line is that of ``arithmetic.py`` beside the simulator.  Names of the program
do not reach the source: only its integers do.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.backends.torch.program import Bounds, Record, magnitude

#: Neurons whose states stay in the cache of the first level while their steps run.
BLOCK = 1024
#: Shifts from here on are not C's.
_SHIFTS = 63
_CALLS = {"add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "neg": "-{}", "copy": "{}"}
_CALLS |= {"gt": "{} > {}", "lt": "{} < {}", "ge": "{} >= {}", "le": "{} <= {}"}
_CALLS |= {"eq": "{} == {}", "ne": "{} != {}", "not": "{} == 0"}
_CALLS |= {"and": "({} != 0) & ({} != 0)", "or": "({} != 0) | ({} != 0)"}
_CALLS |= {"select": "{} != 0 ? {} : {}", "maximum": "{0} > {1} ? {0} : {1}"}
_CALLS |= {"minimum": "{0} < {1} ? {0} : {1}", "div": "divided({}, {})", "isqrt": "root({})"}
_ROUNDED = {
    "floor": "{x} >> {n}",
    "half_up": "({x} + {half}) >> {n}",
    "half_away": "({x} + ({x} >> {top}) + {half}) >> {n}",
    "half_even": "({x} + (({x} >> {n}) & 1) + {half} - 1) >> {n}",
    "trunc": "({x} + (({x} >> {top}) & {low})) >> {n}",
}
_HEAD = """\
#include <stdint.h>
static inline int64_t divided(int64_t x, int64_t d) {
  int64_t size = d < 0 ? -d : d, y = ((x < 0 ? -x : x) + size / 2) / size;
  return (x < 0) == (d < 0) ? y : -y;
}
static inline int64_t root(int64_t x) {
  int64_t y = (int64_t)__builtin_sqrt((double)x);
  y -= y * y > x;
  return y + ((y + 1) * (y + 1) <= x);
}
"""


@dataclass(frozen=True)
class Fold:
    """What makes an input of the sums that arrive: ``(sums << shift) + bias``.

    Attributes:
        shift: Bits.
        bias: Name of an array, or an empty string.
        type: C type in which it is exact.
    """

    shift: int
    bias: str
    type: str


@dataclass(frozen=True)
class Population:
    """A kernel and where its words lie.

    Attributes:
        size: Neurons of one sample.
        lines: Of the kernel.
        bounds: Proven ranges of all names.
        inputs: Names and C types of what arrives, (T, N, size).
        folds: What to make of some of them first.
        states: Names, C types, and what they become.
        outputs: Names and C types.
        scalars: Constants of one value.
        arrays: Names and C types of values per neuron.
        tables: Names of tables, in int64, and their lengths.
    """

    size: int
    lines: list[Record]
    bounds: dict[str, Bounds]
    inputs: list[tuple[str, str]]
    folds: dict[str, Fold]
    states: list[tuple[str, str, str]]
    outputs: list[tuple[str, str]]
    scalars: dict[str, int]
    arrays: list[tuple[str, str]]
    tables: dict[str, int]


def ctype(bounds: Bounds) -> str:
    """The C type in which a value of a range is computed."""
    return "int32_t" if magnitude(bounds) < 1 << 31 else "int64_t"


def expressible(population: Population) -> bool:
    """Whether C computes every line as the simulator does."""
    return all(_expressible(population, line) for line in population.lines)


def _expressible(p: Population, line: Record) -> bool:
    fn, args = line["fn"], line["args"]
    if fn in ("rsh", "shl", "wrap"):
        return 0 <= int(line["shift"]) < _SHIFTS and line["rounding"] in ("", *_ROUNDED)
    lo, hi = p.bounds[args[0]]
    if fn == "lookup":
        return lo >= 0 and hi < p.tables[args[1]]
    if fn == "isqrt":
        return lo >= 0 and hi < 1 << 62
    if fn == "div":
        low, high = p.bounds[args[1]]
        return (low > 0 or high < 0) and magnitude((lo, hi)) + magnitude((low, high)) < 1 << 62
    return fn in _CALLS


def source(p: Population) -> str:
    """The C function ``run(sizes, pointers)``.

    ``sizes``: steps, first sample, sample behind the last, number of samples; then the distances
    of steps and of samples of every input, and of samples of every initial state.  ``pointers``:
    inputs, initial states, last states, outputs, states after every step or NULL, arrays, tables.
    Outputs and states after every step lie densely.
    """
    names = dict.fromkeys([n for n, _ in p.inputs] + [s for s, _, _ in p.states] + list(p.bounds))
    ids = {name: f"v{i}" for i, name in enumerate(names)}
    many, kept, shown = len(p.inputs), len(p.states), len(p.outputs)
    place = many + 3 * kept + shown  # of the first array
    out = [_HEAD, "void run(const int64_t *d, void *const *p) {"]
    for i, name in enumerate(p.tables):
        out.append(f"const int64_t *{ids[name]} = p[{place + len(p.arrays) + i}];")
    out.append("for (int64_t n = d[1]; n < d[2]; n++)")
    block = min(p.size, BLOCK)
    out.append(f"for (int k0 = 0; k0 < {p.size}; k0 += {block}) {{")
    out.append(f"const int m = {p.size} - k0 < {block} ? {p.size} - k0 : {block};")
    for i, (_, kind) in enumerate(p.arrays):
        out.append(f"const {kind} *__restrict__ a{i} = (const {kind} *)p[{place + i}] + k0;")
    for i, (name, kind, _) in enumerate(p.states):
        at = f"((const {kind} *)p[{many + i}] + n * d[{4 + 2 * many + i}] + k0)"
        out.append(f"{ctype(p.bounds[name])} s{i}[{block}];")
        out.append(f"for (int k = 0; k < m; k++) s{i}[k] = {at}[k];")
    out.append("for (int64_t t = 0; t < d[0]; t++) {")
    for i, (_, kind) in enumerate(p.inputs):
        at = f"(const {kind} *)p[{i}] + t * d[{4 + 2 * i}] + n * d[{5 + 2 * i}] + k0"
        out.append(f"const {kind} *__restrict__ x{i} = {at};")
    dense = f"(t * d[3] + n) * {p.size} + k0"
    for i, (_, kind) in enumerate(p.outputs):
        out.append(f"{kind} *__restrict__ y{i} = ({kind} *)p[{many + 2 * kept + i}] + {dense};")
    out += ["#pragma GCC ivdep", "for (int k = 0; k < m; k++) {", *_body(p, ids), "}"]
    for i, (_, kind, _) in enumerate(p.states):
        at = f"p[{many + 2 * kept + shown + i}]"
        out.append(
            f"if ({at}) for (int k = 0; k < m; k++) (({kind} *){at} + {dense})[k] = s{i}[k];"
        )
    out.append("}")
    for i, (_, kind, _) in enumerate(p.states):
        at = f"(({kind} *)p[{many + kept + i}] + n * {p.size} + k0)"
        out.append(f"for (int k = 0; k < m; k++) {at}[k] = s{i}[k];")
    return "\n".join([*out, "}", "}", ""])


def _body(p: Population, ids: dict[str, str]) -> list[str]:
    """One step of one neuron."""
    arrays = {name: f"a{i}[k]" for i, (name, _) in enumerate(p.arrays)}
    ids = ids | arrays | {name: f"INT64_C({v})" for name, v in p.scalars.items()}
    out = []
    for i, (name, _) in enumerate(p.inputs):
        value = f"x{i}[k]"
        if fold := p.folds.get(name):
            value = f"(({fold.type})(({fold.type}){value} << {fold.shift}))"
            value += f" + {arrays[fold.bias]}" if fold.bias else ""
        out.append(_let(p, ids, name, value))
    out += [_let(p, ids, name, f"s{i}[k]") for i, (name, _, _) in enumerate(p.states)]
    for line in p.lines:
        out.append(_let(p, ids, line["name"], _value(p, ids, line)))
    out += [f"s{i}[k] = {ids[after]};" for i, (_, _, after) in enumerate(p.states)]
    return out + [f"y{i}[k] = {ids[name]};" for i, (name, _) in enumerate(p.outputs)]


def _let(p: Population, ids: dict[str, str], name: str, value: str) -> str:
    return f"const {ctype(p.bounds[name])} {ids[name]} = {value};"


def _value(p: Population, ids: dict[str, str], line: Record) -> str:
    fn, args, n = line["fn"], line["args"], line["shift"]
    if fn == "lookup":
        return f"{ids[args[1]]}[{ids[args[0]]}]"
    used = [p.bounds[a] for a in (line["name"], *args)]
    room = 1 << n if fn == "rsh" else 0
    wide = fn in ("wrap", "div", "isqrt") or any(magnitude(b) + room >= 1 << 31 for b in used)
    kind = "int64_t" if wide else "int32_t"
    values = [f"({kind}){ids[a]}" for a in args]
    if fn == "shl":
        return f"({kind})({values[0]} << {n})"
    if fn == "wrap":
        top = f"INT64_C({1 << (n - 1)})" if n else "0"
        return f"{top} - (({top} - {values[0]}) & INT64_C({(1 << n) - 1}))"
    if fn == "rsh":
        if not n:
            return values[0]
        sign = 63 if wide else 31
        half, low = (f"({kind})INT64_C({x})" for x in (1 << (n - 1), (1 << n) - 1))
        return _ROUNDED[line["rounding"]].format(x=values[0], n=n, half=half, top=sign, low=low)
    return _CALLS[fn].format(*(f"({v})" for v in values))
