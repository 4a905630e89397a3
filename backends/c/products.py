"""Products of computed matrices whose left one holds spikes or small counts.

A row of the result is the sum of those rows of the right matrix whose numbers the left row lists:
``add4`` adds four of them in one pass, ``add1`` one.

``(a b) c`` is computed as ``a (b c)`` where that has fewer terms, as in attention without softmax
over many tokens (``Plan.chained``).  Integers make both equal; only the last sum is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, store
from snnc.backends.c.packing import MOST_REPEATS
from snnc.backends.c.pairs import SLACK, appended
from snnc.backends.c.shifts import Var, rounded
from snnc.backends.c.sums import matmul_bounds
from snnc.backends.c.words import SIZES, Bounds, computed, index_type, stored
from snnc.intops import IntMatmul


def lists(left: Buffer) -> bool:
    """Whether the rows of a left matrix can be listed."""
    return left.ctype == "uint8_t" and left.bounds[1] <= MOST_REPEATS


def emit_product(layer: Layer) -> None:
    """One product for every matrix of the leading axes."""
    (a, b), y = layer.plan.operands(layer.node), layer.output()
    product = _Product(layer.id("mul"), a, b.shape[-1], b.ctype, _sums(a, b.bounds))
    product.write(layer)
    w = layer.code
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("i", prod(y.shape[:-2])):
            _multiply(layer, product, f"{a.name} + i * {prod(a.shape[-2:])}u", _matrix(b), y)
        layer.list_spikes(y)


def emit_chain(layer: Layer) -> None:
    """``a (b c)``: first the small product, for every matrix of the leading axes."""
    inner = layer.plan.chained(layer.node)
    assert inner is not None, "dispatched by the plan"
    (a, b), c = layer.plan.operands(inner), layer.plan.operands(layer.node)[1]
    y, w = layer.output(), layer.code
    first = _Product(layer.id("mul1"), b, c.shape[-1], c.ctype, _sums(b, c.bounds))
    first.write(layer)
    m = layer.id("m")
    layer.array(m, first.word, b.shape[-2] * c.shape[-1], "product of the right matrices")
    second = _Product(layer.id("mul"), a, c.shape[-1], first.word, _sums(a, first.bounds))
    second.write(layer)
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("i", prod(y.shape[:-2])):
            w(f"{first.name}({_matrix(b)}, {_matrix(c)}, {m});")
            _multiply(layer, second, _matrix(a), m, y)
        layer.list_spikes(y)


@dataclass(frozen=True, slots=True)
class _Product:
    """The function ``name(left, right, sums)`` for matrices of one size."""

    name: str
    left: Buffer
    columns: int
    right: str
    bounds: Bounds

    @property
    def word(self) -> str:
        return stored(self.bounds)

    def write(self, layer: Layer) -> None:
        """Append it to the code of a layer."""
        w, (rows, inner), columns = layer.code, self.left.shape[-2:], self.columns
        for few in (4, 1):
            _adder(layer, f"{self.name}_add{few}", self, few)
        index = index_type(inner)
        bits = max(1, self.left.bounds[1]).bit_length()
        size = inner * max(1, self.left.bounds[1]) + SLACK
        ids = f"{self.name}_ids"
        layer.array(ids, index, size, "one row")
        types = f"const uint8_t *left, const {self.right} *right, {self.word} *sums"
        with w.block(f"static void {self.name}({types})"):
            w(f"memset(sums, 0, {rows * columns * SIZES[self.word]}u);")
            with w.loop("r", rows):
                w(f"{self.word} *to = sums + r * {columns}u;")
                start = appended(index, f"left + r * {inner}u", inner, bits, "0u", ids)
                w(f"const {index} *end = {start};", f"const {index} *at = {ids};")
                with w.block("for (; end - at >= 4; at += 4)"):
                    w(f"{self.name}_add4(to, right, at);")
                with w.block("for (; end != at; at++)"):
                    w(f"{self.name}_add1(to, right, at);")


def _adder(layer: Layer, name: str, product: _Product, few: int) -> None:
    w, word, index = layer.code, product.word, index_type(product.left.shape[-1])
    types = f"{word} *restrict sums, const {product.right} *right, const {index} *ids"
    with w.block(f"SNN_ROWS void {name}({types})"):
        for k in range(few):
            row = f"right + (size_t)ids[{k}] * {product.columns}u"
            w(f"const {product.right} *restrict r{k} = {row};")
        with w.loop("j", product.columns):
            terms = " + ".join(f"r{k}[j]" for k in range(few))
            w(f"sums[j] = ({word})(sums[j] + {terms});")


def _sums(left: Buffer, right: Bounds) -> Bounds:
    return matmul_bounds(left.bounds, right, left.shape[-1])


def _matrix(buffer: Buffer) -> str:
    return f"{buffer.name} + i * {prod(buffer.shape[-2:])}u"


def _multiply(layer: Layer, product: _Product, left: str, right: str, y: Buffer) -> None:
    """Call the function for matrix ``i``; round its sums if they are not the value itself."""
    op = layer.node.op
    assert isinstance(op, IntMatmul), "dispatched by type"
    w, size = layer.code, prod(y.shape[-2:])
    if op.shift == 0 and y.ctype == product.word:
        w(f"{product.name}({left}, {right}, {_matrix(y)});")
        return
    sums = layer.id("sums")
    layer.array(sums, product.word, size, "of one matrix")
    w(f"{product.name}({left}, {right}, {sums});")
    word = computed(product.bounds)
    with w.loop("k", size):
        value = f"({word}){sums}[k]"
        text, wide = rounded(Var(value, word, product.bounds), op.shift, op.rounding)
        w(store(y, f"i * {size}u + k", text, wide))
