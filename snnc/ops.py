"""Real-valued operators: what the network computes. Names follow NIR where NIR has them.

Shapes are those of one sample at one step.  This module lists all operators; they are defined in
the modules named after their kind.
"""

from __future__ import annotations

from snnc.attention_ops import Matmul, Softmax
from snnc.code_ops import RateCode
from snnc.conv_ops import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from snnc.delay_ops import DelayLinear
from snnc.layer_ops import BatchNorm, Embedding, LayerNorm, Linear, RMSNorm
from snnc.network_ops import Constant, Input, Neuron, Output, Pointwise, Sum
from snnc.op import Op
from snnc.pool_ops import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    SumPool1d,
    SumPool2d,
    SumPool3d,
    Upsample,
)
from snnc.tensor_ops import (
    ArgMax,
    Concat,
    Expand,
    Reduce,
    Reshape,
    Slice,
    Take,
    TopK,
    Transpose,
)
from snnc.time_ops import (
    Collect,
    Crossing,
    Hold,
    Repeat,
    Replay,
    Sequence,
    StepAffine,
    StepTable,
    TimeFlip,
    TimeLast,
    TimeMax,
    TimeMean,
    TimeMix,
    TimeStack,
    TimeSum,
)

#: Every operator by its name.
OPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        *(Input, Output, Constant),
        *(Linear, DelayLinear, Embedding, Conv1d, Conv2d, Conv3d),
        *(ConvTranspose1d, ConvTranspose2d, ConvTranspose3d),
        *(BatchNorm, LayerNorm, RMSNorm),
        *(SumPool1d, SumPool2d, SumPool3d, AvgPool1d, AvgPool2d, AvgPool3d),
        *(MaxPool1d, MaxPool2d, MaxPool3d, Upsample),
        *(Reshape, Transpose, Slice, Concat, Expand, Take, Reduce, ArgMax, TopK),
        *(Matmul, Softmax, Pointwise, Sum, Neuron),
        *(StepTable, StepAffine, Repeat, TimeSum, TimeMean, TimeLast, TimeMax, TimeStack),
        *(Hold, Replay, TimeFlip, TimeMix),
        RateCode,
    )
}

__all__ = [
    "OPS",
    "ArgMax",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm",
    "Collect",
    "Concat",
    "Constant",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Crossing",
    "DelayLinear",
    "Embedding",
    "Expand",
    "Hold",
    "Input",
    "LayerNorm",
    "Linear",
    "Matmul",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Neuron",
    "Op",
    "Output",
    "Pointwise",
    "RMSNorm",
    "RateCode",
    "Reduce",
    "Repeat",
    "Replay",
    "Reshape",
    "Sequence",
    "Slice",
    "Softmax",
    "StepAffine",
    "StepTable",
    "Sum",
    "SumPool1d",
    "SumPool2d",
    "SumPool3d",
    "Take",
    "TimeFlip",
    "TimeLast",
    "TimeMax",
    "TimeMean",
    "TimeMix",
    "TimeStack",
    "TimeSum",
    "TopK",
    "Transpose",
    "Upsample",
]
