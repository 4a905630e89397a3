"""Products of computed matrices whose left one holds spikes or small counts.

A row of the result is the sum of those rows of the right matrix whose numbers the left row lists:
``add4`` adds four of them in one pass, ``add1`` one.  The layer's own right matrix has a row of
zeros behind, which fills up the last four: no processor foresees how many rows are left.  Where the
columns of the left matrix lie together instead (``k'`` in attention), each column lists the rows of
the result to which ``spread`` adds one row of the right matrix.

``(a b) c`` is computed as ``a (b c)`` where that has fewer terms, as in attention without softmax
over many tokens (``Plan.chained``).  Integers make both equal; only the last sum is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from snnc.backends.c.layer import Layer, store
from snnc.backends.c.plan import Plan
from snnc.backends.c.row_lists import SLACK, appended
from snnc.backends.c.shifts import Var, rounded
from snnc.backends.c.sums import matmul_bounds
from snnc.backends.c.views import View, read_view, written_view
from snnc.backends.c.words import SIZES, Bounds, computed, index_type, stored
from snnc.graph import Node
from snnc.intops import IntMatmul


def emit_product(layer: Layer) -> None:
    """One product for every matrix of the leading axes."""
    a, b = (read_view(layer.plan, e) for e in layer.plan.graph.in_edges(layer.node.name))
    sums = matmul_bounds(
        a.buffer.bounds, b.buffer.bounds, _matrix_shape(layer.plan, layer.node, 0)[1]
    )
    product = _product(layer, "mul", layer.node, a, b, sums)
    target = _target(layer, product)
    product = replace(product, to_row=target.row, certified=True)
    product.write(layer)
    w, count = layer.code, prod(layer.node.type.shape[:-2])
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("i", count):
            _multiply(layer, product, b.matrix, target)
        layer.list_spikes(target.buffer)


def emit_chain(layer: Layer) -> None:
    """``a (b c)``: first the small product, for every matrix of the leading axes."""
    plan, node = layer.plan, layer.node
    inner = plan.chained(node)
    assert inner is not None, "dispatched by the plan"
    a, b = (read_view(plan, e) for e in plan.graph.in_edges(inner.name))
    c = read_view(plan, plan.graph.in_edges(node.name)[1])
    (rows, size), columns = _matrix_shape(plan, inner, 1), node.type.shape[-1]
    small = matmul_bounds(b.buffer.bounds, c.buffer.bounds, size)
    first = _Product(layer.id("mul1"), b, (rows, size, columns), c.buffer.ctype, c.row, small)
    sums = matmul_bounds(a.buffer.bounds, small, rows)
    shape = *_matrix_shape(plan, inner, 0), columns
    second = _Product(layer.id("mul"), a, shape, first.word, columns, sums, has_zeros=True)
    target = _target(layer, second)
    second = replace(second, to_row=target.row)
    w, m = layer.code, layer.id("m")
    first.write(layer)
    note = "product of the right matrices, a row of zeros"
    layer.array(m, first.word, (rows + 1) * columns, note)
    second.write(layer)
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("i", prod(node.type.shape[:-2])):
            w(f"{first.name}({b.matrix}, {c.matrix}, {m});")
            _multiply(layer, second, m, target)
        layer.list_spikes(target.buffer)


@dataclass(frozen=True, slots=True)
class _Product:
    """The function ``name(left, right, sums)`` for matrices of one size.

    Attributes:
        name: Of the function.
        left: How the left matrix lies.
        shape: Rows of the left matrix, its columns, columns of the right one.
        right: Type of the right matrix.
        right_row: Elements from a row of it to the next one.
        bounds: Of the sums.
        to_row: Elements from a row of the result to the next one; 0 if there is nothing between.
        certified: Whether the certificate of sums has the bounds.
        has_zeros: Whether a row of zeros lies behind the right matrix.
    """

    name: str
    left: View
    shape: tuple[int, int, int]
    right: str
    right_row: int
    bounds: Bounds
    to_row: int = 0
    certified: bool = False
    has_zeros: bool = False

    @property
    def word(self) -> str:
        return stored(self.bounds)

    def write(self, layer: Layer) -> None:
        """Append it to the code of a layer."""
        w, (rows, inner, columns) = layer.code, self.shape
        by_rows = self.left.column == 1
        listed = inner if by_rows else rows
        repeats = max(1, self.left.buffer.bounds[1])
        fills = by_rows and self.has_zeros
        index, ids = index_type(listed + fills), f"{self.name}_ids"
        layer.array(ids, index, listed * repeats + SLACK, "one row" if by_rows else "one column")
        if by_rows:
            for few in (4,) if fills else (4, 1):
                _adder(layer, f"{self.name}_add{few}", self, index, few)
        else:
            _spreader(layer, f"{self.name}_spread", self)
        to_row, bits = self.to_row or columns, repeats.bit_length()
        types = f"const uint8_t *left, const {self.right} *right, {self.word} *sums"
        with w.block(f"static void {self.name}({types})"):
            if not by_rows:
                with w.loop("r", rows):
                    w(f"memset(sums + r * {to_row}u, 0, {columns * SIZES[self.word]}u);")
                with w.loop("k", inner):
                    text = f"left + k * {self.left.column}u"
                    start = appended(index, text, rows, bits, "0u", ids)
                    w(f"const {index} *end = {start};")
                    w(f"{self.name}_spread(sums, right + k * {self.right_row}u, {ids}, end);")
                return
            with w.loop("r", rows):
                w(f"{self.word} *to = sums + r * {to_row}u;")
                w(f"memset(to, 0, {columns * SIZES[self.word]}u);")
                text = f"left + r * {self.left.row}u"
                start = appended(index, text, inner, bits, "0u", ids)
                if fills:
                    w(f"{index} *end = {start};", *(f"end[{k}] = {inner}u;" for k in range(3)))
                    with w.block(f"for (const {index} *at = {ids}; at < end; at += 4)"):
                        w(f"{self.name}_add4(to, right, at);")
                    return
                w(f"const {index} *end = {start};", f"const {index} *at = {ids};")
                with w.block("for (; end - at >= 4; at += 4)"):
                    w(f"{self.name}_add4(to, right, at);")
                with w.block("for (; end != at; at++)"):
                    w(f"{self.name}_add1(to, right, at);")


def _adder(layer: Layer, name: str, product: _Product, index: str, few: int) -> None:
    w, word, columns = layer.code, product.word, product.shape[2]
    types = f"{word} *restrict sums, const {product.right} *right, const {index} *ids"
    with w.block(f"SNN_ROWS void {name}({types})"):
        for k in range(few):
            row = f"right + (size_t)ids[{k}] * {product.right_row}u"
            w(f"const {product.right} *restrict r{k} = {row};")
        with w.loop("j", columns):
            terms = " + ".join(f"r{k}[j]" for k in range(few))
            w(f"sums[j] = ({word})(sums[j] + {terms});")


def _spreader(layer: Layer, name: str, product: _Product) -> None:
    w, word, (rows, _, columns) = layer.code, product.word, product.shape
    row, index = f"const {product.right} *restrict row", index_type(rows)
    types = f"{word} *restrict sums, {row}, const {index} *ids, const {index} *end"
    with w.block(f"SNN_ROWS void {name}({types})"), w.block("for (; ids != end; ids++)"):
        w(f"{word} *restrict to = sums + (size_t)ids[0] * {product.to_row or columns}u;")
        with w.loop("j", columns):
            if not product.certified:
                w(f"to[j] = ({word})(to[j] + row[j]);")
                return
            least, most = product.bounds
            # a column lists a row once for each of its spikes; intervals do not know that
            w(f"const {computed(product.bounds)} sum = to[j] + row[j];")
            w(f"/*@ admit certified: {least} <= sum <= {most}; */")
            w(f"to[j] = ({word})sum;")


def _product(layer: Layer, name: str, node: Node, a: View, b: View, sums: Bounds) -> _Product:
    shape = *_matrix_shape(layer.plan, node, 0), node.type.shape[-1]
    return _Product(layer.id(name), a, shape, b.buffer.ctype, b.row, sums)


def _matrix_shape(plan: Plan, node: Node, port: int) -> tuple[int, int]:
    edge = plan.graph.in_edges(node.name)[port]
    rows, columns = plan.graph[edge.src].types[edge.out].shape[-2:]
    return rows, columns


def _target(layer: Layer, product: _Product) -> View:
    """Where the sums go; declares the array."""
    y, (rows, _, columns) = layer.plan.value(layer.node.name), product.shape
    found = written_view(layer.plan, layer.node) or View(y, 0, rows * columns, columns, 1)
    layer.declare(found.buffer)
    return found


def _multiply(layer: Layer, product: _Product, right: str, y: View) -> None:
    """Call the function for matrix ``i``; round its sums if they are not the value itself."""
    op = layer.node.op
    assert isinstance(op, IntMatmul), "dispatched by type"
    w, size, left = layer.code, y.step, product.left.matrix
    if op.shift == 0 and y.buffer.ctype == product.word:
        w(f"{product.name}({left}, {right}, {y.matrix});")
        return
    sums = layer.id("sums")
    layer.array(sums, product.word, size, "of one matrix")
    w(f"{product.name}({left}, {right}, {sums});")
    word = computed(product.bounds)
    with w.loop("k", size):
        value = f"({word}){sums}[k]"
        text, wide = rounded(Var(value, word, product.bounds), op.shift, op.rounding)
        w(store(y.buffer, f"i * {size}u + k", text, wide))
