"""Operators along the time axis: running sums, reversal, matrices over the steps, whole RNNs.

A running sum and a plain RNN are loops with a state.  A matrix that has the same band in every
row, ending at the diagonal, is a filter over the last few steps (the sliding parallel spiking
neuron).  Any other matrix, and time reversal, need the whole sequence: see ``sequences``.
"""

from __future__ import annotations

from typing import Any

import torch

from snnc.frontends.attention_rules import ATTENTION_RULES
from snnc.frontends.dag import CONSTANT, Form
from snnc.frontends.einsum import einsum
from snnc.frontends.fold import Folder
from snnc.frontends.layer_rules import LAYER_RULES
from snnc.frontends.layout import TIME, Axes, inner
from snnc.frontends.pointwise_rules import apply
from snnc.frontends.pool_rules import POOL_RULES
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.select_rules import SELECT_RULES, selected
from snnc.frontends.sequences import elements, table_key
from snnc.frontends.shape_rules import reshaped
from snnc.frontends.time_rules import reduced
from snnc.frontends.traced import AfterZeros, Call, Refusal, Traced


def _time_axis(x: Any) -> int | None:
    """The axis of a tensor that is time and nothing else."""
    if not isinstance(x, Traced):
        return None
    return next((d for d, axis in enumerate(x.axes) if axis == (TIME,)), None)


def _cumsum(s: Scalarizer, call: Call) -> Any:
    x, dim = s.solid(s.operand(call.args[0])), call.arg(1, "dim")
    if _time_axis(x) != dim % len(x.axes):
        return ATTENTION_RULES["cumsum"](s, call)
    total, terms = s.dag.fill(0.0, inner(x.axes)), []
    for term in x.terms:
        total = s.dag.pointwise("add", total, term)
        terms.append(total)
    return Traced(x.axes, tuple(terms), call.dtype)


def _flip(s: Scalarizer, call: Call) -> Any:
    x, dims = s.solid(s.operand(call.args[0])), call.arg(1, "dims")
    if [d % len(x.axes) for d in dims] != [_time_axis(x)]:
        return SELECT_RULES["flip"](s, call)
    return Traced(x.axes, elements(s.dag, Form("time_flip"), x.terms), x.dtype)


def _matrix(s: Scalarizer, x: Any) -> torch.Tensor | None:
    """The values of a constant (T, T) matrix; None if it is something else."""
    steps = s.extents.steps
    if not isinstance(x, Traced) or not s.constant(x) or s.extents.shape(x.axes) != (steps, steps):
        return None
    return torch.as_tensor(Folder(s.dag).fold(s.solid(x).terms[0])).detach()


def _mixed(s: Scalarizer, x: Traced, weight: Traced, bias: Any) -> Traced | None:
    """``y[t] = sum_s weight[t, s] x[s] + bias[t]``; None if ``weight`` is no constant (T, T)."""
    matrix, steps = _matrix(s, weight), s.extents.steps
    if matrix is None:
        return None
    x = s.solid(x)
    offset = _offset(s, bias)
    taps = _taps(matrix)
    if taps is not None and (offset is None or len(set(offset.tolist())) == 1):
        terms = _filtered(s, x, taps)
        if offset is not None:
            number = s.dag.literal(float(offset[0]))
            terms = tuple(s.dag.pointwise("add", t, number) for t in terms)
        return Traced(x.axes, terms, x.dtype)
    keys = [table_key(s.dag, weight.terms[0], matrix, steps), ""]
    if offset is not None:
        keys[1] = table_key(s.dag, bias.terms[0], offset, steps)
    return Traced(x.axes, elements(s.dag, Form("time_mix", tuple(keys)), x.terms), x.dtype)


def _offset(s: Scalarizer, bias: Any) -> torch.Tensor | None:
    """One number per step, or None without a bias."""
    if bias is None:
        return None
    if not s.constant(bias):
        raise Refusal("E210", "the bias of a layer depends on its inputs")
    values = torch.as_tensor(Folder(s.dag).fold(s.solid(bias).terms[0])).detach()
    if values.numel() not in (1, s.extents.steps):
        raise Refusal("E210", "a matrix over the steps needs one bias per step")
    return values.reshape(-1).expand(s.extents.steps)


def _taps(matrix: torch.Tensor) -> list[float] | None:
    """What the last steps count, the present one first, if that is the same at every step."""
    steps = len(matrix)
    taps: list[float] = matrix[-1].flip(0).tolist()
    while taps and taps[-1] == 0:
        taps.pop()
    expected = torch.zeros_like(matrix)
    for j, tap in enumerate(taps):
        expected += torch.diag(torch.full((steps - j,), tap, dtype=matrix.dtype), -j)
    short = 0 < len(taps) < steps
    return taps if short and torch.equal(expected, matrix) else None


def _filtered(s: Scalarizer, x: Traced, taps: list[float]) -> tuple[int, ...]:
    """A causal filter; before the first step there are zeros."""
    dag, zero = s.dag, s.dag.fill(0.0, inner(x.axes))
    numbers = [dag.literal(tap) for tap in taps]
    out = []
    for t in range(len(x.terms)):
        total = dag.pointwise("mul", x.terms[t], numbers[0])
        for j, number in enumerate(numbers[1:], 1):
            past = x.terms[t - j] if t >= j else zero
            total = dag.pointwise("add", total, dag.pointwise("mul", past, number))
        out.append(total)
    return tuple(out)


def _product(name: str) -> Rule:
    """``W @ x`` with steps as the rows of ``x``; everything else is a layer."""

    def rule(s: Scalarizer, call: Call) -> Any:
        bias, weight, x = call.args[:3] if name == "addmm" else (None, *call.args[:2])
        rows = max(len(getattr(x, "axes", ())) - 2, 0)
        if _time_axis(x) == rows and not call.kwargs:
            y = _mixed(s, x, weight, bias)
            if y is not None:
                return Traced(y.axes, y.terms, call.dtype)
        return LAYER_RULES[name](s, call)

    return rule


def _linear(s: Scalarizer, call: Call) -> Any:
    """``nn.Linear(T, T)`` along the last axis."""
    x = call.args[0]
    if isinstance(x, Traced) and _time_axis(x) == len(x.axes) - 1:
        y = _mixed(s, x, call.args[1], call.arg(2, "bias"))
        if y is not None:
            return Traced(y.axes, y.terms, call.dtype)
    return LAYER_RULES["linear"](s, call)


def _einsum(s: Scalarizer, call: Call) -> Any:
    """Sum over the steps of ``x`` with a matrix: ``einsum("ts,bsn->btn", W, x)``."""
    equation, operands = str(call.args[0]).replace(" ", ""), call.args[1]
    sides, _, result = equation.partition("->")
    names = sides.split(",")
    if len(names) == 2 and result:
        for a, b in ((0, 1), (1, 0)):
            x, weight, time = operands[b], operands[a], _time_axis(operands[b])
            if time is None:
                continue
            old = names[b][time]
            if names[a] == old and result == names[b].replace(old, ""):
                return _weighted(s, x, time, weight, call)
            if len(names[a]) != 2:
                continue
            new = names[a].replace(old, "")
            if len(new) != 1 or names[b].replace(old, new) != result:
                continue
            if names[a] == old + new:
                weight = _turned(s, weight)
            y = _mixed(s, x, weight, None)
            if y is not None:
                return Traced(y.axes, y.terms, call.dtype)
    return einsum(s, call)


def _pad(s: Scalarizer, call: Call) -> Any:
    """Zeros before the first step, for a causal convolution; everything else is padding."""
    x, sides = call.args[0], list(call.args[1])
    if not isinstance(x, Traced) or not sides or _time_axis(x) != len(x.axes) - 1:
        return POOL_RULES[call.name](s, call)
    zeros = call.arg(2, "value", 0.0) in (0, None)
    if call.name == "pad":
        constant = call.arg(2, "mode", "constant") == "constant"
        zeros = constant and call.arg(3, "value") in (0, None)
    if not zeros or sides[0] < 1 or any(sides[1:]):
        return POOL_RULES[call.name](s, call)
    return AfterZeros(x, sides[0])


def _conv1d(s: Scalarizer, call: Call) -> Any:
    """``y[t] = sum_j w[K-1-j] x[t-j]``: a causal convolution along the steps.

    Between all channels it is one linear layer per delay.  Channel by channel, the kernel, which
    may be as long as the sequence, has to be the same for all channels.
    """
    padded = call.args[0]
    if not isinstance(padded, AfterZeros):
        return LAYER_RULES["conv1d"](s, call)
    x, bias, (stride, padding, dilation, groups) = padded.sequence, *_convolution(call)
    weight, plain = s.operand(call.args[1]), (stride, padding, dilation, groups) == (1, 0, 1, 1)
    dense = len(x.axes) == 3 and plain and s.constant(weight) and inner(x.axes) != (1,)
    if dense and s.extents.shape(weight.axes)[2] == padded.count + 1:
        return Traced(*_delayed(s, s.solid(x), s.solid(weight), bias), call.dtype)
    term, taps = _kernel(s, s.solid(s.operand(call.args[1])))
    channels = inner(x.axes)
    causal = len(x.axes) == 3 and (stride, padding, dilation) == (1, 0, 1) and bias is None
    if not causal or taps.shape != (*channels, 1, padded.count + 1) or groups != channels[0]:
        hint = "write it as a loop with a state"
        raise Refusal("E133", "this convolution along time is not one of a causal filter", hint)
    taps = taps[:, 0]
    if not torch.equal(taps, taps[:1].expand_as(taps)):
        text = "a convolution along time whose kernel is not the same for all channels"
        raise Refusal("E210", text, "write it as a loop with a state")
    return Traced(x.axes, _convolved(s, s.solid(x), term, taps[0].flip(0)), call.dtype)


def _delayed(s: Scalarizer, x: Traced, weight: Traced, bias: Any) -> tuple[Axes, tuple[int, ...]]:
    """One linear layer per delay; before the first step there are zeros."""
    outputs, _, reach = s.extents.shape(weight.axes)
    layers = [s.solid(selected(s, weight, 2, reach - 1 - j)).terms[0] for j in range(reach)]
    offset = () if bias is None else s.solid(s.operand(bias)).terms[:1]
    axes: Axes = (x.axes[0], (outputs,), x.axes[2])
    zero, shape, terms = s.dag.fill(0.0, inner(x.axes)), inner(axes), []
    for t, present in enumerate(x.terms):
        total = s.dag.make(Form("linear"), (present, layers[0], *offset), shape)
        for j, layer in enumerate(layers[1:], 1):
            past = x.terms[t - j] if t >= j else zero
            y = s.dag.make(Form("linear"), (past, layer), shape)
            total = s.dag.pointwise("add", total, y)
        terms.append(total)
    return axes, tuple(terms)


def _convolution(call: Call) -> tuple[Any, tuple[Any, ...]]:
    """Bias, and stride, padding, dilation and groups of a convolution along one axis."""
    names = (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1))
    found = [call.arg(i, name, value) for i, (name, value) in enumerate(names, 3)]
    return call.arg(2, "bias"), tuple(v[0] if isinstance(v, list | tuple) else v for v in found)


def _kernel(s: Scalarizer, weight: Traced) -> tuple[int, torch.Tensor]:
    """A term that tells the kernel from others, and its values (channels, 1, K)."""
    dag, fold = s.dag, Folder(s.dag).fold
    if not weight.timed:
        if not s.constant(weight):
            raise Refusal("E210", "the weights of a layer depend on its inputs")
        return weight.terms[0], torch.as_tensor(fold(weight.terms[0])).detach()
    # a kernel as long as the sequence, computed from the number of every step
    terms, whole = weight.terms, {a for t in weight.terms for a in dag[t].args}
    if len(whole) == 1 and dag.kind(next(iter(whole))) == "time_flip":
        terms = dag[whole.pop()].args[::-1]
    if any(dag[t].reach != CONSTANT for t in terms) or _time_axis(weight) != len(weight.axes) - 1:
        raise Refusal("E133", "the kernel of a convolution along time depends on the input")
    shape = inner(weight.axes)
    values = [torch.as_tensor(fold(t)).detach().broadcast_to(shape) for t in terms]
    return terms[-1], torch.stack(values, -1)


def _convolved(s: Scalarizer, x: Traced, term: int, taps: torch.Tensor) -> tuple[int, ...]:
    """A causal filter: of a few steps, or a matrix over all of them."""
    steps = s.extents.steps
    if len(taps) < steps:
        return _filtered(s, x, taps.tolist())
    matrix = torch.zeros(steps, steps, dtype=taps.dtype)
    for j in range(steps):
        matrix += torch.diag(taps[j].expand(steps - j), -j)
    key = table_key(s.dag, term, matrix, steps)
    return elements(s.dag, Form("time_mix", (key, "")), x.terms)


def _weighted(s: Scalarizer, x: Traced, time: int, weight: Any, call: Call) -> Traced:
    """``sum_t weight[t] x[t]``: a readout with a weight of its own for every step."""
    if not isinstance(weight, Traced) or not s.constant(weight):
        raise Refusal("E210", "the steps are weighted with values that depend on the input")
    column = reshaped(s, weight, (*weight.axes, *((1,),) * (len(x.axes) - 1 - time)))
    y = reduced(s, apply(s, "mul", x, column), "sum", [time], keep=False)
    return Traced(y.axes, y.terms, call.dtype)


def _turned(s: Scalarizer, x: Traced) -> Traced:
    shape = s.extents.shape(x.axes)[::-1]
    term = s.dag.make(Form("transpose", ((1, 0),)), s.solid(x).terms, shape)
    return Traced(x.axes[::-1], (term,), x.dtype)


def _rnn(fn: str) -> Rule:
    """``h[t] = fn(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh)``, layer by layer (torch.nn.RNN)."""

    def rule(s: Scalarizer, call: Call) -> Any:
        x, start, weights, biased, layers, _, _, both, batch_first = call.args
        if both:
            hint = "run a second RNN on x.flip(time) and flip its output"
            raise Refusal("E131", "a bidirectional RNN reads the sequence from its end, too", hint)
        value, first = s.solid(s.operand(x)), s.operand(start)
        if _time_axis(value) != (len(value.axes) == 3 and batch_first):
            raise Refusal("E133", "the sequence of an RNN is not over time")
        if any(s.dag.value(t) is None for t in first.terms):
            raise Refusal("E210", "an RNN whose first hidden state is not zero everywhere")
        per_layer = 4 if biased else 2
        for k in range(layers):
            parts = [s.solid(w) for w in weights[k * per_layer : (k + 1) * per_layer]]
            size = s.dag.shape(parts[1].terms[0])[0]
            value = _layer(s, fn, value, [p.terms[0] for p in parts], first.terms[0])
        rest = tuple(axis for axis in value.axes if axis != (TIME,))
        last: Any = Traced(((1,), *rest), (s.dag.reshape(value.terms[-1], (1, size)),), x.dtype)
        if layers > 1:
            last = Refusal("E210", "the final hidden states of several layers: take out[-1]")
        return [value, last]

    return rule


def _layer(s: Scalarizer, fn: str, x: Traced, weights: list[int], start: int) -> Traced:
    dag = s.dag
    size, _ = dag.shape(weights[1])
    axes: Axes = (*x.axes[:-1], (size,))
    hidden, terms = dag.fill(dag.value(start) or 0.0, inner(axes)), []
    for term in x.terms:
        drive = dag.make(Form("linear"), (term, weights[0], *weights[2:3]), inner(axes))
        own = dag.make(Form("linear"), (hidden, weights[1], *weights[3:4]), inner(axes))
        hidden = dag.pointwise(fn, dag.pointwise("add", drive, own))
        terms.append(hidden)
    return Traced(axes, tuple(terms), x.dtype)


SEQUENCE_RULES: dict[str, Rule] = {
    "cumsum": _cumsum,
    "flip": _flip,
    **{name: _product(name) for name in ("addmm", "mm", "matmul")},
    "linear": _linear,
    "einsum": _einsum,
    "conv1d": _conv1d,
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "rnn_relu": _rnn("relu"),
    "rnn_tanh": _rnn("tanh"),
}
