"""Arithmetic of an ONNX graph on what is known when it is read: sizes, positions, single numbers.

Exporters write shapes as chains of ``Shape``, ``Gather``, ``Concat`` and the like.  They are
computed here, in NumPy, under a limit on the size of every result.  Weights are not: what is done
to them is part of the network, and is recovered with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.diagnostics import Loc, fail
from snnc.frontends.onnx_file import OnnxNode
from snnc.frontends.onnx_tensor import ELEMENTS

#: Elements of the largest result.
LIMIT = 1 << 24


@dataclass(frozen=True, slots=True)
class Const:
    """A known tensor.

    Attributes:
        array: Its numbers.
        name: Of the initialiser that it is, if it is one.
        live: Whether it was computed from the shape of an input, and not written into the file.
    """

    array: np.ndarray
    name: str = ""
    live: bool = False

    @property
    def uniform(self) -> bool:
        """Whether it has one value everywhere."""
        flat = self.array.reshape(-1)
        if not flat.size or flat[0] != flat[-1]:  # at once, for most weights
            return False
        return bool((flat == flat[0]).all())

    def ints(self) -> list[int]:
        """As positions or sizes."""
        return [int(n) for n in self.array.reshape(-1)]


Fold = Callable[[OnnxNode, Sequence[np.ndarray | None]], Any]


def too_large(loc: Loc, elements: int) -> Exception:
    """E141: an operator makes a tensor that no network needs."""
    text = f"a tensor of {elements:,} elements is computed from nothing"
    return fail("E141", text, loc, help="copy the file again, or export the model again")


def foldable(node: OnnxNode, values: Sequence[Any]) -> bool:
    """Whether the node is computed here: on sizes and single numbers, not on weights."""
    known = [v for v in values if v is not None]
    if node.op not in FOLDS or not all(isinstance(v, Const) for v in known):
        return False
    real = [v for v in known if v.array.dtype.kind == "f"]
    if node.op in _EXACT:
        return all(v.array.ndim == 0 for v in real)
    return all(v.array.size <= 1 or v.uniform for v in real)


def fold(node: OnnxNode, values: Sequence[Const | None]) -> list[Const]:
    """Results of a node that is ``foldable``.

    Raises:
        CompileError: E141 for one that is too large, E160 for operands that do not fit.
    """
    live = any(v.live for v in values if v is not None)
    arrays = [None if v is None else v.array for v in values]
    try:
        with np.errstate(all="ignore"):
            found = FOLDS[node.op](node, arrays)
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, AttributeError) as e:
        raise fail("E160", f"operands of {node.op} do not fit: {e}", node.loc) from e
    results = found if isinstance(found, list) else [found]
    return [Const(np.asarray(r), live=live) for r in results]


def checked(node: OnnxNode, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, if a tensor may have it."""
    count = math.prod(max(int(n), 0) for n in shape)
    if count > LIMIT:
        raise too_large(node.loc, count)
    return tuple(int(n) for n in shape)


def _ints(x: np.ndarray | None) -> list[int]:
    if x is None:
        raise ValueError("one is missing")
    return [int(n) for n in x.reshape(-1)]


def target_shape(shape: Sequence[int], wanted: Sequence[int], zero: bool) -> list[int]:
    """Shape after Reshape: 0 keeps an extent, unless ``zero`` says that it is one."""
    return [shape[i] if n == 0 and not zero else n for i, n in enumerate(wanted)]


def slices(rank: int, starts: Any, ends: Any, axes: Any, steps: Any) -> list[tuple[int, slice]]:
    """(axis, slice) of the operator Slice, in NumPy's terms."""
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    found = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 0 and end < -(1 << 31):  # before the first element
            found.append((axis % rank, slice(start, None, step)))
        else:
            found.append((axis % rank, slice(start, end, step)))
    return found


def _constant(node: OnnxNode, _: Any) -> Any:
    kinds: dict[str, type[np.generic]] = {"value_float": np.float32, "value_floats": np.float32}
    kinds |= {"value_int": np.int64, "value_ints": np.int64}
    ((key, value),) = node.attrs.items()
    return value if key == "value" else np.array(value, kinds[key])


def _shape(node: OnnxNode, x: Any) -> Any:
    start, end = node.attrs.get("start", 0), node.attrs.get("end")
    return np.array(x[0].shape[start:end], np.int64)


def _gather(node: OnnxNode, x: Any) -> Any:
    axis = node.attrs.get("axis", 0)
    checked(node, [x[0].size // max(x[0].shape[axis], 1), x[1].size])
    return np.take(x[0], x[1], axis)


def _concat(node: OnnxNode, x: Any) -> Any:
    checked(node, [sum(a.size for a in x)])
    return np.concatenate(x, node.attrs["axis"])


def _unsqueeze(node: OnnxNode, x: Any) -> Any:
    axes = _ints(x[1])
    if len(axes) > 16:
        raise ValueError("too many axes")
    return np.expand_dims(x[0], tuple(axes))


def _squeeze(node: OnnxNode, x: Any) -> Any:
    return np.squeeze(x[0], tuple(_ints(x[1])) if len(x) > 1 and x[1] is not None else None)


def _reshape(node: OnnxNode, x: Any) -> Any:
    zero = bool(node.attrs.get("allowzero", 0))
    return x[0].reshape(target_shape(x[0].shape, _ints(x[1]), zero))


def _slice(node: OnnxNode, x: Any) -> Any:
    rest = [None if a is None else _ints(a) for a in [*x[1:], None, None][:4]]
    cut = [slice(None)] * x[0].ndim
    for axis, part in slices(x[0].ndim, *rest):
        cut[axis] = part
    return x[0][tuple(cut)]


def _cast(node: OnnxNode, x: Any) -> Any:
    dtype = ELEMENTS[node.attrs["to"]]
    with np.errstate(invalid="ignore"):
        return x[0].astype(np.float32 if node.attrs["to"] in (10, 16) else dtype)


def _filled(node: OnnxNode, x: Any) -> Any:
    value = node.attrs.get("value", np.zeros(1, np.float32))
    return np.full(checked(node, _ints(x[0])), value.reshape(-1)[0], value.dtype)


def _expand(node: OnnxNode, x: Any) -> Any:
    shape = np.broadcast_shapes(x[0].shape, checked(node, _ints(x[1])))
    return np.broadcast_to(x[0], checked(node, shape)).copy()


def _tile(node: OnnxNode, x: Any) -> Any:
    counts = _ints(x[1])
    if len(counts) != x[0].ndim:
        raise ValueError("one count for each axis")
    checked(node, [n * c for n, c in zip(x[0].shape, counts, strict=True)])
    return np.tile(x[0], counts)


def _range(node: OnnxNode, x: Any) -> Any:
    start, end, step = (a.reshape(-1)[0] for a in x)
    checked(node, [math.ceil((float(end) - float(start)) / float(step))])
    return np.arange(start, end, step, dtype=x[0].dtype)


def _divide(node: OnnxNode, x: Any) -> Any:
    """Integers are rounded toward zero."""
    if x[0].dtype.kind == "f":
        return np.divide(x[0], x[1])
    if not x[1].all():
        raise ValueError("division by zero")
    quotient = np.floor_divide(np.abs(x[0]), np.abs(x[1]))
    return (quotient * np.sign(x[0]) * np.sign(x[1])).astype(x[0].dtype)


def _mod(node: OnnxNode, x: Any) -> Any:
    if x[0].dtype.kind != "f" and not x[1].all():
        raise ValueError("division by zero")
    return np.fmod(*x) if node.attrs.get("fmod", 0) else np.mod(*x)


def _many(fn: Callable[..., Any]) -> Fold:
    def folded(node: OnnxNode, x: Any) -> Any:
        out = x[0]
        for other in x[1:]:
            checked(node, np.broadcast_shapes(out.shape, other.shape))
            out = fn(out, other)
        return out if len(x) > 1 else fn(out)

    return folded


def _reduced(fn: Callable[..., Any]) -> Fold:
    def folded(node: OnnxNode, x: Any) -> Any:
        axes = _ints(x[1]) if len(x) > 1 and x[1] is not None else node.attrs.get("axes")
        keep = bool(node.attrs.get("keepdims", 1))
        return fn(x[0], axis=tuple(axes) if axes else None, keepdims=keep)

    return folded


def _split(node: OnnxNode, x: Any) -> list[np.ndarray]:
    axis, count = node.attrs.get("axis", 0), len(node.outputs)
    if len(x) > 1 and x[1] is not None:
        places = np.cumsum(_ints(x[1]))[:-1].tolist()
    else:
        size = -(-x[0].shape[axis] // count)
        places = [size * i for i in range(1, count)]
    return list(np.split(x[0], places, axis))


def _same(node: OnnxNode, x: Any) -> Any:
    return x[0]


def _where(node: OnnxNode, x: Any) -> Any:
    checked(node, np.broadcast_shapes(*(a.shape for a in x)))
    return np.where(*x)


def _sized(node: OnnxNode, x: Any) -> Any:
    return np.array(x[0].size, np.int64)


def _cast_like(node: OnnxNode, x: Any) -> Any:
    return x[0].astype(x[1].dtype)


def _transposed(node: OnnxNode, x: Any) -> Any:
    return np.transpose(x[0], node.attrs.get("perm"))


#: Operators that round, and so are computed here for single numbers alone.
_EXACT = frozenset(("Add", "Sub", "Mul", "Div"))

FOLDS: dict[str, Fold] = {
    "Constant": _constant,
    "Identity": _same,
    "Shape": _shape,
    "Size": _sized,
    "Gather": _gather,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Slice": _slice,
    "Cast": _cast,
    "CastLike": _cast_like,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Tile": _tile,
    "Range": _range,
    "Split": _split,
    "Transpose": _transposed,
    "Add": _many(np.add),
    "Sub": _many(np.subtract),
    "Mul": _many(np.multiply),
    "Div": _divide,
    "Mod": _mod,
    "Neg": _many(np.negative),
    "Abs": _many(np.abs),
    "Floor": _many(np.floor),
    "Ceil": _many(np.ceil),
    "Min": _many(np.minimum),
    "Max": _many(np.maximum),
    "Not": _many(np.logical_not),
    "And": _many(np.logical_and),
    "Or": _many(np.logical_or),
    "Equal": _many(np.equal),
    "Greater": _many(np.greater),
    "GreaterOrEqual": _many(np.greater_equal),
    "Less": _many(np.less),
    "LessOrEqual": _many(np.less_equal),
    "Where": _where,
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
}
