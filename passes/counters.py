"""Populations that count: their numbers are whole, and they read nothing."""

from __future__ import annotations

from snnc.kernel import PREDICATES, Kernel

_EXACT = {"add", "sub", "neg", "mul", "maximum", "minimum", "where", *PREDICATES}


def counts(kernel: Kernel) -> bool:
    """Whether a kernel has no inputs and only whole numbers, such as the number of the step.

    Its values have unit 1: they can be compared with other counts for equality.
    """
    data = [c.values.data for c in kernel.consts] + [s.init.data for s in kernel.states]
    whole = not any((d % 1).any() for d in data)
    return not kernel.inputs and whole and all(line.fn in _EXACT for line in kernel.body)
