"""Turn a real network into one of Loihi's integers, before it is compiled as it is.

Each layer of weights and its neurons get one scale: weights become even integers of at most 8 bits
and a sign, decays fractions of 4096, thresholds multiples of 64 and biases a mantissa of 12 bits
with an exponent; the kernel then states the chip's arithmetic.  What Loihi does not have (a reset
by subtraction, a current that reads a bias, a threshold that adapts) is an error with the nearest
thing that it has.  Parameters: Davies et al., IEEE Micro 38(1), 2018; lava-nc 0.10.0 ``proc/lif``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from snnc import ops
from snnc.diagnostics import CompileError, Diagnostic, error, fail
from snnc.exact import ONE, Expr, floats, leaf, nearest, signs
from snnc.graph import Graph, Node
from snnc.kernel import Const, Kernel, Line, State
from snnc.params import Param
from snnc.passes.base import Context, Pass
from snnc.passes.loihi_neurons import LoihiNeuron, NotLoihiError, recognise
from snnc.passes.loihi_units import count, peak_of, scaled, unit_of
from snnc.passes.loihi_weights import Feed, feeds
from snnc.passes.lower_exact import NotWholeError, lower_exact
from snnc.passes.merge_delays import MergeDelays
from snnc.passes.row_scale import quantized, row_scales
from snnc.passes.weight_rows import (
    Weighted,
    is_encoder,
    row_shape,
    rows_first,
    shape_of,
    with_weight,
)
from snnc.types import SPIKE

Floats = npt.NDArray[np.float64]

#: A decay of 4096 forgets everything; voltages saturate at TOP, currents wrap above TOP + 1.
FULL, TOP = 4096, (1 << 23) - 1
#: Largest mantissa of a threshold, and the one from which on it is fine enough.
LARGEST_THRESHOLD, FINE_THRESHOLD = (1 << 17) - 1, 256
LARGEST_BIAS = (1 << 12) - 1
LEAST_EXPONENT, LARGEST_EXPONENT = -6, 7
#: Weights are even, so that half of one is whole.
STOCK_EXPONENT = -1


@dataclass(frozen=True)
class FitLoihi(Pass):
    """Replace real weights and neurons by those of the chip.

    Attributes:
        bits: Of a weight, 2 to 8.
        input_bits: Of an input that is not on a grid of its own.
        stock: Whether lava-nc's processes shall compute it: these have a grid of 64 for currents.
    """

    name: ClassVar[str] = "fit-loihi"
    bits: int = 8
    input_bits: int = 8
    stock: bool = False

    def run(self, graph: Graph, ctx: Context) -> Graph:
        if all(_is_whole(n.op.kernel) for n in graph if isinstance(n.op, ops.Neuron)):
            return graph  # such as a network of lava-dl
        if self.bits > 8:
            raise fail("E320", f"--bits is {self.bits}, Loihi's weights have at most 8")
        graph = MergeDelays().run(graph, ctx)
        problems: list[Diagnostic] = []
        done: set[str] = set()
        for node in list(graph):
            if isinstance(node.op, ops.Neuron):
                try:
                    done |= _Fit(graph, self, node).fit()
                except NotLoihiError as e:
                    if node.type.dtype == SPIKE and is_encoder(graph, node.name):
                        continue  # for the host
                    text = f"Loihi has no neuron like {node.name}: {e}"
                    notes = node.op.kernel.text
                    hint = f"nearest: {e.nearest}"
                    problems.append(error("E328", text, node.loc, *notes, help=hint))
        if problems:
            raise CompileError(problems)
        for node in list(graph):
            if isinstance(node.op, Weighted) and node.name not in done:
                try:
                    unit = unit_of(graph, graph.in_edges(node.name)[0].src, self.input_bits)
                except NotLoihiError as e:
                    text = f"Loihi has no layer like {node.name}: {e}"
                    raise fail("E328", text, node.loc, help=f"nearest: {e.nearest}") from e
                _readout(graph, node, self.bits, unit)
        count(graph, self.input_bits)
        return graph


def _is_whole(kernel: Kernel) -> bool:
    """Whether a kernel states integer arithmetic already."""
    try:
        lower_exact(kernel, [ONE] * len(kernel.inputs))
    except NotWholeError:
        return False
    return any(line.fn in ("trunc", "wrap", "floor") for line in kernel.body)


class _Fit:
    """One population and the weights that feed it."""

    def __init__(self, graph: Graph, options: FitLoihi, node: Node) -> None:
        self.graph, self.node = graph, node
        self.bits, self.input_bits = options.bits, options.input_bits
        self.least = STOCK_EXPONENT if options.stock else LEAST_EXPONENT
        assert isinstance(node.op, ops.Neuron), "neurons only"
        self.kernel, self.shape = node.op.kernel, node.op.shape
        self.neuron: LoihiNeuron = recognise(node.op.kernel)

    def fit(self) -> set[str]:
        """Replace the neuron and its weights; returns the names of these."""
        found = feeds(self.graph, self.node)
        feeding = [self.graph[f.layer] for f in found]
        gains = [self._rows(self.neuron.gains.get(f.input, leaf(0.0)), f) for f in found]
        units = [unit_of(self.graph, self._reads(w), self.input_bits) for w in feeding]
        parts = zip(feeding, gains, units, strict=True)
        rows = [_rows(w.op) * g[:, None] * unit for w, g, unit in parts]
        together = np.concatenate([r.reshape(-1) for r in rows]).reshape(1, -1)
        code = float(row_scales(together, self.bits).floats[0]) / 2  # codes are even
        theta = self.neuron.threshold
        if theta is not None:
            code = max(code, float(floats(theta).max()) / LARGEST_THRESHOLD)
        peaks = [peak_of(self.graph, self._reads(w), self.input_bits) for w in feeding]
        worst = sum(np.abs(r).sum(1).max(initial=0) * p for r, p in zip(rows, peaks, strict=True))
        room = self._room(float(worst) / code)
        code *= 2.0 ** max(0, self.least - room)
        unit = leaf(code)  # real value of a weight of 1
        exponent = self._exponent(unit, max(room, self.least))
        bias = self._bias(found, gains)
        for node, r in zip(feeding, rows, strict=True):
            codes = 2.0 * quantized(r, np.full(len(r), 2 * code), self.bits)
            self.graph.replace(replace(node, op=_recoded(node.op, codes, None)))
        kernel = self._written(unit, exponent, bias)
        op = ops.Neuron(kernel, self.shape)
        self.graph.replace(replace(self.graph[self.node.name], op=op))
        if theta is None:  # a readout shows its voltage, in units of the chip
            step = code / 2 ** (6 + exponent)
            scaled(self.graph, self.node.name, step)
        return {node.name for node in feeding}

    def _reads(self, node: Node) -> str:
        (edge,) = self.graph.in_edges(node.name)
        return edge.src

    def _rows(self, gain: Expr, feed: Feed) -> Floats:
        """The gain of every row of weights."""
        op = self.graph[feed.layer].op
        rows = len(_rows(op))
        value = floats(gain)
        if value.size == 1:
            return np.full(rows, float(value.reshape(())))
        full = np.broadcast_to(value, self.shape)
        if feed.moved:
            why = "a gain changes within a layer whose values are rearranged"
            raise NotLoihiError(why, "one gain for all")
        if isinstance(op, ops.Linear | ops.DelayLinear) and len(self.shape) == 1:
            return np.asarray(full)
        flat = full[..., :1] if isinstance(op, ops.Linear) else full.reshape(rows, -1)
        if flat.shape[0] != rows or not (flat == flat[:, :1]).all():
            raise NotLoihiError("a gain changes within a channel", "one gain for each channel")
        return np.asarray(flat[:, 0])

    def _room(self, worst: float) -> int:
        """The largest exponent with which no current wraps, if inputs sum up to ``worst``."""
        keep = 0.0 if self.neuron.current is None else float(floats(self.neuron.current).max())
        if worst == 0 or keep >= 1:
            return LARGEST_EXPONENT
        return int(np.floor(np.log2(TOP * (1 - keep) / worst))) - 6

    def _exponent(self, unit: Expr, room: int) -> int:
        """By how many bits weights are shifted beyond 6, so that thresholds are fine enough."""
        if self.neuron.threshold is None:
            return min(0, room)
        mantissa = float(floats(self.neuron.threshold / unit).min())
        exponent = min(0, room)
        while mantissa * 2**exponent < FINE_THRESHOLD and exponent < min(room, LARGEST_EXPONENT):
            exponent += 1
        return exponent

    def _bias(self, found: list[Feed], gains: list[Floats]) -> Expr:
        """What is added to the voltage at every step."""
        bias = self.neuron.bias
        for feed, gain in zip(found, gains, strict=True):
            op = self.graph[feed.layer].op
            assert isinstance(op, Weighted), "weights only"
            if op.bias is None or not op.bias.data.any():
                continue
            if self.neuron.current is not None:
                raise NotLoihiError("a bias enters its current", "a layer without bias")
            own = op.bias.data.astype(np.float64) * gain
            if feed.moved and (own != own[0]).any():
                why = "a layer with biases is rearranged before it"
                raise NotLoihiError(why, "a layer without bias, or as the neurons are arranged")
            bias = bias + leaf(own[:1] if feed.moved else own.reshape(row_shape(op)))
        return bias

    def _decay(self, keep: Expr, what: str) -> Floats:
        """The decay of 4096 that keeps this share."""
        if (signs(keep) < 0).any() or (signs(keep - ONE) > 0).any():
            raise NotLoihiError(f"its {what} keeps more than all or less than nothing", "0 to 1")
        found = FULL - nearest(keep * leaf(float(FULL)))
        if ((found == 0) & (signs(keep - ONE) < 0)).any():
            why = f"its {what} leaks less than 1/8192 of itself in a step"
            raise NotLoihiError(why, "no leak at all, or a time constant below 8192 steps")
        return found.astype(np.float64)

    def _written(self, unit: Expr, exponent: int, bias: Expr) -> Kernel:
        """The kernel in the chip's integers."""
        step = unit / leaf(2.0 ** (6 + exponent))  # real value of a voltage of 1
        w = _Lines()
        a = self.kernel.inputs[0]
        for i, more in enumerate(self.kernel.inputs[1:]):
            a = w.do(f"sum{i}", "add", a, more)
        u = w.do("a", "mul", w.const("unit", 2.0 ** (6 + exponent)), a)
        alpha = self.neuron.current
        if alpha is not None:
            u = w.do("u0", "add", w.decayed("u", self._decay(alpha, "current")), u)
        u = w.do("u1", "wrap", u, w.const("half", TOP + 1))
        if alpha is not None:
            w.states.append(State("u", u, Param(np.zeros(()))))
        v0 = w.do("v0", "add", w.decayed("v", self._decay(self.neuron.voltage, "voltage")), u)
        if signs(bias).any():
            v0 = w.do("biased", "add", v0, w.const("bias", _mantissa(bias, step)))
        low = w.do("low", "maximum", v0, w.const("bottom", -TOP))
        v = w.do("v1", "minimum", low, w.const("top", TOP))
        theta = self.neuron.threshold
        if theta is None:
            w.states.append(State("v", v, Param(np.zeros(()))))
            return w.kernel(self.kernel.inputs, v)
        limit = w.const("theta", self._threshold(theta, step, exponent, bias))
        own = self.kernel.outputs[0]  # the same word as in the float model
        taken = {*w.consts, *self.kernel.inputs, "u", "v", "v2", "zero", *(x.name for x in w.body)}
        s = w.do("s" if own in taken else own, "gt", v, limit)
        after = w.do("v2", "where", s, w.const("zero", 0.0), v)
        w.states.append(State("v", after, Param(np.zeros(()))))
        return w.kernel(self.kernel.inputs, s)

    def _threshold(self, theta: Expr, step: Expr, exponent: int, bias: Expr) -> Floats:
        """A multiple of 64, above which the neuron fires.

        An integrator without leak and bias moves in steps of 64, so that firing at the threshold
        is firing above the one 64 below.
        """
        if (signs(theta) <= 0).any():
            raise NotLoihiError("its threshold is not positive", "a threshold above 0")
        ratio = theta / step / leaf(64.0)
        mantissa = nearest(ratio)
        if int(mantissa.max()) > LARGEST_THRESHOLD or int(mantissa.min()) < 1:
            why = "its threshold does not fit 17 bits next to its weights"
            raise NotLoihiError(why, "thresholds and weights of similar size")
        whole = self.neuron.current is None and self.neuron.voltage == ONE and exponent >= 0
        if whole and not self.neuron.strict and not signs(bias).any():
            on_grid = signs(ratio - leaf(mantissa.astype(np.float64))) == 0
            mantissa = np.where(on_grid, mantissa - 1, mantissa)
        return (64 * mantissa).astype(np.float64)


def _mantissa(bias: Expr, step: Expr) -> Floats:
    """A bias of 12 bits and a sign, shifted by at most 7."""
    for exponent in range(LARGEST_EXPONENT + 1):
        found = nearest(bias / step / leaf(2.0**exponent))
        if int(np.abs(found).max()) <= LARGEST_BIAS:
            return (found << exponent).astype(np.float64)
    raise NotLoihiError("a bias is larger than 12 bits, shifted by 7, hold", "a smaller bias")


class _Lines:
    def __init__(self) -> None:
        self.body: list[Line] = []
        self.consts: dict[str, Const] = {}
        self.states: list[State] = []

    def const(self, name: str, value: object) -> str:
        self.consts[name] = Const(name, Param(np.asarray(value, np.float64)))
        return name

    def do(self, name: str, fn: str, *args: str) -> str:
        self.body.append(Line(name, fn, args))
        return name

    def decayed(self, state: str, decay: Floats) -> str:
        """``trunc((4096 - decay) * state / 4096)``."""
        product = self.do(f"m_{state}", "mul", self.const(f"keep_{state}", FULL - decay), state)
        share = self.do(f"q_{state}", "div", product, self.const("one", FULL))
        return self.do(f"d_{state}", "trunc", share)

    def kernel(self, inputs: tuple[str, ...], output: str) -> Kernel:
        consts = tuple(self.consts.values())
        return Kernel(inputs, tuple(self.states), consts, tuple(self.body), (output,))


def _rows(op: ops.Op) -> Floats:
    assert isinstance(op, Weighted), "weights only"
    return rows_first(op).reshape(len(rows_first(op)), -1)


def _recoded(op: ops.Op, codes: npt.NDArray[Any], bias: Param | None) -> ops.Op:
    """The layer with other weights, (rows, …)."""
    assert isinstance(op, Weighted), "weights only"
    return with_weight(op, codes.reshape(shape_of(op)).astype(np.float32), bias)


def _readout(graph: Graph, node: Node, bits: int, unit: float) -> None:
    """Weights that feed no neuron: even integers, and their scale behind them."""
    op = node.op
    assert isinstance(op, Weighted), "weights only"
    rows = _rows(op) * unit
    code = float(row_scales(rows.reshape(1, -1), bits).floats[0]) / 2
    codes = 2.0 * quantized(rows, np.full(len(rows), 2 * code), bits)
    bias = (
        None if op.bias is None else Param(nearest(leaf(op.bias.data) / leaf(code)).astype(float))
    )
    graph.replace(replace(node, op=_recoded(op, codes, bias)))
    scaled(graph, node.name, code)
