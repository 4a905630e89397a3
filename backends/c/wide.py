"""Columns of 16-bit weights, added where the value of a layer lies.

Pairs of weights (``packing``) take half the memory and three operations for two vectors of sums,
which must then be taken apart.  Few outputs are not worth that: a column is one or two vectors, its
table stays in the innermost cache at either width, and sums that are the value itself need no
second look.  The sums of any of the spikes lie in 16 bits, so that no partial sum wraps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snnc.backends.c import names
from snnc.backends.c.buffers import Buffer
from snnc.backends.c.layer import Layer
from snnc.backends.c.packing import PairRows
from snnc.backends.c.sums import raw_bounds
from snnc.backends.c.tables import Table
from snnc.backends.c.words import Bounds
from snnc.intops import IntConv

#: Most outputs of such a layer.
OUTPUTS = 32
#: Most bytes of its table: half of the innermost cache.
TABLE = 1 << 14
#: Columns that are added in one pass.  Lists are filled up to whole passes: how many there are is
#: easier to predict than how many spikes there are, which costs more than some columns of zeros.
ROWS = 8


def is_wide(pairs: PairRows, weight: npt.NDArray[np.int64], y: Buffer, scaled: str) -> bool:
    """Whether a layer has few weights (out, in), and its sums of 16 bits are its value."""
    out, fan_in = weight.shape
    few = out <= OUTPUTS and 2 * out * (fan_in + 1) <= TABLE
    return bool(few and not pairs.most and y.ctype == "int16_t" and scaled == "{}")


def fill_wide(layer: Layer, ids: str, spare: int) -> None:
    """Append the column of zeros to a list that stops at ``end``; declares its ``count``."""
    w = layer.code
    w(*(f"end[{k}] = {spare}u;" for k in range(ROWS - 1)))
    w(f"const uint32_t count = ((uint32_t)(end - {ids}) + {ROWS - 1}u) / {ROWS}u * {ROWS}u;")


def add_wide(layer: Layer, weight: npt.NDArray[np.int64], index: str) -> None:
    """Write the table of a weight (out, in), a column of zeros behind it, and ``add``."""
    out, fan_in = weight.shape
    columns = np.zeros((fan_in + 1, out), np.int64)
    columns[:fan_in] = weight.T
    origin = names.comment(f"{layer.node.name}: weight, (in, out)")
    table = layer.tables.add(layer.id("w"), columns, origin, "int16_t", aligned=True)
    op = layer.node.op
    assert isinstance(op, IntConv), "dispatched by type"
    bounds = raw_bounds(op, layer.plan.operands(layer.node)[0].bounds)
    w, types = layer.code, f"int16_t *restrict y, const {index} *ids"
    if index == "uint16_t":
        w("#ifdef SNN_WIDE")
        with w.block(f"SNN_ROWS void {layer.id('add')}({types}, uint32_t count)"):
            w(f"snn_wide({table.name}, {out}u, ids, count, y);")
        w("#else")
    _events(layer, table, out, types, bounds, "start")
    _events(layer, table, out, types, bounds, "event")
    with w.block(f"static void {layer.id('add')}({types}, uint32_t count)"):
        with w.block("if (count == 0u)"):
            w(f"memset(y, 0, {2 * out}u);", "return;")
        w(f"{layer.id('start')}(y, ids);")
        with w.block(f"for (uint32_t n = {ROWS}u; n < count; n += {ROWS}u)"):
            w(f"{layer.id('event')}(y, ids + n);")
    if index == "uint16_t":
        w("#endif")


def _events(layer: Layer, table: Table, out: int, types: str, bounds: Bounds, part: str) -> None:
    """``event`` adds columns to the sums, ``start`` makes sums of them."""
    w = layer.code
    with w.block(f"SNN_ROWS void {layer.id(part)}({types})"):
        for k in range(ROWS):
            w(f"const int16_t *restrict w{k} = {table.name} + (size_t)ids[{k}] * {out}u;")
        with w.loop("j", out):
            terms = ["y[j]"] if part == "event" else []
            w(f"const int32_t sum = {' + '.join([*terms, *(f'w{k}[j]' for k in range(ROWS))])};")
            # of any distinct spikes, as in ``pairs``
            w(f"/*@ admit certified: {bounds[0]} <= sum <= {bounds[1]}; */")
            w("y[j] = (int16_t)sum;")
