"""Operators of ONNX that make, index, rearrange and reduce tensors, in terms of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from snnc.frontends.onnx_call import Call
from snnc.frontends.onnx_fold import Const, slices, target_shape, too_large

Rule = Callable[[Call], Any]

#: Elements of the largest tensor of indices.
_MANY = 1 << 20


def _shape(c: Call) -> Const:
    x = c.values[0]
    if not isinstance(x, torch.Tensor):
        raise c.unsupported("a sequence")
    sizes = [int(n) for n in x.shape][c.attr("start", 0) : c.attr("end")]
    return Const(np.array(sizes, np.int64), live=True)


def _size(c: Call) -> Const:
    return Const(np.array(c.x().numel(), np.int64), live=True)


def _reshape(c: Call) -> torch.Tensor:
    x, shape = c.x(), c.const(1)
    wanted = target_shape(x.shape, shape.ints(), bool(c.attr("allowzero", 0)))
    return x.reshape(c.module.reshaped(wanted, x.numel(), shape.live))


def _flatten(c: Call) -> torch.Tensor:
    x, axis = c.x(), c.attr("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    if axis == 0:
        return x.reshape(1, -1)
    y = x.flatten(axis) if axis < x.dim() else x.unsqueeze(axis)
    return y.flatten(0, axis - 1)


def _squeeze(c: Call) -> torch.Tensor:
    x, axes = c.x(), c.axes()
    if axes is None:
        return x.squeeze()
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        if x.shape[axis] != 1:
            raise ValueError(f"axis {axis} has {x.shape[axis]} elements")
        x = x.squeeze(axis)
    return x


def _unsqueeze(c: Call) -> torch.Tensor:
    x, axes = c.x(), c.axes() or []
    rank = x.dim() + len(axes)
    for axis in sorted(a % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(c: Call) -> torch.Tensor:
    x = c.x()
    return x.permute(*c.attr("perm", list(reversed(range(x.dim())))))


def _expand(c: Call) -> torch.Tensor:
    x, wanted = c.x(), c.const(1)
    shape = wanted.ints() if wanted.live else c.module.shape(wanted)
    full = np.broadcast_shapes(tuple(int(n) for n in x.shape), tuple(shape))
    known = c.values[0]
    if isinstance(known, Const) and known.array.dtype.kind == "f" and known.uniform:
        return torch.full(full, float(known.array.reshape(-1)[0]), dtype=x.dtype)
    return x.expand(*full)


def _tile(c: Call) -> torch.Tensor:
    return c.x().repeat(*(c.ints(1) or []))


def _concat(c: Call) -> torch.Tensor:
    axis = c.attr("axis")
    parts = [c.module.whole(x) for x in c.values]
    computed = [p for p, x in zip(parts, c.values, strict=True) if isinstance(x, torch.Tensor)]
    if computed:  # constants were written for the batch size of the exporter's example
        wanted = [int(n) for n in computed[0].shape]
        parts = [_alike(c, p, x, wanted, axis) for p, x in zip(parts, c.values, strict=True)]
    return torch.cat(parts, axis)


def _alike(c: Call, part: torch.Tensor, x: Any, wanted: list[int], axis: int) -> torch.Tensor:
    """A constant with the extents of what it is joined with."""
    shape = list(wanted)
    shape[axis] = int(part.shape[axis])
    if not isinstance(x, Const) or list(part.shape) == shape:
        return part
    small = c.operand(next(i for i, v in enumerate(c.values) if v is x))
    return small.expand(shape) if isinstance(small, torch.Tensor) else part


def _slice(c: Call) -> torch.Tensor:
    x = c.x()
    rest = [c.ints(i) for i in range(1, 5)]
    for axis, part in slices(x.dim(), *rest):
        start, stop, step = part.indices(int(x.shape[axis]))
        if step < 0:
            places = list(range(start, stop, step))
            x = x.index_select(axis, torch.tensor(places, dtype=torch.int64))
        elif (start, stop, step) != (0, x.shape[axis], 1):
            cut = [slice(None)] * x.dim()
            cut[axis] = slice(start, stop, step)
            x = x[tuple(cut)]
    return x


def _gather(c: Call) -> torch.Tensor:
    x, axis = c.x(), c.attr("axis", 0)
    axis %= x.dim()
    if not isinstance(c.values[1], Const):
        if axis == 0 and isinstance(c.values[0], Const):
            return functional.embedding(c.x(1), x) if x.dim() == 2 else x[c.x(1)]
        raise c.unsupported("computed positions")
    where = c.const(1)
    places = [n % int(x.shape[axis]) for n in where.ints()]
    if where.array.ndim == 0:
        return x.select(axis, places[0])
    if len(places) == 1 and where.array.ndim == 1:
        return x.narrow(axis, places[0], 1)
    flat = x.index_select(axis, torch.tensor(places, dtype=torch.int64))
    if where.array.ndim == 1:
        return flat
    shape = [*x.shape[:axis], *where.array.shape, *x.shape[axis + 1 :]]
    return flat.reshape(shape)


def _gather_elements(c: Call) -> torch.Tensor:
    return torch.gather(c.x(), c.attr("axis", 0), c.x(1))


def _gather_nd(c: Call) -> torch.Tensor:
    """``x[i]``, ``x[i, j]`` … at known positions."""
    x = c.x()
    if isinstance(c.values[0], Const) and x.dim() == 1 and not c.attr("batch_dims", 0):
        return x[c.x(1).squeeze(-1)]
    where = c.const(1).array
    if c.attr("batch_dims", 0) or where.ndim > 1:
        raise c.unsupported("several positions")
    for n in where.tolist():
        x = x.select(0, n)
    return x


def _scatter(c: Call) -> torch.Tensor:
    """Replace whole slices along one axis at known positions: ``x[:, t] = y``."""
    x, where, updates = c.x(), c.const(1).array, c.x(2)
    if c.attr("reduction", "none") != "none" or not where.size:
        raise c.unsupported("a reduction")
    if c.op == "ScatterElements":
        axis = c.attr("axis", 0) % x.dim()
        places = np.moveaxis(where, axis, 0).reshape(where.shape[axis], -1)
        covered = tuple(where.shape[d] for d in range(where.ndim) if d != axis)
        whole = covered == tuple(int(n) for d, n in enumerate(x.shape) if d != axis)
        if not whole or (places != places[:, :1]).any():
            raise c.unsupported("single elements")
        for i, place in enumerate(places[:, 0].tolist()):
            x = torch.select_scatter(x, updates.select(axis, i), axis, int(place))
        return x
    return _scatter_nd(c, x, where, updates)


def _scatter_nd(c: Call, x: torch.Tensor, where: np.ndarray, y: torch.Tensor) -> torch.Tensor:
    depth = where.shape[-1]
    lead, shape = where.shape[:-1], tuple(int(n) for n in x.shape[:depth])
    if where.size > _MANY:
        raise c.unsupported("as many positions")
    grid = [np.unique(where[..., d]) for d in range(depth)]
    block = [np.ix_(*grid)] if tuple(map(len, grid)) == lead else []
    ordered = block and all((where[..., d] == block[0][d]).all() for d in range(depth))
    partial = [d for d in range(depth) if len(grid[d]) != shape[d]]
    if not ordered or len(partial) > 1:
        raise c.unsupported("scattered positions")
    if not partial:
        return y
    (axis,) = partial
    for i, place in enumerate(grid[axis].tolist()):
        x = torch.select_scatter(x, y.select(axis, i), axis, place)
    return x


def _split(c: Call) -> tuple[torch.Tensor, ...]:
    x, axis = c.x(), c.attr("axis", 0)
    sizes = c.ints(1)
    if sizes is None:
        count = c.attr("num_outputs", len(c.node.outputs))
        each = -(-int(x.shape[axis]) // count)
        sizes = [each] * (count - 1) + [int(x.shape[axis]) - each * (count - 1)]
    return tuple(torch.split(x, sizes, axis))


def _pad(c: Call) -> torch.Tensor:
    x, pads = c.x(), c.ints(1) or []
    axes = c.ints(3) if c.has(3) else list(range(x.dim()))
    both = [(0, 0)] * x.dim()
    for i, axis in enumerate(axes or []):
        both[axis] = (pads[i], pads[len(pads) // 2 + i])
    turned = [n for pair in reversed(both) for n in pair]
    while len(turned) > 2 and turned[-2:] == [0, 0]:
        turned = turned[:-2]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[
        c.attr("mode", "constant")
    ]
    if mode != "constant":
        return functional.pad(x, turned, mode)
    value = float(c.const(2).array.reshape(-1)[0]) if c.has(2) else 0.0
    return functional.pad(x, turned, value=value)


def _depth_to_space(c: Call) -> torch.Tensor:
    if c.attr("mode", "DCR") != "CRD":
        raise c.unsupported("mode DCR")
    return functional.pixel_shuffle(c.x(), c.attr("blocksize"))


def _reduce(c: Call) -> torch.Tensor:
    x, axes, keep = c.x(), c.axes(), bool(c.attr("keepdims", 1))
    if not axes:
        if c.attr("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.dim()))
    match c.op:
        case "ReduceSum":
            return x.sum(axes, keep)
        case "ReduceMean":
            return x.mean(axes, keep)
        case "ReduceMax":
            return x.amax(axes, keep)
        case "ReduceMin":
            return x.amin(axes, keep)
        case "ReduceL1":
            return x.abs().sum(axes, keep)
        case "ReduceL2":
            return x.square().sum(axes, keep).sqrt()
        case "ReduceSumSquare":
            return x.square().sum(axes, keep)
        case "ReduceLogSumExp":
            return torch.logsumexp(x, axes, keep)
        case _:
            for axis in sorted((a % x.dim() for a in axes), reverse=True):
                x = x.prod(axis, keep)
            return x


def _arg(c: Call) -> torch.Tensor:
    if c.attr("select_last_index", 0):
        raise c.unsupported("select_last_index")
    fn = torch.argmax if c.op == "ArgMax" else torch.argmin
    return fn(c.x(), c.attr("axis", 0), bool(c.attr("keepdims", 1)))


def _top_k(c: Call) -> tuple[torch.Tensor, ...]:
    (k,) = c.ints(1) or [1]
    largest, ordered = bool(c.attr("largest", 1)), bool(c.attr("sorted", 1))
    return tuple(torch.topk(c.x(), k, c.attr("axis", -1), largest, ordered))


def _cumulative(c: Call) -> torch.Tensor:
    if c.attr("exclusive", 0) or c.attr("reverse", 0):
        raise c.unsupported("exclusive or reverse")
    (axis,) = c.ints(1) or [0]
    return torch.cumsum(c.x(), axis)


def _one_hot(c: Call) -> torch.Tensor:
    (depth,), values = c.ints(1) or [0], c.const(2).array
    if c.attr("axis", -1) != -1 or depth > _MANY:
        raise c.unsupported("such an axis")
    off, on = (float(v) for v in values.reshape(-1))
    index = c.x().unsqueeze(-1)
    hit = index == torch.arange(depth)
    return torch.where(hit, on, off)


def _trilu(c: Call) -> torch.Tensor:
    (k,) = c.ints(1) or [0]
    return torch.triu(c.x(), k) if c.attr("upper", 1) else torch.tril(c.x(), k)


def _eye(c: Call) -> torch.Tensor:
    rows, columns = (int(n) for n in c.x().shape)
    if rows * columns > _MANY:
        raise too_large(c.node.loc, rows * columns)
    place = torch.arange(columns).unsqueeze(0) - torch.arange(rows).unsqueeze(1)
    ones: torch.Tensor = place == c.attr("k", 0)
    return ones.to(c.x().dtype)


def _made(c: Call) -> torch.Tensor:
    """ConstantOfShape and Range of sizes that depend on the data."""
    raise c.unsupported("sizes that depend on the data")


# ---- sequences of tensors, which torch calls lists


def _listed(c: Call) -> list[Any]:
    return list(c.values)


def _items(c: Call) -> list[Any]:
    if not isinstance(c.values[0], list):
        raise TypeError("a sequence is expected")
    return c.values[0]


def _at(c: Call) -> Any:
    return _items(c)[(c.ints(1) or [0])[0]]


def _joined(c: Call) -> torch.Tensor:
    parts = [c.module.whole(x) for x in _items(c)]
    axis = c.attr("axis")
    return torch.stack(parts, axis) if c.attr("new_axis", 0) else torch.cat(parts, axis)


def _apart(c: Call) -> list[torch.Tensor]:
    x, axis = c.x(), c.attr("axis", 0)
    if c.has(1) and c.const(1).array.ndim:
        return list(torch.split(x, c.ints(1) or [], axis))
    (size,) = (c.ints(1) or [1]) if c.has(1) else [1]
    parts = list(torch.split(x, size, axis))
    drop = not c.has(1) and not c.attr("keepdims", 1)
    return [p.squeeze(axis) for p in parts] if drop else parts


def _inserted(c: Call) -> list[Any]:
    items = list(_items(c))
    items.insert((c.ints(2) or [len(items)])[0] if c.has(2) else len(items), c.values[1])
    return items


def _length(c: Call) -> Const:
    return Const(np.array(len(_items(c)), np.int64), live=True)


SHAPES: dict[str, Rule] = {
    "Shape": _shape,
    "Size": _size,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
    "Tile": _tile,
    "Concat": _concat,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Split": _split,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"), _reduce),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"), _reduce),
    "TopK": _top_k,
    "CumSum": _cumulative,
    "OneHot": _one_hot,
    "Trilu": _trilu,
    "EyeLike": _eye,
    "ConstantOfShape": _made,
    "Range": _made,
    "Constant": _made,
    "SequenceConstruct": _listed,
    "SequenceEmpty": _listed,
    "SequenceAt": _at,
    "SequenceInsert": _inserted,
    "SequenceLength": _length,
    "ConcatFromSequence": _joined,
    "SplitToSequence": _apart,
}
