"""How the constants of the integer program follow row scales and the model's own constants.

Found by trial: every other scale or constant is changed a little, the model is quantized again, and
its integers are compared; then the others.  So it shows which integers follow which number.  Those
that depend on several numbers at once stay as they are until the program is lowered again, and so
does a unit that all elements share, as that of the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnc import intops
from snnc.graph import Graph
from snnc.intops import IntNeuron, IntOutput, IntRescale
from snnc.params import Param
from snnc.passes.weight_rows import IntWeighted
from snnc.storage import dump_graph

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
#: A node of the program and one of its constants.
Target = tuple[str, str]
#: From an array of the model to the program with it, or None if there is none.
Trial = Callable[[Floats], Graph | None]

#: Share by which a trial changes scales, and constants relative to their size.
CHANGE = 1 / 32
#: An exponent so near to a whole number is that: the rest is rounding.
WHOLE = 0.05


@dataclass(frozen=True, eq=False)
class Slope:
    """How the elements of one integer constant follow those of one array of the model.

    Attributes:
        target: The integer constant.
        index: For each of its elements the element it follows; it may have more than the constant
            has now.
        value: By how much: of a scale the exponent of a power, else the change per unit, relative
            to ``size`` of the constant.
    """

    target: Target
    index: Indices
    value: Floats


def size(array: Floats) -> float:
    """Of the elements of an array, their root mean square."""
    return float(np.sqrt(np.square(array).mean())) if array.size else 0.0


def slopes(program: Graph, trial: Trial, at: Floats, power: bool) -> list[Slope]:
    """How the constants of a program follow one array.

    Args:
        program: As it is.
        trial: The program with another such array.
        at: The array.
        power: Whether integers are products with powers of the elements; else sums with them.
    """
    half = np.arange(at.size).reshape(at.shape) % 2 == 0
    halves = [half, ~half] if at.size > 1 else [half]
    for change in (CHANGE, -CHANGE):
        by = change if power else change * (size(at) or 1.0)
        arrays = [np.where(mask, at * (1 + by) if power else at + by, at) for mask in halves]
        programs = [other for array in arrays if (other := _tried(program, trial, array))]
        if len(programs) == len(halves):
            break
    else:
        return []
    found = []
    for target, constant in effective(program).items():
        news = [constants[target][0] for constants in programs]
        if follow := _followed(constant, news, halves, power):
            index, old, new = follow
            value = _exponents(old, new, by) if power else (new - old) / by / (size(old) or 1.0)
            found.append(Slope(target, index, value))
    return found


def _followed(
    constant: tuple[Floats, float], news: list[Floats], halves: list[Mask], power: bool
) -> tuple[Indices, Floats, Floats] | None:
    """Which numbers a constant's elements follow, what they were, and what all trials made them."""
    old, step = constant
    shape = np.broadcast_shapes(old.shape, *(x.shape for x in news))
    old = np.broadcast_to(old, shape)
    if all((np.abs(new - old) <= 1.5 * step).all() for new in news):
        return None
    for index in _candidates(halves[0].shape, shape):
        both = np.array(old)
        for new, half in zip(news, halves, strict=True):
            mask = half.reshape(-1)[index]
            alone = _alone(old, np.broadcast_to(new, shape), mask, step, power)
            if alone is None:
                break
            both[mask] = alone[mask]
        else:
            return (index, old, both) if (np.abs(both - old) > 1.5 * step).any() else None
    return None


def effective(program: Graph) -> dict[Target, tuple[Floats, float]]:
    """Every integer constant that may be trained as a real number, and what one step of it is.

    Multipliers are divided by their shift.
    """
    found: dict[Target, tuple[Floats, float]] = {}
    for node in program:
        for name, array in trained_constants(node.op):
            step = 1.0
            if isinstance(node.op, IntRescale) and name == "multiplier":
                step = 2.0**-node.op.shift
            found[node.name, name] = array * step, step
    return found


def trained_constants(op: object) -> Iterator[tuple[str, Floats]]:
    """Constants of an operator that modules of the network to train have gradients for."""
    if isinstance(op, IntNeuron):
        for const in op.kernel.consts:
            data = const.values.data
            yield const.name, (data if const.index is None else data[const.index.data]) * 1.0
    elif isinstance(op, (IntRescale, *NORMS)):
        for name in ("multiplier", "bias", "gain", "offset"):
            if isinstance(value := getattr(op, name, None), Param):
                yield name, value.data * 1.0


#: Normalizations.
NORMS = (intops.IntLayerNorm, intops.IntRMSNorm)


def skeleton(program: Graph) -> bytes:
    """The program without any number that training may change."""
    graph = program.copy()
    for node in program:
        op = node.op
        if isinstance(op, IntWeighted):
            none = None if op.bias is None else _ZERO
            op = replace(op, weight=Param(np.zeros(op.weight.shape, np.int8)), bias=none)
        elif isinstance(op, IntNeuron):
            consts = tuple(replace(c, values=_ZERO, index=None) for c in op.kernel.consts)
            op = replace(op, kernel=replace(op.kernel, consts=consts))
        elif isinstance(op, IntOutput):
            op = replace(op, scale=Param(np.ones(1)))
        elif isinstance(op, IntRescale):
            bias = None if op.bias is None else _ZERO
            op = replace(op, multiplier=_ZERO, bias=bias, shift=0)
        elif isinstance(op, NORMS):
            op = replace(op, gain=_ZERO, offset=None if op.offset is None else _ZERO, eps=0)
        graph.replace(replace(node, op=op))
    return dump_graph(graph)[0]


_ZERO = Param(np.zeros((), np.int8))


def _tried(
    program: Graph, trial: Trial, array: Floats
) -> dict[Target, tuple[Floats, float]] | None:
    """The constants of a trial, if its program has the same form."""
    other = trial(array)
    if other is None or skeleton(other) != skeleton(program):
        return None
    return effective(other)


def _alone(old: Floats, new: Floats, mask: Mask, step: float, power: bool) -> Floats | None:
    """The new elements, in the unit of the old, if those outside of the mask are as they were."""
    rest = ~mask & (old != 0) & (new != 0)
    unit = float(np.median(old[rest] / new[rest])) if power and rest.any() else 1.0
    found: Floats = new * unit
    slack = 2 * step * max(1.0, unit) + 0.02 * np.abs(found - old).max()
    return None if (np.abs(found - old)[~mask] > slack).any() else found


def _candidates(source: tuple[int, ...], target: tuple[int, ...]) -> Iterator[Indices]:
    """Ways in which elements of one shape may belong to those of another."""
    count = int(np.prod(source, dtype=np.int64))
    numbers = np.arange(count)
    if count == int(np.prod(target, dtype=np.int64)):
        yield numbers.reshape(target)
    for shape in (source, (count, 1), (count, 1, 1), (count, 1, 1, 1), (count,)):
        try:
            yield np.broadcast_to(numbers.reshape(shape), target)
        except ValueError:
            continue


def _exponents(old: Floats, new: Floats, change: float) -> Floats:
    ratio = np.where((old != 0) & (new * old > 0), new / np.where(old == 0, 1, old), 1.0)
    found: Floats = np.log(ratio) / np.log1p(change)
    whole = np.rint(found)
    return np.where(np.abs(found - whole) < WHOLE, whole, found)
