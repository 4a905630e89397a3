"""Gated recurrent cells as linear layers and elementwise functions: LSTM, GRU and plain RNN.

A cell's weights hold the rows of its gates one after the other.  Each gate becomes a linear layer
of its own, from its rows alone, so that the gates are populations like any others and no value is
ever cut into pieces.  The equations are those of ``torch.nn.LSTMCell``, ``GRUCell``, ``RNNCell``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from snnc.frontends.dag import Form
from snnc.frontends.layout import Axes, inner
from snnc.frontends.parameter_calls import Operand
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.traced import Call, Refusal, Traced


@dataclass(frozen=True, slots=True)
class _Gates:
    """The gates of one cell: linear layers of the input and of the hidden state."""

    s: Scalarizer
    call: Call
    hidden: Traced
    size: int

    def of_input(self, gate: int) -> Traced:
        """``W_ih x + b_ih``, the rows of one gate."""
        x = self.s.operand(self.call.args[0])
        return self._linear(x, self.call.args[2], self.call.arg(4, "b_ih"), gate)

    def of_hidden(self, gate: int) -> Traced:
        """``W_hh h + b_hh``, the rows of one gate."""
        return self._linear(self.hidden, self.call.args[3], self.call.arg(5, "b_hh"), gate)

    def sum(self, gate: int) -> Traced:
        """What drives a gate."""
        return apply(self.s, "add", self.of_input(gate), self.of_hidden(gate))

    def _linear(self, x: Traced, weight: Traced, bias: Traced | None, gate: int) -> Traced:
        s, value = self.s, self.s.solid(x)
        parameters = [self._rows(p, gate) for p in (weight, bias) if p is not None]
        axes: Axes = (*value.axes[:-1], (self.size,))
        return s.per_step(
            axes,
            x.dtype,
            lambda t: s.dag.make(Form("linear"), (value.at(t), *parameters), inner(axes)),
        )

    def _rows(self, parameter: Traced, gate: int) -> int:
        s = self.s
        value = s.solid(s.operand(parameter))
        if not s.constant(value):
            raise Refusal("E210", "the weights of a layer depend on its inputs")
        rows = (Operand(0), 0, gate * self.size, (gate + 1) * self.size)
        shape = (self.size, *s.dag.shape(value.terms[0])[1:])
        return s.dag.make(Form("aten", ("aten.slice.Tensor", rows, ())), value.terms, shape)


def _gates(s: Scalarizer, call: Call, hidden: Any, count: int) -> _Gates:
    rows, _ = s.extents.shape(s.operand(call.args[3]).axes)
    return _Gates(s, call, s.operand(hidden), rows // count)


def _lstm(s: Scalarizer, call: Call) -> list[Traced]:
    """``c' = f*c + i*g``, ``h' = o*tanh(c')``; rows in the order i, f, g, o."""
    hidden, cell = call.args[1]
    gates = _gates(s, call, hidden, 4)
    i, f, o = (apply(s, "sigmoid", gates.sum(k)) for k in (0, 1, 3))
    g = apply(s, "tanh", gates.sum(2))
    kept = apply(s, "mul", f, cell)
    new = apply(s, "add", kept, apply(s, "mul", i, g))
    return [apply(s, "mul", o, apply(s, "tanh", new)), new]


def _gru(s: Scalarizer, call: Call) -> Traced:
    """``n = tanh(W_in x + r*(W_hn h))``, ``h' = (h - n)*z + n``; rows in the order r, z, n."""
    hidden = call.args[1]
    gates = _gates(s, call, hidden, 3)
    r, z = (apply(s, "sigmoid", gates.sum(k)) for k in (0, 1))
    recurrent = apply(s, "mul", r, gates.of_hidden(2))
    n = apply(s, "tanh", apply(s, "add", gates.of_input(2), recurrent))
    return apply(s, "add", apply(s, "mul", apply(s, "sub", hidden, n), z), n)


def _plain(s: Scalarizer, call: Call) -> Traced:
    fn = "relu" if "relu" in call.name else "tanh"
    return apply(s, fn, _gates(s, call, call.args[1], 1).sum(0))


CELL_RULES: dict[str, Rule] = {
    "lstm_cell": _lstm,
    "gru_cell": _gru,
    **dict.fromkeys(("rnn_tanh_cell", "rnn_relu_cell"), _plain),
}
