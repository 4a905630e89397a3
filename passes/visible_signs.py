"""Write differences from extremes so that intervals show their sign.

``x - max(x, y) = min(x - y, 0)`` and ``max(x, y) - x = max(y - x, 0)``, likewise with the minimum.
Left as they are, the interval of the difference holds both signs, and an exponential of it, as in
every softmax that is relative to its largest element, has no useful bound.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc.kernel import Const, Kernel, Line
from snnc.params import Param

_EXTREMES = ("maximum", "minimum")


def visible_signs(kernel: Kernel) -> Kernel:
    """The same kernel of real numbers, with such differences rewritten."""
    extremes = {line.name: line for line in kernel.body if line.fn in _EXTREMES}
    taken = {*kernel.leaves(), *(line.name for line in kernel.body)}
    zero = _fresh("zero", taken)
    body: list[Line] = []
    for line in kernel.body:
        found = _rewritten(line, extremes, taken, zero) if line.fn == "sub" else None
        body += found or [line]
    if len(body) == len(kernel.body):
        return kernel
    consts = (*kernel.consts, Const(zero, Param(np.zeros(()))))
    return replace(kernel, consts=consts, body=tuple(body))


def _rewritten(
    line: Line, extremes: dict[str, Line], taken: set[str], zero: str
) -> list[Line] | None:
    a, b = line.args
    for of, other, flip in ((b, a, True), (a, b, False)):
        extreme = extremes.get(of)
        if extreme is None or other not in extreme.args:
            continue
        rest = extreme.args[1] if extreme.args[0] == other else extreme.args[0]
        name = _fresh(f"{line.name}_apart", taken)
        apart = (other, rest) if flip else (rest, other)
        fn = _EXTREMES[(extreme.fn == "maximum") == flip]
        return [Line(name, "sub", apart), replace(line, fn=fn, args=(name, zero))]
    return None


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
