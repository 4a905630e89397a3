"""A neuron's kernel as a C function over all steps of a population, in words as narrow as proven.

The meaning of every line is that of ``arithmetic.py`` beside the simulator.  Names of the program
do not reach the source: only its integers do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from snnc.backends.torch.events import HEAD, UNIT, Rows, helpers
from snnc.backends.torch.program import Bounds, Record, magnitude

#: Neurons whose states stay in the cache of the first level while their steps run.
BLOCK = 1024
#: Shifts from here on are not C's.
_SHIFTS = 63
#: C types of words.
TYPES = {torch.int8: "int8_t", torch.int32: "int32_t", torch.int64: "int64_t"}
TYPES |= {torch.float32: "float", torch.float64: "double"}
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
        rows: How the inputs that are sums of the weights of spikes are added.
        units: Of their tiles.
        out: Outputs of each of these layers, of which a sample may have several rows.
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
    rows: dict[str, Rows] = field(default_factory=dict)
    units: int = 0
    out: int = 0

    @property
    def loops(self) -> bool:
        """Whether a step reads outputs of the one before."""
        return any(rows.own >= 0 for rows in self.rows.values())


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
    of steps and of samples of every input, and of samples of every initial state; then samples
    whose spikes are listed at a time, and whether a step is before these, whose outputs lie before
    theirs.  ``pointers``: inputs, initial states, last states, outputs,
    states after every step or NULL, arrays, tables; then for every input that is added by rows its
    packed weights, room for lists, and for where each of them starts.  Outputs and states after
    every step lie densely, and so do the inputs of rows.
    """
    names = dict.fromkeys([n for n, _ in p.inputs] + [s for s, _, _ in p.states] + list(p.bounds))
    ids = {name: f"v{i}" for i, name in enumerate(names)}
    at = _Places(p)
    out = [_HEAD, *_helpers(p), "void run(const int64_t *d, void *const *p) {"]
    for i, name in enumerate(p.tables):
        out.append(f"const int64_t *{ids[name]} = p[{at.tables + i}];")
    group = f"d[{at.group}]" if p.rows else "1"
    out.append(f"for (int64_t g = d[1]; g < d[2]; g += {group}) {{")
    out.append(f"const int64_t e = g + {group} < d[2] ? g + {group} : d[2];")
    for i, rows in _added(p):
        out += _lists(p, at, i, rows)
    samples, steps = "for (int64_t n = g; n < e; n++) {", "for (int64_t t = 0; t < d[0]; t++) {"
    block, tiles = _tiles(p)
    if p.loops:
        out += [samples, *_begin(p, at, p.size, "0", f"{p.size}"), steps, *tiles]
        out += [*_step(p, at, ids, block, "s{} = z{} + k0"), "}", *_relisted(p, at), "}"]
        out += [*_end(p, at, "0", f"{p.size}"), "}"]
    else:
        out += [*tiles, samples, *_begin(p, at, block, "k0", "m"), steps]
        out += [*_step(p, at, ids, block, "s{} = z{}"), "}", *_end(p, at, "k0", "m"), "}", "}"]
    return "\n".join([*out, "}", "}", ""])


class _Places:
    """Where what lies among the arguments."""

    def __init__(self, p: Population) -> None:
        many, kept = len(p.inputs), len(p.states)
        self.first, self.last, self.outputs = many, many + kept, many + 2 * kept
        self.kept = self.outputs + len(p.outputs)
        self.arrays = self.kept + kept
        self.tables = self.arrays + len(p.arrays)
        self.rows = self.tables + len(p.tables)
        self.state_steps, self.group = 4 + 2 * many, 4 + 2 * many + kept

    def weights(self, number: int) -> str:
        """Of the input of rows with a number among these."""
        return f"p[{self.rows + 3 * number}]"

    def ids(self, number: int) -> str:
        return f"((uint16_t *)p[{self.rows + 3 * number + 1}])"

    def starts(self, number: int) -> str:
        return f"((int64_t *)p[{self.rows + 3 * number + 2}])"


def _added(p: Population) -> list[tuple[int, Rows]]:
    """Inputs of rows, by number."""
    return [(i, p.rows[name]) for i, (name, _) in enumerate(p.inputs) if name in p.rows]


def _helpers(p: Population) -> list[str]:
    found = [helpers(rows, p.units, f"x{i}") for i, rows in _added(p)]
    return [HEAD, *found] if found else []


def _tiles(p: Population) -> tuple[int, list[str]]:
    """Most neurons that are updated together, and the loop over them."""
    if not p.rows:
        block = min(p.size, BLOCK)
        return block, [
            f"for (int k0 = 0; k0 < {p.size}; k0 += {block}) {{",
            f"const int m = {p.size} - k0 < {block} ? {p.size} - k0 : {block};",
        ]
    block = p.units * UNIT
    return block, [
        f"for (int j0 = 0; j0 < {p.size // p.out * -(-p.out // block)}; j0++) {{",
        f"const int tile = j0 % {-(-p.out // block)}, row = j0 / {-(-p.out // block)};",
        f"const int k0 = row * {p.out} + tile * {block};",
        f"const int m = {p.out} - tile * {block} < {block} ? {p.out} - tile * {block} : {block};",
    ]


def _lists(p: Population, at: _Places, i: int, rows: Rows) -> list[str]:
    """Spikes of all rows of an input, of all steps of some samples."""
    number = [j for j, _ in _added(p)].index(i)
    ids, starts = at.ids(number), at.starts(number)
    if rows.own >= 0:
        return []
    x = f"(const int8_t *)p[{i}] + t * d[{4 + 2 * i}] + n * d[{5 + 2 * i}] + r * {rows.fan_in}"
    return [
        "{ int64_t c = 0, l = 0;",
        f"for (int64_t n = g; n < e; n++) for (int r = 0; r < {p.size // p.out}; r++)",
        f"for (int64_t t = 0; t < d[0]; t++) {{ {starts}[l++] = c;",
        f"c += x{i}_list({x}, {ids} + c); }}",
        f"{starts}[l] = c; }}",
    ]


def _relisted(p: Population, at: _Places) -> list[str]:
    """Spikes of the outputs that the next step reads."""
    added = enumerate(_added(p))
    return [f"c{i} = {_relist(p, at, j, 't')};" for j, (i, rows) in added if rows.own >= 0]


def _relist(p: Population, at: _Places, number: int, step: str) -> str:
    i, rows = _added(p)[number]
    y = f"(const int8_t *)p[{at.outputs + rows.own}] + ({step} * d[3] + n) * {p.size}"
    return f"x{i}_list({y}, {at.ids(number)})"


def _begin(p: Population, at: _Places, size: int, first: str, count: str) -> list[str]:
    """States of a sample, by themselves."""
    out = []
    for number, (i, rows) in enumerate(_added(p)):
        if rows.own >= 0:
            out.append(f"int64_t c{i} = d[{at.group + 1}] ? {_relist(p, at, number, '-1')} : 0;")
    for i, (name, kind, _) in enumerate(p.states):
        x = f"((const {kind} *)p[{at.first + i}] + n * d[{at.state_steps + i}] + {first})"
        out.append(f"{ctype(p.bounds[name])} z{i}[{size}];")
        out.append(f"for (int k = 0; k < {count}; k++) z{i}[k] = {x}[k];")
    return out


def _end(p: Population, at: _Places, first: str, count: str) -> list[str]:
    """Write the states after the last step."""
    return [
        f"for (int k = 0; k < {count}; k++) "
        f"(({kind} *)p[{at.last + i}] + n * {p.size} + {first})[k] = z{i}[k];"
        for i, (_, kind, _) in enumerate(p.states)
    ]


def _step(p: Population, at: _Places, ids: dict[str, str], block: int, states: str) -> list[str]:
    """One step of a block of neurons."""
    out, added = [], [i for i, _ in _added(p)]
    for i, (_, kind) in enumerate(p.inputs):
        if i in added:
            out += _sum(p, at, added.index(i), i)
        else:
            x = f"(const {kind} *)p[{i}] + t * d[{4 + 2 * i}] + n * d[{5 + 2 * i}] + k0"
            out.append(f"const {kind} *__restrict__ x{i} = {x};")
    dense = f"(t * d[3] + n) * {p.size} + k0"
    for i, (_, kind) in enumerate(p.arrays):
        x = f"(const {kind} *)p[{at.arrays + i}] + k0"
        out.append(f"const {kind} *__restrict__ a{i} = {x};")
    for i, (_, kind) in enumerate(p.outputs):
        out.append(f"{kind} *__restrict__ y{i} = ({kind} *)p[{at.outputs + i}] + {dense};")
    for i, (name, _, _) in enumerate(p.states):
        out.append(f"{ctype(p.bounds[name])} *__restrict__ {states.format(i, i)};")
    out += ["#pragma GCC ivdep", "for (int k = 0; k < m; k++) {", *_body(p, ids), "}"]
    for i, (_, kind, _) in enumerate(p.states):
        kept = f"p[{at.kept + i}]"
        out.append(
            f"if ({kept}) for (int k = 0; k < m; k++) (({kind} *){kept} + {dense})[k] = s{i}[k];"
        )
    return out


def _sum(p: Population, at: _Places, number: int, i: int) -> list[str]:
    """An input that is added by rows, of a block."""
    rows = dict(_added(p))[i]
    block = p.units * UNIT
    w = f"(const uint16_t *){at.weights(number)} + (int64_t)tile * {rows.fan_in * block // 2}"
    out = [f"{rows.type} x{i}[{block}] __attribute__((aligned(64)));"]
    if rows.own >= 0:
        return [*out, f"x{i}_sum({w}, {at.ids(number)}, c{i}, x{i});"]
    return [
        *out,
        f"{{ const int64_t *l = {at.starts(number)}",
        f"+ ((n - g) * {p.size // p.out} + row) * d[0] + t;",
        f"x{i}_sum({w}, {at.ids(number)} + l[0], l[1] - l[0], x{i}); }}",
    ]


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
        return rounded(values[0], n, line["rounding"], 64 if wide else 32)
    return _CALLS[fn].format(*(f"({v})" for v in values))


def rounded(x: str, shift: int, rounding: str, bits: int) -> str:
    """``rsh`` of an expression of the signed type of 32 or 64 bits, which has room for it."""
    if not shift:
        return x
    half, low = (f"(int{bits}_t)INT64_C({n})" for n in (1 << (shift - 1), (1 << shift) - 1))
    return _ROUNDED[rounding].format(x=x, n=shift, half=half, top=bits - 1, low=low)
