"""Every operator that the torch frontend understands, by its ATen name."""

from __future__ import annotations

from snnc.frontends.activation_rules import ACTIVATION_RULES
from snnc.frontends.attention_rules import ATTENTION_RULES
from snnc.frontends.cell_rules import CELL_RULES
from snnc.frontends.complex_rules import COMPLEX_RULES
from snnc.frontends.integer_rules import INTEGER_RULES
from snnc.frontends.layer_rules import LAYER_RULES
from snnc.frontends.norm_rules import NORM_RULES
from snnc.frontends.pointwise_rules import POINTWISE_RULES
from snnc.frontends.pool_rules import POOL_RULES
from snnc.frontends.ranking_rules import RANKING_RULES
from snnc.frontends.scalarize import Rule
from snnc.frontends.select_rules import SELECT_RULES
from snnc.frontends.sequence_rules import SEQUENCE_RULES
from snnc.frontends.shape_rules import SHAPE_RULES
from snnc.frontends.time_rules import TIME_RULES

RULES: dict[str, Rule] = {
    **POINTWISE_RULES,
    **SHAPE_RULES,
    **INTEGER_RULES,
    **SELECT_RULES,
    **TIME_RULES,
    **ATTENTION_RULES,
    **RANKING_RULES,
    **ACTIVATION_RULES,
    **LAYER_RULES,
    **NORM_RULES,
    **POOL_RULES,
    **CELL_RULES,
    **COMPLEX_RULES,
    **SEQUENCE_RULES,
}

#: Operators that, on parameters alone, are computed when the graph is built.
MOVES = frozenset(
    (
        *(*TIME_RULES, *ATTENTION_RULES, *LAYER_RULES, *NORM_RULES, *POOL_RULES),
        *RANKING_RULES,
        *("permute", "transpose", "cat", "stack"),
        *("select", "slice", "index", "index_select", "gather"),
    )
)
