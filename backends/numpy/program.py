"""What the operators see of the integer program that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from snnc.backends.numpy.packing import Packed

Array = npt.NDArray[Any]
Record = dict[str, Any]


class Program(Protocol):
    """The parameters of the program."""

    #: The weights of a node, in the cheapest type in which products with them are exact.
    exact: dict[str, Array]
    #: Instead, those of which several share a float64.
    packed: dict[str, Packed]
    #: The type of a node's sums, if one smaller than int64 holds them on their way, too.
    sums: dict[str, type[np.int32]]

    def param(self, value: Any) -> npt.NDArray[np.int64]:
        """The int64 array of a stored parameter."""


#: An operator without state: its node and its operands, (N, ...) each, give its value.
Operator = Callable[[Program, Record, list[Array]], Array]
