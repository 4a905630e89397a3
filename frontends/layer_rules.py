"""Layers with weights, pools and normalization."""

from __future__ import annotations

from typing import Any

from snnc.frontends.dag import CONSTANT, Form
from snnc.frontends.layout import TIME, Axes, inner
from snnc.frontends.scalarize import Call, Refusal, Rule, Scalarizer, Traced
from snnc.windows import convolved, pooled

Pair = tuple[int, int]


def _weight(s: Scalarizer, x: Any) -> int:
    """The term of a parameter, or of an expression of parameters."""
    value = s.solid(s.operand(x))
    if not s.constant(value):
        raise Refusal("E210", "the weights of a layer depend on its inputs")
    return value.terms[0]


def _dense(s: Scalarizer, x: Any, weight: int, bias: Any, call: Call) -> Traced:
    value = s.solid(s.operand(x))
    out, fan_in = s.dag.shape(weight)
    if value.axes[-1] != (fan_in,):
        code = "E133" if TIME in value.axes[-1] else "E210"
        raise Refusal(code, "a linear layer joins features with steps or samples")
    axes: Axes = (*value.axes[:-1], (out,))
    args = (weight,) if bias is None else (weight, _weight(s, bias))
    form, shape = Form("linear"), inner(axes)
    return s.per_step(axes, call.dtype, lambda t: s.dag.make(form, (value.at(t), *args), shape))


def _linear(s: Scalarizer, call: Call) -> Traced:
    return _dense(s, call.args[0], _weight(s, call.args[1]), call.arg(2, "bias"), call)


def _transposed(s: Scalarizer, x: Any) -> int:
    weight = _weight(s, x)
    term = s.dag[weight]
    if len(term.shape) != 2:
        raise Refusal("E210", "a product with a stack of matrices is not supported")
    return s.dag.make(Form("transpose"), (weight,), term.shape[::-1])


def _matmul(s: Scalarizer, call: Call) -> Traced:
    """``x @ W`` with constant ``W`` is a linear layer."""
    bias, x, w = (None, *call.args[:2]) if call.name != "addmm" else call.args[:3]
    if call.name == "addmm" and (call.kwargs.get("beta", 1), call.kwargs.get("alpha", 1)) != (1, 1):
        raise Refusal("E210", "addmm with alpha or beta is not supported")
    if not (isinstance(w, Traced) and s.constant(w)):
        raise Refusal("E210", "a product of two computed tensors is not supported")
    return _dense(s, x, _transposed(s, w), bias, call)


def _image(s: Scalarizer, x: Any) -> Traced:
    value = s.solid(s.operand(x))
    shape = inner(value.axes)
    numbers = all(len(a) == 1 and isinstance(a[0], int) for a in value.axes[-3:])
    if len(shape) != 3 or not numbers:
        code = "E133" if any(TIME in a for a in value.axes[-3:]) else "E210"
        raise Refusal(code, "needs (channels, height, width) behind batch and time")
    return value


def _pair(x: Any) -> Pair:
    if isinstance(x, int):
        return (x, x)
    return (int(x[0]), int(x[-1]))


def _conv2d(s: Scalarizer, call: Call) -> Traced:
    x, weight, bias = _image(s, call.args[0]), _weight(s, call.args[1]), call.arg(2, "bias")
    if call.name == "convolution" and (call.args[6] or len(call.args[3]) != 2):
        raise Refusal("E210", "only 2-D convolutions are supported, and no transposed ones")
    stride, padding = call.arg(3, "stride", 1), call.arg(4, "padding", 0)
    dilation = call.arg(5, "dilation", 1)
    groups = call.arg(8 if call.name == "convolution" else 6, "groups", 1)
    d, k = _pair(dilation), s.dag.shape(weight)[2:]
    if padding == "valid":
        padding = 0
    elif padding == "same":
        reach = [d[i] * (k[i] - 1) for i in range(2)]
        if any(r % 2 for r in reach):
            raise Refusal("E210", "padding='same' of an even kernel is not supported")
        padding = [r // 2 for r in reach]
    attrs = (_pair(stride), _pair(padding), d, int(groups))
    shape = convolved(inner(x.axes), s.dag.shape(weight), *attrs)
    args = (weight,) if bias is None else (weight, _weight(s, bias))
    return _mapped(s, x, Form("conv2d", attrs), args, shape, call)


def _mapped(
    s: Scalarizer, x: Traced, form: Form, args: tuple[int, ...], shape: tuple[int, ...], call: Call
) -> Traced:
    axes: Axes = (*x.axes[:-3], *((n,) for n in shape))
    terms = tuple(s.dag.make(form, (t, *args), shape) for t in x.terms)
    result = call.result[0] if isinstance(call.result, tuple) else call.result
    return Traced(axes, terms, result.dtype)


def _batch_norm(s: Scalarizer, call: Call) -> Any:
    x = s.solid(s.operand(call.args[0]))
    if call.name == "batch_norm":
        weight, bias, mean, var, training, _, eps = call.args[1:8]
        if training:
            return _training_norm(s, call)
    else:
        weight, bias, mean, var, _, eps = call.args[1:7]
    (channels,) = s.extents.shape(s.operand(mean).axes)
    shape = inner(x.axes)
    if x.axes[1] != (channels,) or inner(x.axes[:1]):
        raise Refusal("E210", "BatchNorm needs (channels, …) behind batch and time")
    args = [_weight(s, mean), _weight(s, var)]
    if (weight is None) != (bias is None):
        raise Refusal("E210", "BatchNorm with only one of weight and bias is not supported")
    if weight is not None:
        args += [_weight(s, weight), _weight(s, bias)]
    form = Form("batch_norm", (float(eps),))
    terms = tuple(s.dag.make(form, (t, *args), shape) for t in x.terms)
    y = Traced(x.axes, terms, x.dtype)
    return y if call.name == "batch_norm" else [y, None, None]


def _training_norm(s: Scalarizer, call: Call) -> Any:
    raise Refusal(
        "E135",
        "BatchNorm normalizes with the statistics of the batch",
        "use running statistics: track_running_stats=True and eval mode",
    )


def _pool(kind: str) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Any:
        x = _image(s, call.args[0])
        kernel = _pair(call.args[1])
        stride = _pair(call.arg(2, "stride") or kernel)
        padding = _pair(call.arg(3, "padding", 0))
        chosen = kind
        if kind == "max_pool":
            if _pair(call.arg(4, "dilation", 1)) != (1, 1):
                raise Refusal("E210", "max pooling with dilation is not supported")
            ceil = call.arg(5, "ceil_mode", False)
        else:
            ceil = call.arg(4, "ceil_mode", False)
            if not call.arg(5, "count_include_pad", True) and padding != (0, 0):
                raise Refusal("E210", "count_include_pad=False with padding is not supported")
            divisor = call.arg(6, "divisor_override")
            if divisor == 1:
                chosen = "sum_pool"
            elif divisor not in (None, kernel[0] * kernel[1]):
                raise Refusal("E210", f"divisor_override={divisor} is not supported")
        shape = pooled(inner(x.axes), kernel, stride, padding)
        result = call.result[0] if isinstance(call.result, tuple) else call.result
        if ceil and tuple(result.shape[-2:]) != shape[1:]:
            raise Refusal("E210", "ceil_mode=True with a partial window is not supported")
        y = _mapped(s, x, Form(chosen, (kernel, stride, padding)), (), shape, call)
        if isinstance(call.result, tuple):
            return [y, Refusal("E210", "the indices of max pooling are not supported")]
        return y

    return rule


def _adaptive(kind: str) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Any:
        x = _image(s, call.args[0])
        channels, *size = inner(x.axes)
        result = call.result[0] if isinstance(call.result, tuple) else call.result
        out = [int(n) for n in result.shape[-2:]]
        if any(n % m for n, m in zip(size, out, strict=True)):
            raise Refusal(
                "E210",
                f"adaptive pooling of {tuple(size)} to {tuple(out)} has windows of several sizes",
                "choose an output size that divides the input size",
            )
        window = (size[0] // out[0], size[1] // out[1])
        form = Form(kind, (window, window, (0, 0)))
        y = _mapped(s, x, form, (), (channels, *out), call)
        if isinstance(call.result, tuple):
            return [y, Refusal("E210", "the indices of max pooling are not supported")]
        return y

    return rule


def _attention(s: Scalarizer, call: Call) -> Any:
    if all(s.dag[t].reach == CONSTANT for x in call.args if isinstance(x, Traced) for t in x.terms):
        raise Refusal("E210", f"operator {call.target} is not supported")
    raise Refusal("E210", "a product of two computed tensors is not supported")


LAYER_RULES: dict[str, Rule] = {
    "linear": _linear,
    **dict.fromkeys(("mm", "matmul", "addmm"), _matmul),
    **dict.fromkeys(("bmm", "baddbmm", "scaled_dot_product_attention"), _attention),
    **dict.fromkeys(("conv2d", "convolution"), _conv2d),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(
        ("_native_batch_norm_legit", "_native_batch_norm_legit_functional", "native_batch_norm"),
        _training_norm,
    ),
    "avg_pool2d": _pool("avg_pool"),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), _pool("max_pool")),
    **dict.fromkeys(("adaptive_avg_pool2d", "_adaptive_avg_pool2d"), _adaptive("avg_pool")),
    "adaptive_max_pool2d": _adaptive("max_pool"),
}
