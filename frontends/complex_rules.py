"""Complex numbers as pairs of real ones.

A tensor of complex type that depends on an input is a :class:`Complex`: two real tensors of the
same axes.  A parameter of complex type stays one tensor until it meets such a pair; its parts are
folded when the graph is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.utils import _pytree as pytree

from snnc.frontends.dag import Form
from snnc.frontends.fourier_rules import (
    along,
    complex_to_complex,
    complex_to_real,
    real_to_complex,
)
from snnc.frontends.layer_rules import LAYER_RULES
from snnc.frontends.layout import Axes
from snnc.frontends.parameter_calls import Operand
from snnc.frontends.pointwise_rules import POINTWISE_RULES, apply, broadcast
from snnc.frontends.scalarize import Rule, Scalarizer
from snnc.frontends.select_rules import SELECT_RULES
from snnc.frontends.shape_rules import SHAPE_RULES
from snnc.frontends.time_rules import TIME_RULES
from snnc.frontends.traced import Call, Refusal, Traced

_HINT = "keep real and imaginary parts as two tensors"


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex tensor."""

    real: Traced
    imag: Traced


@dataclass(frozen=True, slots=True)
class RealView:
    """``view_as_real(z)``: a last axis that holds the two parts, until one is selected."""

    value: Complex


#: A part of a number; None is zero.
Half = Traced | None

#: How the names of operators begin that make tensors from numbers.
_NEW = ("zeros", "ones", "full", "empty", "new_", "zero", "scalar_tensor")


def is_pair(x: Any) -> bool:
    """Whether a traced value is a pair of real tensors."""
    return isinstance(x, Complex | RealView)


def is_complex(x: Any) -> bool:
    """Whether a traced or fake tensor has a complex type."""
    return is_pair(x) or (isinstance(x, Traced | torch.Tensor) and x.dtype.is_complex)


def complex_call(s: Scalarizer, call: Call) -> Any:
    """The rule for a call that takes or gives complex numbers.

    Raises:
        Refusal: E210 for operators that have no rule.
    """
    rule = _RULES.get(call.name)
    if call.name != "select" and any(isinstance(x, RealView) for x in call.args):
        raise Refusal("E210", "view_as_real(z) is used as a tensor", "use z.real and z.imag")
    if rule is None:
        raise Refusal("E210", f"operator {call.target} on complex numbers is not supported", _HINT)
    return rule(s, call)


def _parts(s: Scalarizer, x: Any) -> tuple[Traced, Half]:
    """Real and imaginary part; the latter is None for a real number."""
    if isinstance(x, Complex):
        return x.real, x.imag
    if isinstance(x, complex):
        return s.operand(x.real), s.operand(x.imag)
    value = s.operand(x)
    if not value.dtype.is_complex:
        return value, None
    real = torch.float64 if value.dtype is torch.complex128 else torch.float32
    shape = s.extents.shape(value.axes)

    def half(fn: str) -> Traced:
        form = Form("aten", (f"aten.{fn}.default", (Operand(0),), ()))
        terms = tuple(s.dag.make(form, (t,), shape) for t in s.solid(value).terms)
        return Traced(value.axes, terms, real)

    return half("real"), half("imag")


def _both(s: Scalarizer, fn: str, a: Half, b: Half) -> Half:
    """``a fn b`` where a missing operand is zero; fn is add or sub."""
    if b is None:
        return a
    if a is None:
        return b if fn == "add" else apply(s, "neg", b)
    return apply(s, fn, a, b)


def _times(s: Scalarizer, a: Half, b: Half) -> Half:
    return None if a is None or b is None else apply(s, "mul", a, b)


def _pair(s: Scalarizer, real: Half, imag: Half) -> Complex:
    """Both parts, with the axes of the larger one; a missing part is zero."""
    known = [x for x in (real, imag) if x is not None]
    axes = broadcast(s, known)
    wide = any(x.dtype is torch.float64 and x.axes for x in known)
    zero = _zero(s, axes, torch.float64 if wide else torch.float32)
    return Complex(
        *(
            zero if x is None else x if x.axes == axes else apply(s, "add", x, zero)
            for x in (real, imag)
        )
    )


def _zero(s: Scalarizer, axes: Axes, dtype: torch.dtype) -> Traced:
    return s.per_step(axes, dtype, lambda _: s.dag.fill(0.0, ()))


def _sum(s: Scalarizer, call: Call) -> Complex:
    fn = call.name
    a, b = (_parts(s, x) for x in call.args[:2])
    alpha = call.arg(2, "alpha", 1)
    if fn == "rsub":
        a, b, fn = b, a, "sub"
    if alpha != 1:
        b = (apply(s, "mul", b[0], alpha), _times(s, b[1], s.operand(alpha)))
    return _pair(s, _both(s, fn, a[0], b[0]), _both(s, fn, a[1], b[1]))


def _product(s: Scalarizer, a: tuple[Traced, Half], b: tuple[Traced, Half]) -> Complex:
    real = _both(s, "sub", _times(s, a[0], b[0]), _times(s, a[1], b[1]))
    return _pair(s, real, _both(s, "add", _times(s, a[0], b[1]), _times(s, a[1], b[0])))


def _multiply(s: Scalarizer, call: Call) -> Complex:
    return _product(s, *(_parts(s, x) for x in call.args[:2]))


def _square(s: Scalarizer, call: Call) -> Complex:
    if call.name == "pow" and call.args[1] != 2:
        raise Refusal("E210", f"the power {call.args[1]} of complex numbers is not supported")
    return _product(s, *(_parts(s, call.args[0]),) * 2)


def _divide(s: Scalarizer, call: Call) -> Complex:
    a, (c, d) = (_parts(s, x) for x in call.args[:2])
    if d is None:
        halves = (None if x is None else apply(s, "div", x, c) for x in a)
        return _pair(s, *halves)
    above = _product(s, a, (c, apply(s, "neg", d)))
    below = apply(s, "add", apply(s, "mul", c, c), apply(s, "mul", d, d))
    return Complex(apply(s, "div", above.real, below), apply(s, "div", above.imag, below))


def _exp(s: Scalarizer, call: Call) -> Complex:
    real, imag = _parts(s, call.args[0])
    size = apply(s, "exp", real)
    if imag is None:
        return _pair(s, size, None)
    return _polar(s, size, imag)


def _polar(s: Scalarizer, size: Traced, angle: Traced) -> Complex:
    return _pair(s, *(apply(s, "mul", size, apply(s, fn, angle)) for fn in ("cos", "sin")))


def _conjugate(s: Scalarizer, call: Call) -> Complex:
    real, imag = _parts(s, call.args[0])
    return _pair(s, real, None if imag is None else apply(s, "neg", imag))


def _absolute(s: Scalarizer, call: Call) -> Traced:
    real, imag = _parts(s, call.args[0])
    if imag is None:
        return apply(s, "abs", real)
    squares = (apply(s, "square", x) for x in (real, imag))
    return apply(s, "sqrt", apply(s, "add", *squares))


def _half(index: int) -> Rule:
    def rule(s: Scalarizer, call: Call) -> Traced:
        half = _parts(s, call.args[0])[index]
        return half if half is not None else s.operand(0.0)

    return rule


def _view(s: Scalarizer, call: Call) -> RealView:
    return RealView(_pair(s, *_parts(s, call.args[0])))


def _select(s: Scalarizer, call: Call) -> Any:
    """One part of ``view_as_real``, or one element of an axis of a complex tensor."""
    view = call.args[0]
    if not isinstance(view, RealView):
        return _by_part(SELECT_RULES["select"])(s, call)
    dim, index = call.arg(1, "dim"), call.arg(2, "index")
    if dim % (len(view.value.real.axes) + 1) != len(view.value.real.axes):
        raise Refusal("E210", "an element of view_as_real(z) is selected", "use z.real and z.imag")
    return view.value.imag if index % 2 else view.value.real


def _combine(s: Scalarizer, call: Call) -> Complex:
    return _pair(s, s.operand(call.args[0]), s.operand(call.args[1]))


def _cast(s: Scalarizer, call: Call) -> Any:
    if not call.dtype.is_complex:
        raise Refusal("E210", "a cast drops the imaginary part", "use z.real")
    return _pair(s, *_parts(s, call.args[0]))


def _layer(s: Scalarizer, call: Call) -> Complex:
    """A layer that is linear in its input, with complex weights, input, or both."""
    rule, (x, w) = LAYER_RULES[call.name], call.args[:2]
    bias = call.arg(2, "bias")
    (xr, xi), (wr, wi) = _parts(s, x), _parts(s, w)
    br, bi = (None, None) if bias is None else _parts(s, bias)

    def layer(x: Half, w: Half, b: Half) -> Half:
        if x is None or w is None:
            return b
        part: Traced = rule(s, _with_real_result(call, (x, w, b, *call.args[3:])))
        return part

    real = _both(s, "sub", layer(xr, wr, br), layer(xi, wi, None))
    return _pair(s, real, _both(s, "add", layer(xr, wi, bi), layer(xi, wr, None)))


def _with_real_result(call: Call, args: tuple[Any, ...]) -> Call:
    def real(y: Any) -> Any:
        wide = y.dtype is torch.complex128
        dtype = torch.float64 if wide else torch.float32 if y.is_complex() else y.dtype
        return torch.empty(y.shape, dtype=dtype, device="meta")

    result = pytree.tree_map_only(torch.Tensor, real, call.result)
    kwargs = {k: v for k, v in call.kwargs.items() if k != "dtype"}
    return dataclasses.replace(call, args=args, kwargs=kwargs, result=result)


def _by_part(rule: Rule) -> Rule:
    """The same rule on the real and on the imaginary parts of all tensors."""

    def both(s: Scalarizer, call: Call) -> Any:
        def half(x: Any, index: int) -> Any:
            if not isinstance(x, Traced | Complex):
                return x
            parts = _parts(s, x)
            found = parts[index]
            return _zero(s, parts[0].axes, parts[0].dtype) if found is None else found

        sides = []
        for index in range(2):
            args = pytree.tree_map(partial(half, index=index), call.args, is_leaf=_is_tensor)
            sides.append(rule(s, _with_real_result(call, args)))
        if isinstance(sides[0], list):
            return [Complex(*parts) for parts in zip(*sides, strict=True)]
        return Complex(*sides)

    return both


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Traced | Complex)


def _filled(rule: Rule) -> Rule:
    """A new tensor with one value, which may be real."""

    def new(s: Scalarizer, call: Call) -> Complex:

        def side(part: Callable[[complex], float]) -> Traced:
            args = (
                x.real if isinstance(x, Complex) else part(x) if isinstance(x, complex) else x
                for x in call.args
            )
            filled: Traced = rule(s, _with_real_result(call, tuple(args)))
            return filled

        real = side(lambda z: z.real)
        value = next((x for x in call.args if isinstance(x, complex)), 0j)
        imag = side(lambda z: z.imag) if value else _zero(s, real.axes, real.dtype)
        return Complex(real, imag)

    return new


def _transform(s: Scalarizer, call: Call) -> Any:
    """Discrete Fourier transforms, one axis after the other; the half spectrum is of the last."""
    real, imag = _parts(s, call.args[0])
    *others, last = call.arg(1, "dim")
    if call.name == "_fft_r2c":
        pair = Complex(*along(s, call, last, (real,), real_to_complex))
        forward = True
    else:
        pair, forward = _pair(s, real, imag), bool(call.arg(3, "forward"))
    if call.name == "_fft_c2r":
        forward = False
    elif call.name == "_fft_c2c":
        others.append(last)
    one = replace(call, args=(call.args[0], None, call.arg(2, "normalization"), forward), kwargs={})
    for dim in others:
        pair = Complex(*along(s, one, dim, (pair.real, pair.imag), complex_to_complex))
    if call.name != "_fft_c2r":
        return pair
    (found,) = along(s, call, last, (pair.real, pair.imag), _real)
    return found


def _real(s: Scalarizer, call: Call, re: Traced, im: Traced) -> tuple[Traced]:
    return (complex_to_real(s, call, re, im),)


_RULES: dict[str, Rule] = {
    **{
        name: (_filled if name.startswith(_NEW) else _by_part)(rule)
        for name, rule in {**SHAPE_RULES, **SELECT_RULES}.items()
        if name not in ("getitem", "fill")
    },
    **{name: _by_part(TIME_RULES[name]) for name in ("sum", "mean")},
    **{
        name: _by_part(POINTWISE_RULES[name])
        for name in ("neg", "detach", "alias", "clone", "contiguous", "lift_fresh_copy", "lift")
    },
    **dict.fromkeys(("add", "sub", "rsub"), _sum),
    **dict.fromkeys(("linear", "mm", "matmul", "conv2d"), _layer),
    **dict.fromkeys(("_conj", "conj_physical", "_conj_physical"), _conjugate),
    **dict.fromkeys(("pow", "square"), _square),
    **dict.fromkeys(("resolve_conj", "resolve_neg"), lambda s, call: call.args[0]),
    **dict.fromkeys(("_to_copy", "to"), _cast),
    **dict.fromkeys(("_fft_r2c", "_fft_c2r", "_fft_c2c"), _transform),
    "mul": _multiply,
    "div": _divide,
    "exp": _exp,
    "abs": _absolute,
    "real": _half(0),
    "imag": _half(1),
    "view_as_real": _view,
    "select": _select,
    "complex": _combine,
    "polar": lambda s, call: _polar(s, s.operand(call.args[0]), s.operand(call.args[1])),
}

#: Operators that are about complex numbers alone.
COMPLEX_RULES: dict[str, Rule] = dict.fromkeys(
    ("real", "imag", "view_as_real", "view_as_complex", "complex", "polar", "resolve_conj"),
    complex_call,
)

__all__ = ["COMPLEX_RULES", "Complex", "RealView", "complex_call", "is_complex", "is_pair"]
