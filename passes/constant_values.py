"""Parameters as values: a class token that joins the patches, a matrix that others multiply.

Most parameters disappear into weights, kernels and units.  One that an operator reads as it reads
any other value is computed once, by a function without inputs.
"""

from __future__ import annotations

import numpy as np

from snnc.exact import ONE, floats, leaf, nearest, signs
from snnc.graph import Value
from snnc.intops import IntNeuron
from snnc.kernel import Const, Kernel, Line
from snnc.params import Param, compact
from snnc.passes.quantized_value import Lowered, QValue

#: Bits of the largest element, without its sign, unless all are whole numbers of as many bits.
CONSTANT_BITS = 15


def as_value(low: Lowered, name: str) -> QValue:
    """The constant node ``name`` as a value of the integer program, made when first asked for."""
    if (name, 0) in low.values:
        return low.values[name, 0]
    exact = low.constant(name)
    peak = float(np.abs(floats(exact)).max(initial=0.0))
    unit, codes = ONE, nearest(exact)
    if peak >= 1 << CONSTANT_BITS or signs(exact - leaf(codes.astype(np.float64))).any():
        unit = leaf(float(np.ldexp(1.0, int(np.frexp(peak)[1]) - CONSTANT_BITS)))
        codes = nearest(exact / unit)
    constant = Const("k", Param(compact(codes)), None, name)
    kernel = Kernel((), (), (constant,), (Line("value", "copy", ("k",)),), ("value",))
    low.out.add(name, IntNeuron(kernel, codes.shape), loc=low.real[name].loc)
    low.values[name, 0] = QValue(Value(name), unit)
    return low.values[name, 0]
