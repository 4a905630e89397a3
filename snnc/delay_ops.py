"""Layers with weights whose inputs arrive some steps later: axonal and synaptic delays."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.layer_shapes import check_bias
from snnc.op import Op, Types, one
from snnc.params import Param
from snnc.types import FLOAT32, Clock, TensorType

#: Longest delay in steps, of an edge or of a synapse: each keeps a whole value.
LONGEST_DELAY = 4096


@dataclass(frozen=True, slots=True)
class DelayLinear(Op):
    """``y[t] = sum_c weight[:, c] x.flat[index[c]][t - delay[c]] + bias``.

    Weight is (out, columns); ``index`` and ``delay`` have one entry per column.  Before the first
    step x was zero.  With one column per input it has axonal delays; with a column per input and
    delay, of which each row uses one, delays of its own at every synapse (DCLS, arXiv:2306.17670).
    """

    weight: Param
    index: Param
    delay: Param
    bias: Param | None = None

    def infer(self, inputs: Types) -> Types:
        x = one(inputs)
        check_columns(self.weight, self.index, self.delay, x)
        out = self.weight.shape[0]
        check_bias(self.bias, out)
        return (TensorType((out,), FLOAT32, x.clock),)


def check_columns(weight: Param, index: Param, delay: Param, x: TensorType) -> None:
    """Check what says where and when a layer's columns read its input.

    Raises:
        ValueError: If something does not fit.
    """
    if x.clock.kind is not Clock.STEP:
        raise ValueError(f"delays are counted in steps, the input is {x}")
    columns = weight.shape[1:]
    if len(columns) != 1 or index.shape != columns or delay.shape != columns:
        raise ValueError(f"weight {weight}, index {index} and delay {delay}")
    if not weight.data.size or not index.is_integer or not delay.is_integer:
        raise ValueError(f"weight {weight}, index {index} and delay {delay}")
    if index.data.min() < 0 or index.data.max() >= x.size:
        raise ValueError(f"indices {index.data.min()} to {index.data.max()} of {x}")
    if delay.data.min() < 0 or delay.data.max() > LONGEST_DELAY:
        raise ValueError(f"delays of {delay.data.min()} to {delay.data.max()} steps")
