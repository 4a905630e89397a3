"""Products of computed matrices, and softmax."""

from __future__ import annotations

from contextlib import nullcontext
from math import prod

from snnc.backends.c import names
from snnc.backends.c.broadcast import element
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer, load, store
from snnc.backends.c.products import emit_chain, emit_product
from snnc.backends.c.shifts import Var, rounded
from snnc.backends.c.sums import matmul_bounds
from snnc.backends.c.views import has_rows
from snnc.backends.c.words import computed
from snnc.intops import IntMatmul, IntSoftmax


def emit_matmul(layer: Layer) -> None:
    """Row after row of the result; an element of ``a`` that is 0 costs nothing."""
    op = layer.node.op
    assert isinstance(op, IntMatmul), "dispatched by type"
    if layer.plan.chained(layer.node):
        emit_chain(layer)
        return
    a, b = layer.plan.operands(layer.node)
    sums = matmul_bounds(a.bounds, b.bounds, a.shape[-1])
    if has_rows(layer.plan, layer.node):
        emit_product(layer)
        return
    y = layer.output()
    (rows, inner), columns, lead = a.shape[-2:], b.shape[-1], y.shape[:-2]
    word = computed(sums, a.bounds, b.bounds)
    acc, w = layer.id("acc"), layer.code
    layer.array(acc, word, columns, "one row")
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("i", prod(lead)), w.loop("r", rows):
            w(f"const size_t left = ({element(a.shape[:-2], lead)}) * {rows * inner}u;")
            w(f"const size_t right = ({element(b.shape[:-2], lead)}) * {inner * columns}u;")
            w(f"memset({acc}, 0, sizeof {acc});")
            with w.loop("k", inner):
                w(f"const {word} x = {load(a, f'left + r * {inner}u + k', word)};")
                with w.block("if (x != 0)"), w.loop("j", columns):
                    value = load(b, f"right + k * {columns}u + j", word)
                    w(f"{acc}[j] += {value if a.is_spikes else f'x * {value}'};")
            with w.loop("j", columns):
                text, wide = rounded(Var(f"{acc}[j]", word, sums), op.shift, op.rounding)
                w(store(y, f"(i * {rows}u + r) * {columns}u + j", text, wide))
        layer.list_spikes(y)


def emit_softmax(layer: Layer) -> None:
    """The largest element, then every exponent, then every quotient."""
    op = layer.node.op
    assert isinstance(op, IntSoftmax), "dispatched by type"
    (x, *masks), y = layer.plan.operands(layer.node), layer.output()
    n, inner = y.shape[op.axis], prod(y.shape[op.axis + 1 :])
    origin = names.comment(f"{layer.node.name}: 2**(-j / {op.table.data.size})")
    table = layer.tables.add(layer.id("exp2"), op.table.data, origin)
    e, w = layer.id("e"), layer.code
    layer.array(e, "uint32_t", n, "one row")
    here = f"r + k * {inner}u" if inner > 1 else "r + k"
    counts = _counts(layer, y, here, masks)
    word = computed(x.bounds, (x.bounds[0] - x.bounds[1], x.bounds[1] - x.bounds[0]))
    half = (1 << op.shift) >> 1
    fraction = op.table.data.size.bit_length() - 1
    with w.block(f"static void {layer.tick}(void)"):
        with w.loop("o", prod(y.shape[: op.axis])), w.loop("s", inner):
            w(f"const size_t r = o * {n * inner}u + s;")
            w(f"{word} top = 0;", "int found = 0;", "uint32_t total = 0u;")
            with w.loop("k", n):
                w(f"const {word} v = {load(x, here, word)};")
                test = "found == 0 || v > top"
                with w.block(f"if (({counts}) && ({test}))" if counts else f"if ({test})"):
                    w("top = v;", "found = 1;")
            with w.loop("k", n):
                w(f"{e}[k] = 0u;")
                with w.block(f"if ({counts})") if counts else nullcontext():
                    w(f"const {word} d = top - {load(x, here, word)};")
                    w(f"const uint64_t most = UINT64_C({op.reach});")
                    w("const uint64_t short_ = (uint64_t)d < most ? (uint64_t)d : most;")
                    scaled = f"short_ * UINT64_C({op.multiplier}) + UINT64_C({half})"
                    w(f"const uint64_t u = ({scaled}) >> {op.shift};")
                    w(f"const uint64_t halvings = u >> {fraction};")
                    w(f"const uint32_t full = (uint32_t){table.name}[u & {(1 << fraction) - 1}u];")
                    w(f"{e}[k] = full >> (halvings < 31u ? (int)halvings : 31);")
                    w(f"total += {e}[k];")
            w("total = total == 0u ? 1u : total;")
            with w.loop("k", n):
                wide = op.out_bits + int(op.table.data.max()).bit_length() > 32
                value = f"(uint64_t){e}[k]" if wide else f"{e}[k]"
                w(store(y, here, f"({value} << {op.out_bits}) / total", "quotient"))
        layer.list_spikes(y)


def _counts(layer: Layer, y: Buffer, here: str, masks: list[Buffer]) -> str:
    """A C expression that says whether an element counts; empty if all do."""
    op = layer.node.op
    assert isinstance(op, IntSoftmax), "dispatched by type"
    tests = [f"{m.name}[{here}] != 0" for m in masks]
    if op.mask is not None:
        origin = names.comment(f"{layer.node.name}: mask")
        table = layer.tables.add(layer.id("mask"), op.mask.data, origin)
        place = element(op.mask.shape, y.shape).replace("i", f"({here})")  # its only name
        tests.append(f"{table.name}[{place}] != 0")
    return " && ".join(tests)
