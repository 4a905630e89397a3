"""One case or more for every operator without state: what the tests of operators run over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnc import ops
from snnc.graph import Graph
from snnc.params import Param
from snnc.types import FLOAT32, DType, Int, TensorType

_RNG = np.random.default_rng(7)


def _p(*shape: int) -> Param:
    """Quarters up to 2: with such inputs, sums of products are exact in any order."""
    return Param((_RNG.integers(-8, 9, shape) / 4).astype(np.float32))


#: With ``eps = 1/4``, the standard deviations are 1 and 2.
_VARIANCES = Param(np.float32([0.75, 3.75]))


@dataclass(frozen=True)
class OpCase:
    """An operator and the shapes of its operands."""

    op: ops.Op
    shapes: tuple[tuple[int, ...], ...]
    dtype: DType = FLOAT32

    def __str__(self) -> str:
        return f"{type(self.op).__name__}-{'-'.join('x'.join(map(str, s)) for s in self.shapes)}"


def graph_of(case: OpCase) -> Graph:
    """Inputs, the operator and an output of all steps."""
    graph = Graph("case")
    names = [
        graph.add(f"x{i}", ops.Input(TensorType(s, case.dtype))).name
        for i, s in enumerate(case.shapes)
    ]
    graph.add("y", case.op, *names)
    graph.add("stack", ops.TimeStack(), "y")
    graph.add("out", ops.Output(), "stack")
    return graph


CASES = [
    OpCase(ops.Linear(_p(4, 3), _p(4)), ((2, 3),)),
    OpCase(ops.Embedding(_p(5, 3)), ((2,),), Int(0, 4)),
    OpCase(ops.Conv1d(_p(4, 1, 3), _p(4), (2,), (1,), (2,), 2), ((2, 9),)),
    OpCase(ops.Conv2d(_p(4, 1, 3, 2), _p(4), (2, 1), (1, 0), (1, 2), 2), ((2, 6, 7),)),
    OpCase(ops.Conv3d(_p(3, 2, 2, 3, 1), None, (1, 2, 1), (1, 1, 0)), ((2, 3, 5, 4),)),
    OpCase(ops.ConvTranspose1d(_p(2, 3, 3), _p(3), (2,), (1,), (1,)), ((2, 5),)),
    OpCase(
        ops.ConvTranspose2d(_p(4, 1, 3, 2), _p(2), (2, 1), (1, 0), (1, 0), (1, 2), 2), ((4, 3, 4),)
    ),
    OpCase(ops.ConvTranspose3d(_p(2, 1, 2, 2, 2), None, (2, 1, 2)), ((2, 2, 3, 2),)),
    OpCase(ops.BatchNorm(_p(2), _VARIANCES, _p(2), _p(2), 0.25), ((2, 3, 3),)),
    OpCase(ops.LayerNorm(2, _p(3, 4), _p(3, 4)), ((2, 3, 4),)),
    OpCase(ops.LayerNorm(1, None, None, 0.1), ((2, 3),)),
    OpCase(ops.RMSNorm(1, _p(4), 1e-3), ((3, 4),)),
    *(OpCase(op((3,), (2,), (1,)), ((2, 7),)) for op in (ops.SumPool1d, ops.MaxPool1d)),
    *(OpCase(op((3, 2), (2, 1), (1, 0)), ((2, 7, 5),)) for op in (ops.SumPool2d, ops.MaxPool2d)),
    *(
        OpCase(op((2, 2, 3), (2, 1, 1), (1, 0, 1)), ((2, 4, 3, 5),))
        for op in (ops.SumPool3d, ops.MaxPool3d)
    ),
    # windows of 2**n elements, by which a sum is divided exactly
    OpCase(ops.AvgPool1d((4,), (2,), (1,)), ((2, 7),)),
    OpCase(ops.AvgPool2d((4, 2), (2, 1), (1, 0)), ((2, 7, 5),)),
    OpCase(ops.AvgPool3d((2, 1, 4), (2, 1, 1), (1, 0, 1)), ((2, 4, 3, 5),)),
    OpCase(ops.Upsample((2, 3)), ((2, 3, 4),)),
    OpCase(ops.Reshape((6,)), ((2, 3),)),
    OpCase(ops.Transpose((2, 0, 1)), ((2, 3, 4),)),
    OpCase(ops.Slice(1, 1, 6, 2), ((2, 7),)),
    OpCase(ops.Concat(1), ((2, 3), (2, 1), (2, 2))),
    OpCase(ops.Expand((4, 2, 3)), ((2, 1),)),
    OpCase(ops.Take(1, Param(np.array([3, 0, 3, 1]))), ((2, 4),)),
    *(OpCase(ops.Reduce(fn, (0, 2), True), ((2, 3, 4),)) for fn in ("sum", "mean")),
    *(OpCase(ops.Reduce(fn, (1, 2)), ((2, 3, 4),)) for fn in ("max", "min", "prod")),
    OpCase(ops.ArgMax(0), ((5, 2),)),
    *(OpCase(ops.TopK(1, 3, p), ((2, 5, 3),)) for p in (False, True)),
    OpCase(ops.Matmul(), ((3, 1, 2, 4), (2, 4, 3))),
    OpCase(ops.Softmax(0), ((4, 2),)),
    OpCase(ops.Softmax(1), ((2, 4), (4,))),
    OpCase(ops.Pointwise("add"), ((2, 3), (3,))),
    OpCase(ops.Sum(), ((2, 3), (2, 3), (2, 3))),
]
