"""Integer operators: exactly which integers flow, with every width, shift and rounding a field.

All values are mathematical integers; ``prove-ranges`` shows that they fit the words a backend
uses.  ``backends/numpy`` is the executable definition of every operator.  This module lists all
operators; they are defined in the modules named after their kind.
"""

from __future__ import annotations

from snnc.int_attention_ops import IntMatmul, IntSoftmax
from snnc.int_code_ops import IntRateCode
from snnc.int_delay_ops import IntDelayLinear
from snnc.int_layer_ops import (
    IntConv,
    IntConvTranspose,
    IntEmbedding,
    IntLinear,
    IntMaxPool,
    IntSumPool,
)
from snnc.int_network_ops import IntInput, IntNeuron, IntOutput, IntRescale, IntSum
from snnc.int_norm_ops import IntLayerNorm, IntRMSNorm
from snnc.int_sequence_ops import IntHold, IntReplay, IntTimeFlip, IntTimeMix
from snnc.int_tensor_ops import (
    IntArgMax,
    IntConcat,
    IntExpand,
    IntPad,
    IntReduce,
    IntReshape,
    IntSlice,
    IntTake,
    IntTopK,
    IntTranspose,
    IntUpsample,
)
from snnc.int_time_ops import (
    IntRepeat,
    IntStepRescale,
    IntStepTable,
    IntTimeLast,
    IntTimeMax,
    IntTimeMean,
    IntTimeStack,
    IntTimeSum,
)
from snnc.op import Op

#: Every operator by its name.
INTOPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
        *(IntInput, IntOutput, IntLinear, IntEmbedding, IntConv, IntConvTranspose),
        *(IntDelayLinear, IntSumPool, IntMaxPool),
        *(IntReshape, IntTranspose, IntSlice, IntConcat, IntExpand, IntTake, IntUpsample),
        *(IntPad, IntReduce, IntArgMax, IntTopK),
        *(IntSum, IntRescale, IntNeuron),
        *(IntLayerNorm, IntRMSNorm, IntMatmul, IntSoftmax),
        *(IntRepeat, IntTimeSum, IntTimeMean, IntTimeLast, IntTimeMax, IntTimeStack),
        IntRateCode,
        *(IntStepTable, IntStepRescale, IntHold, IntReplay, IntTimeFlip, IntTimeMix),
    )
}

__all__ = [
    "INTOPS",
    "IntArgMax",
    "IntConcat",
    "IntConv",
    "IntConvTranspose",
    "IntDelayLinear",
    "IntEmbedding",
    "IntExpand",
    "IntHold",
    "IntInput",
    "IntLayerNorm",
    "IntLinear",
    "IntMatmul",
    "IntMaxPool",
    "IntNeuron",
    "IntOutput",
    "IntPad",
    "IntRMSNorm",
    "IntRateCode",
    "IntReduce",
    "IntRepeat",
    "IntReplay",
    "IntRescale",
    "IntReshape",
    "IntSlice",
    "IntSoftmax",
    "IntStepRescale",
    "IntStepTable",
    "IntSum",
    "IntSumPool",
    "IntTake",
    "IntTimeFlip",
    "IntTimeLast",
    "IntTimeMax",
    "IntTimeMean",
    "IntTimeMix",
    "IntTimeStack",
    "IntTimeSum",
    "IntTopK",
    "IntTranspose",
    "IntUpsample",
]
