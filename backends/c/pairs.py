"""Linear layers whose events add pairs of 8-bit weights (``packing``).

``event`` adds one column, ``event2``, ``event3``, ``event6`` and ``event12`` several in one pass,
``start12`` makes sums of the first twelve, ``add`` takes any number; ``tick`` adds all spikes and
writes the layer's value.  Of a large layer, all of them work on a tile, some words of every column
(``packing.tile_words``); where there are many spikes, ``block`` takes one tile of some columns
after the other and for each the spikes of many steps, so that it is in the cache after the first
of them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnc.backends.c import join_sums, names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.folds import added, folded
from snnc.backends.c.layer import Layer, store
from snnc.backends.c.layouts import in_order
from snnc.backends.c.packing import PASSES, PairRows, rows_of
from snnc.backends.c.row_lists import SET, SLACK, appended, fill_up
from snnc.backends.c.tables import Table
from snnc.backends.c.true_sums import add_read, scaling
from snnc.backends.c.words import index_type
from snnc.backends.c.writer import CWriter
from snnc.intops import IntConv, IntLinear

#: Words of a vector of 512 bits.
_VECTOR = 32
#: Words of a strip of every column that stays in the cache for many steps.
_STRIP = 128
#: One of so many inputs must spike for tiles of some columns to be faster than whole columns.
_MANY = 5


def emit_pairs(layer: Layer, pairs: PairRows) -> None:
    """Write sums, columns and functions of a linear layer."""
    op = layer.node.op
    assert isinstance(op, IntLinear), "dispatched by type"
    (x,), y = layer.plan.operands(layer.node), layer.plan.value(layer.node.name)
    if not join_sums.is_own(layer):
        layer.declare(y)
    out, fan_in = op.weight.shape
    if y.size > out:
        _emit_rows(layer, pairs, x, y)
        return
    index = index_type(fan_in)
    add_functions(layer, pairs, y, in_order(op.weight.data, x.channels), (0, index))
    scaled = scaling(layer, op)
    if layer.node.name not in layer.plan.joins:
        _emit_tick(layer, pairs, x, y, scaled)
    elif join_sums.is_later(layer):
        join_sums.emit_joined(layer, pairs, has_sums(layer, pairs, y))


def _emit_tick(layer: Layer, pairs: PairRows, x: Buffer, y: Buffer, scaled: str) -> None:
    (ids, count), w = spike_list(layer, x), layer.code
    with w.block(f"static void {layer.tick}(void)"):
        if x.ids is None:
            lister = _lister(index_type(layer.node.op.params["weight"].shape[1]))
            w(f"const uint32_t {count} = {lister}({x.name}, {x.size}u, {ids});")
        if pairs.most:
            start_rows(layer, pairs, y)
        with _tiles(layer, pairs):
            send_sums(layer, pairs, y, y.name, (ids, count))
        finish_sums(layer, pairs, y, scaled)


def add_functions(
    layer: Layer, pairs: PairRows, y: Buffer, weight: npt.NDArray[np.int64], how: tuple[int, str]
) -> None:
    """Write columns, ``add`` and ``read``, which ``snn_sums`` makes needless where it is.

    ``how``: columns of zeros behind the others, and the type of a column's number.
    """
    op, ways = layer.node.op, (layer.data, layer.code)
    assert isinstance(op, IntLinear | IntConv), "layers with pairs"
    sums = has_sums(layer, pairs, y)
    for w in ways if sums else ():
        w("#ifndef SNN_SUMS")
    add_columns(layer, pairs, weight, *how)
    if not join_sums.is_own(layer):
        add_read(layer, pairs, y, len(weight), "{}" if pairs.most else scaling(layer, op))
    for w in ways if sums else ():
        w("#endif")


def send_sums(layer: Layer, pairs: PairRows, y: Buffer, row: str, spikes: tuple[str, str]) -> None:
    """Add the columns of a list of spikes and read the sums, by ``snn_sums`` where it is."""
    sums = has_sums(layer, pairs, y)
    if sums:
        layer.code("#ifdef SNN_SUMS", _sums(layer, pairs, row, spikes), "#else")
    send_row(layer, pairs, y, row, spikes)
    layer.code(*(["#endif"] if sums else []))


def has_sums(layer: Layer, pairs: PairRows, y: Buffer) -> bool:
    """Whether ``snn_sums`` of ``snn_simd.h`` can give the value as it is."""
    op = layer.node.op
    assert isinstance(op, IntLinear | IntConv), "layers with pairs"
    out = op.weight.shape[0]
    fan_in = op.weight.data.size // out + 1
    whole = out == 2 * pairs.words and pairs.words % _VECTOR == 0
    plain = y.ctype == "int16_t" and not pairs.most and scaling(layer, op) == "{}"
    return whole and plain and pairs.fold == 1 and index_type(fan_in) == "uint16_t"


def _sums(layer: Layer, pairs: PairRows, y: str, spikes: tuple[str, str], strip: str = "") -> str:
    """Call of ``snn_sums`` for all words, or for a strip of them."""
    (ids, count), stride = spikes, pairs.words
    base = f"(uint16_t)({65536 - pairs.offset}u * ({count} % 65536u))"
    if strip:
        table, words = f"{join_sums.columns_of(layer)} + {strip}", f"{_STRIP}u"
        low, high = f"{y} + {strip}", f"{y} + {stride}u + {strip}"
    else:
        table, words, low, high = join_sums.columns_of(layer), f"{stride}u", y, f"{y} + {stride}u"
    return f"snn_sums({table}, {stride}u, {words}, {ids}, {count}, {base}, {low}, {high});"


def emit_block(layer: Layer, pairs: PairRows, block: tuple[str, str, str], w: CWriter) -> None:
    """``block``: the values of many steps, from the lists and counts of these steps.

    Args:
        layer: A layer that ``emit_pairs`` has written, with one row of outputs.
        pairs: Its columns.
        block: Arrays of lists, of counts and of values; the first index of each is the step.
        w: Where the function goes.
    """
    op, y = layer.node.op, layer.plan.value(layer.node.name)
    assert isinstance(op, IntLinear), "layers with pairs"
    ids, counts, values = block
    part = replace(layer, code=w)
    with w.block(f"static void {layer.id('block')}(uint32_t steps)"):
        if pairs.most:
            w(f"memset({values}, 0, sizeof {values}[0] * steps);")
        spikes, row = (f"{ids}[t]", f"{counts}[t]"), f"{values}[t]"
        if sums := has_sums(part, pairs, y):
            _product(part, pairs, y, block)
            w("#ifdef SNN_SUMS")
            _strips(part, pairs, row, spikes, counts)
            w("#else")
        if pairs.tile:
            _in_parts(part, pairs, y, block)
        with w.block("else") if pairs.tile else nullcontext(), steps_of(w), _tiles(part, pairs):
            send_row(part, pairs, y, row, spikes)
        w(*(["#endif"] if sums else []))
        if pairs.most and scaling(part, op) != "{}":
            with steps_of(w):
                finish_sums(part, pairs, replace(y, name=f"{values}[t]"), scaling(part, op))


def _strips(layer: Layer, pairs: PairRows, row: str, spikes: tuple[str, str], counts: str) -> None:
    """Columns of every step: whole ones, or where lists are long, a strip of them for all steps."""
    w, strips = layer.code, pairs.words > _STRIP and pairs.words % _STRIP == 0
    if strips:
        with (
            w.block(f"if (snn_is_long({counts}, steps))"),
            w.block(f"for (size_t j = 0u; j < {pairs.words}u; j += {_STRIP}u)"),
            steps_of(w),
        ):
            w(_sums(layer, pairs, row, spikes, "j"))
    with w.block("else") if strips else nullcontext(), steps_of(w):
        w(_sums(layer, pairs, row, spikes))


def _in_parts(layer: Layer, pairs: PairRows, y: Buffer, block: tuple[str, str, str]) -> None:
    """Where there are many spikes: tiles of some rows; of every list, the numbers of these rows."""
    (ids, counts, values), w, fan_in = block, layer.code, layer.node.op.params["weight"].shape[1]
    parts, rows, starts = parts_of(pairs, fan_in), rows_of(pairs), layer.id("starts")
    w("uint32_t spikes = 0u;")
    with steps_of(w):
        w(f"spikes += {counts}[t];")
    head = w.block(f"if (spikes / steps >= {fan_in // _MANY}u)")
    with head:
        with steps_of(w):
            w("uint32_t n = 0u;")
            with w.block(f"for (uint32_t k = 0u; k < {parts}u; k++)"):
                w(f"{starts}[t][k] = n;")
                w(f"while (n < {counts}[t] && {ids}[t][n] < (k + 1u) * {rows}u) {{ n++; }}")
            w(f"{starts}[t][{parts}] = n;")
        each = w.block(f"for (uint32_t k = 0u; k < {parts}u; k++)")
        with _tiles(layer, pairs), each, steps_of(w):
            w(f"const uint32_t from = {starts}[t][k];")
            w(f"const uint32_t count = {starts}[t][k + 1u] - from;")
            send_row(layer, pairs, y, f"{values}[t]", (f"{ids}[t] + from", "count"))


def parts_of(pairs: PairRows, fan_in: int) -> int:
    """Parts of the columns in which a block takes those of a tile, or 0 without tiles."""
    return -(-fan_in // rows_of(pairs)) if pairs.tile else 0


def _product(layer: Layer, pairs: PairRows, y: Buffer, block: tuple[str, str, str]) -> None:
    """Where there are many spikes: one product instead of columns (``snn_multiply``)."""
    (ids, counts, values), w, fan_in = block, layer.code, layer.node.op.params["weight"].shape[1]
    words, low = pairs.words, f"{values}[0]"
    w("#ifdef SNN_MULTIPLY")
    with w.block(f"if (snn_is_dense({counts}, steps, {fan_in}u))"):
        w(f"snn_spread({ids}[0], {counts}, steps, {fan_in}u, snn_spikes);")
        w(f"snn_multiply({layer.id('w')}, {words}u, {words}u, {fan_in}u, snn_spikes,")
        w(f"             SNN_SPREAD({fan_in}u), {counts}, steps, {pairs.offset}u,")
        w(f"             {low}, {low} + {words}u, {y.size}u, snn_turned);")
        w("return;")
    w("#endif")


def steps_of(w: CWriter) -> AbstractContextManager[None]:
    """A loop over the steps of a block."""
    return w.block("for (uint32_t t = 0u; t < steps; t++)")


def _tiles(layer: Layer, pairs: PairRows) -> AbstractContextManager[None]:
    """A loop over the tiles of the columns, if there are any: ``tile`` is the first word."""
    if not pairs.tile:
        return nullcontext()
    head = f"for (uint32_t tile = 0u; tile < {pairs.words}u; tile += {pairs.tile}u)"
    return layer.code.block(head)


def _emit_rows(layer: Layer, pairs: PairRows, x: Buffer, y: Buffer) -> None:
    """The same for several inputs, one after the other; each list is filled up to a whole pass."""
    op = layer.node.op
    assert isinstance(op, IntLinear), "dispatched by type"
    out, fan_in = op.weight.shape
    index = index_type(fan_in + 1)
    add_functions(layer, pairs, y, op.weight.data, (1, index))
    scaled = scaling(layer, op)
    ids = layer.id("ids")
    layer.array(ids, index, fan_in * pairs.repeats + SLACK, "one row")
    w = layer.code
    with w.block(f"static void {layer.tick}(void)"):
        start_rows(layer, pairs, y)
        by_bits = fan_in % SET == 0 and pairs.bits == 1 and index == "uint16_t"
        sets = layer.id("sets") if by_bits else ""
        if sets:
            layer.data("#ifdef SNN_SETS", f"SNN_STATE uint8_t {sets}[{x.size // 8}];", "#endif")
            w("#ifdef SNN_SETS", f"snn_sets({x.name}, {x.size}u, {sets});", "#endif")
        with w.loop("r", y.size // out):
            if sets:
                row = f"{sets} + r * {fan_in // 8}u"
                w("#ifdef SNN_SETS")
                w(f"{index} *end = snn_members_16({row}, {fan_in}u, {ids});", "#else")
            w(f"const uint8_t *x = {x.name} + r * {fan_in}u;")
            w(f"{index} *end = {appended(index, 'x', fan_in, pairs.bits, '0u', ids)};")
            w(*(["#endif"] if sets else []))
            fill_up(layer, ids, fan_in)
            send_sums(layer, pairs, y, f"{y.name} + r * {out}u", (ids, "count"))
        finish_sums(layer, pairs, y, scaled)


def start_rows(layer: Layer, pairs: PairRows, y: Buffer) -> None:
    """Clear a value to which the sums of parts of a row are added."""
    if pairs.most:
        layer.code(f"memset({y.name}, 0, sizeof {y.name});")


def send_row(layer: Layer, pairs: PairRows, y: Buffer, row: str, spikes: tuple[str, str]) -> None:
    """Add the columns of a list of spikes and read the sums, all of them or those of a tile."""
    (ids, count), w = spikes, layer.code
    part, tile = ("tile, ", ", tile") if pairs.tile else ("", "")
    if not pairs.most:
        w(f"{layer.id('add')}({ids}, {count});", f"{layer.id('read')}({row}, {count});")
        return
    with w.block(f"for (uint32_t n = 0u; n < {count}; n += {pairs.most}u)"):
        w(f"const uint32_t rest = {count} - n;")
        w(f"const uint32_t some = (rest < {pairs.most}u) ? rest : {pairs.most}u;")
        w(f"{layer.id('add')}({part}{ids} + n, some);")
        w(f"{layer.id('read')}({row}, some{tile});")


def finish_sums(layer: Layer, pairs: PairRows, y: Buffer, scaled: str) -> None:
    """Shift and bias, if the sums were read in parts."""
    if pairs.most and scaled != "{}":
        out = layer.node.op.params["weight"].shape[0]
        with layer.code.loop("r", y.size // out), layer.code.loop("j", out):
            at = f"r * {out}u + j"
            value = scaled.format(f"{y.name}[{at}]", at="j")
            layer.code(store(y, at, value, "int32_t"))


def add_columns(
    layer: Layer, pairs: PairRows, weight: npt.NDArray[np.int64], spare: int, index: str
) -> None:
    """Write the table of a weight (out, in), its sums, and what adds columns to them."""
    size = pairs.tile or pairs.words
    note = f"{layer.node.name}: weights j and, times 256, j + {pairs.words}; both + {pairs.offset}"
    packed = pairs.pack(weight, spare)
    if pairs.fold > 1:
        note += f"; {pairs.fold} words in one"
        packed = folded(packed, pairs.fold)
    origin = names.comment(note)
    if join_sums.is_first(layer):
        packed = join_sums.with_own(layer, packed)
    table = Table(join_sums.columns_of(layer), "uint16_t", packed, origin)
    if not join_sums.is_own(layer):
        table = layer.tables.add(table.name, packed, origin, table.ctype, aligned=True)
    for sums in ("lo", "hi"):
        layer.array(layer.id(sums), "uint16_t", size, "sums modulo 65536")
    vectors = index == "uint16_t" and pairs.fold == 1
    if vectors:
        _add_by_vectors(layer, table, pairs)
    if not spare:
        _pass(layer, pairs, "event", "uint32_t id", ["id"])
    passes = tuple(rows for rows in (*PASSES, 2) if rows <= weight.shape[1])
    if spare:
        passes = PASSES
    starts = [("start", rows) for rows in passes if rows == PASSES[0]]
    for part, rows in [*starts, *(("event", rows) for rows in passes)]:
        ids = [f"ids[{k}]" for k in range(rows)]
        _pass(layer, pairs, f"{part}{rows}", f"const {index} *ids", ids)
    _add(layer, table, pairs, (index, passes, spare == 0))
    if join_sums.is_own(layer):
        join_sums.emit_more(layer, index, [*passes, 1])
    if vectors:
        layer.code("#endif")


def spike_list(layer: Layer, x: Buffer) -> tuple[str, str]:
    """Spike list and count of the operand; a value out of a queue gets a list of its own."""
    if x.ids:
        return x.ids, f"{x.ids}_n"
    ids = layer.id("ids")
    layer.array(ids, index_type(x.size), x.size, "spikes of the operand")
    return ids, "count"


def _lister(index: str) -> str:
    return "snn_list_16" if index == "uint16_t" else "snn_list_32"


def _add_by_vectors(layer: Layer, table: Table, pairs: PairRows) -> None:
    """``add`` by one of the files of ``snn_simd.h``; opens the alternative to it."""
    w, sums = layer.code, f"{layer.id('lo')}, {layer.id('hi')}"
    parameter = "size_t tile, " if pairs.tile else ""
    first = f"{table.name} + tile" if pairs.tile else table.name
    columns = f"{first}, {pairs.words}u, {pairs.tile or pairs.words}u"
    w("#ifdef SNN_COLUMNS")
    head = f"SNN_ROWS void {layer.id('add')}({parameter}const uint16_t *ids, uint32_t count)"
    with w.block(head):
        w(f"snn_columns({columns}, ids, count, {sums});")
    w("#else")


def _pass(layer: Layer, pairs: PairRows, part: str, which: str, ids: list[str]) -> None:
    """A function that adds the columns ``ids`` to the sums, or if it is a ``start``, begins them.

    gcc must not know the table, which is why it comes as an argument (``SNN_PASS``).
    """
    w, size = layer.code, pairs.words // pairs.fold
    sums = "uint16_t *SNN_APART lo, uint16_t *SNN_APART hi, const uint16_t *w"
    with w.block(f"SNN_PASS void {layer.id(part)}({sums}, {which})"):
        for k, column in enumerate(ids):
            w(f"const uint16_t *SNN_APART w{k} = w + (size_t){column} * {size}u;")
        w("SNN_EACH")
        with w.loop("j", pairs.tile or size):
            w(*(f"const uint16_t v{k} = w{k}[j];" for k in range(len(ids))))
            words = [f"v{k}" for k in range(len(ids))]
            w(*added(pairs, size, words, part.startswith("start")))


def _add(
    layer: Layer, table: Table, pairs: PairRows, how: tuple[str, tuple[int, ...], bool]
) -> None:
    """``add`` any number of columns.

    ``how``: the type of a column's number, the passes that a list can fill (a compiler warns of
    reading behind shorter ones), and whether there is one of a single column.
    """
    index, passes, single = how
    w, lo, hi = layer.code, layer.id("lo"), layer.id("hi")
    clear = f"memset({lo}, 0, sizeof {lo});", f"memset({hi}, 0, sizeof {hi});"
    parameter, first = ("size_t tile, ", " + tile") if pairs.tile else ("", "")
    send = f"({lo}, {hi}, {table.name}{first}, "
    head = f"static void {layer.id('add')}({parameter}const {index} *ids, uint32_t count)"
    with w.block(head):
        w("uint32_t n = 0u;")
        if PASSES[0] in passes:
            with w.block(f"if (count >= {PASSES[0]}u)"):
                w(f"{layer.id(f'start{PASSES[0]}')}{send}ids);")
                w(f"n = {PASSES[0]}u;")
            with w.block("else"):
                w(*clear)
        else:
            w(*clear)
        for rows in passes:
            with w.block(f"for (; count - n >= {rows}u; n += {rows}u)"):
                w(f"{layer.id(f'event{rows}')}{send}ids + n);")
        if single:
            with w.block("for (; n < count; n++)"):
                w(f"{layer.id('event')}{send}ids[n]);")
