"""Integer operators: exactly which integers flow, with every width, shift and rounding a field.

All values are mathematical integers; ``prove-ranges`` shows that they fit the words a backend
uses.  ``backends/numpy`` is the executable definition of every operator.  This module lists all
operators; they are defined in the modules named after their kind.
"""

from __future__ import annotations

from snnc.int_layer_ops import IntConv2d, IntEmbedding, IntLinear, IntMaxPool2d, IntSumPool2d
from snnc.int_network_ops import IntInput, IntNeuron, IntOutput, IntRescale, IntSum
from snnc.int_norm_ops import IntLayerNorm, IntRMSNorm
from snnc.int_sequence_ops import IntHold, IntReplay, IntTimeFlip, IntTimeMix
from snnc.int_tensor_ops import (
    IntArgMax,
    IntConcat,
    IntExpand,
    IntReduce,
    IntReshape,
    IntSlice,
    IntTake,
    IntTranspose,
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
        *(IntInput, IntOutput, IntLinear, IntEmbedding, IntConv2d, IntSumPool2d, IntMaxPool2d),
        *(IntReshape, IntTranspose, IntSlice, IntConcat, IntExpand, IntTake, IntReduce, IntArgMax),
        *(IntSum, IntRescale, IntNeuron),
        *(IntLayerNorm, IntRMSNorm),
        *(IntRepeat, IntTimeSum, IntTimeMean, IntTimeLast, IntTimeMax, IntTimeStack),
        *(IntStepTable, IntStepRescale, IntHold, IntReplay, IntTimeFlip, IntTimeMix),
    )
}

__all__ = [
    "INTOPS",
    "IntArgMax",
    "IntConcat",
    "IntConv2d",
    "IntEmbedding",
    "IntExpand",
    "IntHold",
    "IntInput",
    "IntLayerNorm",
    "IntLinear",
    "IntMaxPool2d",
    "IntNeuron",
    "IntOutput",
    "IntRMSNorm",
    "IntReduce",
    "IntRepeat",
    "IntReplay",
    "IntRescale",
    "IntReshape",
    "IntSlice",
    "IntStepRescale",
    "IntStepTable",
    "IntSum",
    "IntSumPool2d",
    "IntTake",
    "IntTimeFlip",
    "IntTimeLast",
    "IntTimeMax",
    "IntTimeMean",
    "IntTimeMix",
    "IntTimeStack",
    "IntTimeSum",
    "IntTranspose",
]
