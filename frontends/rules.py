"""Every operator that the torch frontend understands, by its ATen name."""

from __future__ import annotations

from snnc.frontends.cell_rules import CELL_RULES
from snnc.frontends.complex_rules import COMPLEX_RULES
from snnc.frontends.integer_rules import INTEGER_RULES
from snnc.frontends.layer_rules import LAYER_RULES
from snnc.frontends.pointwise_rules import POINTWISE_RULES
from snnc.frontends.scalarize import Rule
from snnc.frontends.sequence_rules import SEQUENCE_RULES
from snnc.frontends.shape_rules import SHAPE_RULES
from snnc.frontends.time_rules import TIME_RULES

RULES: dict[str, Rule] = {
    **POINTWISE_RULES,
    **SHAPE_RULES,
    **INTEGER_RULES,
    **TIME_RULES,
    **LAYER_RULES,
    **CELL_RULES,
    **COMPLEX_RULES,
    **SEQUENCE_RULES,
}

#: Operators that, on parameters alone, are computed when the graph is built.
MOVES = frozenset((*TIME_RULES, *LAYER_RULES, "permute", "transpose", "select", "cat", "stack"))
