"""Every integer operator with its module."""

from __future__ import annotations

from snnc.backends.torch.attention import ATTENTION
from snnc.backends.torch.collectors import COLLECTORS, SEQUENCES
from snnc.backends.torch.layers import LAYERS
from snnc.backends.torch.norms import NORMS
from snnc.backends.torch.operator import Operator
from snnc.backends.torch.reductions import REDUCTIONS
from snnc.backends.torch.steps import STEPS
from snnc.backends.torch.tensors import TENSORS
from snnc.backends.torch.windows import WINDOWS

#: The module of every operator by its name, besides those of ``BOUNDARY``.
OPERATORS: dict[str, type[Operator]] = {
    **LAYERS,
    **WINDOWS,
    **TENSORS,
    **REDUCTIONS,
    **NORMS,
    **ATTENTION,
    **STEPS,
    **COLLECTORS,
    **SEQUENCES,
}
#: What the network itself does: it takes inputs, and neurons have states.
BOUNDARY = ("IntInput", "IntNeuron")
