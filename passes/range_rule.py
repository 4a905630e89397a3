"""What a range rule is."""

from __future__ import annotations

from collections.abc import Callable

from snnc.graph import Node
from snnc.interval import Interval

#: The exact interval of a node's value, from those of its operands, for that many steps at most.
#: Raises RangeOverflowError for values of more than 63 bits.
RangeRule = Callable[[Node, list[Interval], int], Interval]
