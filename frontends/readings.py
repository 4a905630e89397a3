"""What the axes of a file's inputs may mean: which is time, which is batch, and how many steps.

A file that holds one trace says none of it.  The possibilities are listed here, the most likely
first; whether one of them is true is decided by the recovery of the loop and its checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from snnc.diagnostics import CompileError, Diagnostic, remark

#: Sizes that serve as batch while tracing.
_PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79)
#: Fewer steps do not show what repeats.
SHORTEST = 4
#: Readings that are tried.
TRIES = 12


@dataclass(frozen=True, slots=True)
class FileInput:
    """An input of the user: its type as ``ScalarType``, and (extent, whether it is fixed)."""

    name: str
    dtype: int
    shape: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the axes of the inputs may mean; ``batch`` is the batch size to trace with."""

    steps: int
    times: tuple[int | None, ...]
    batches: tuple[int | None, ...]
    batch: int | None


def readings(
    inputs: Sequence[FileInput], selected: set[tuple[int, int]], repetitions: Iterable[int]
) -> Iterator[Reading]:
    """What the axes may mean, the most likely first.

    Args:
        inputs: Of the program.
        selected: (input, axis) of which single elements are taken, as a loop over time does.
        repetitions: How often something repeats, for programs whose inputs have no time axis.
    """
    used = {(i, a) for i, a in selected if a < 2 and inputs[i].shape[a][0] >= SHORTEST}
    axes = [(i, a) for i, x in enumerate(inputs) for a in range(min(2, len(x.shape)))]
    chosen = [ia for ia in axes if ia in used] or axes
    if not used:  # no axis is walked along: more likely a loop inside than a batch that is time
        for steps in repetitions:
            yield from batched(inputs, steps, (None,) * len(inputs))
    seen: set[tuple[int, tuple[int | None, ...]]] = set()
    for index, axis in chosen:
        steps, fixed = inputs[index].shape[axis]
        times = tuple(
            axis if i == index else _time_like(x, steps, axis, i, used)
            for i, x in enumerate(inputs)
        )
        if not fixed or steps < SHORTEST or (steps, times) in seen:
            continue
        seen.add((steps, times))
        yield from batched(inputs, steps, times)


def _time_like(
    x: FileInput, steps: int, axis: int, index: int, used: set[tuple[int, int]]
) -> int | None:
    """The time axis of another input, if it has one."""
    own = [a for a in range(min(2, len(x.shape))) if x.shape[a] == (steps, True)]
    own = [a for a in own if (index, a) in used] or own
    return axis if axis in own else next(iter(own), None)


def batched(
    inputs: Sequence[FileInput], steps: int, times: tuple[int | None, ...]
) -> Iterator[Reading]:
    """With batch beside time and without; sizes that the program takes, the safest first."""
    sizes = {n for x in inputs for n, _ in x.shape} | {steps}
    prime = next(p for p in _PRIMES if all(n % p for n in sizes if n))
    other = tuple(
        None if len(x.shape) <= (t is not None) else (0 if t is None else 1 - t)
        for x, t in zip(inputs, times, strict=True)
    )
    none: tuple[int | None, ...] = (None,) * len(times)
    with_batch = []
    extents = {x.shape[b] for x, b in zip(inputs, other, strict=True) if b is not None}
    if len({n for n, _ in extents}) == 1:
        ((own, fixed), *_) = sorted(extents)
        with_batch = [Reading(steps, times, other, prime)]
        if fixed and own > 1:
            with_batch.append(Reading(steps, times, other, own))
    without = Reading(steps, times, none, None)
    ranks = [len(x.shape) - (t is not None) for x, t in zip(inputs, times, strict=True)]
    flat = max(ranks, default=0) < 2
    yield from ([without, *with_batch] if flat else [*with_batch, without])


def one_step(inputs: Sequence[FileInput]) -> Iterator[Reading]:
    """Without time, and the first axis as batch; a vector may be a sample of features."""
    vectors = max((len(x.shape) for x in inputs), default=0) < 2
    found = [*batched(inputs, 1, (None,) * len(inputs))]
    yield from (r for r in found if r.batch is not None)
    yield from (r for r in found if r.batch is None and vectors)


def rank(e: CompileError) -> int:
    """How much an error says: one that no reading changes comes first, then failed loops."""
    codes = {d.code for d in e.diagnostics}
    ranks = (
        ({"E139", "E136", "E160"}, 0),
        ({"E133", "E131", "E132"}, 1),
        ({"E210", "E134", "E135"}, 2),
    )
    return min((rank for those, rank in ranks if codes & those), default=3)


def assumptions(reading: Reading, names: list[str], varied: bool) -> Diagnostic:
    """The remark that says how the file was read."""
    pairs = zip(names, reading.times, reading.batches, strict=True)
    axes = "; ".join(f"{n}: time axis {_axis(t)}, batch axis {_axis(b)}" for n, t, b in pairs)
    text = "the program takes any number of steps"
    if not varied:
        text = f"{reading.steps} steps are written into the program"
    if reading.steps == 1:
        text = "the program has no loop over time: it is one step"
    return remark(
        "R149",
        f"{text}; {axes}",
        None,
        "inputs are taken to be real numbers from 0 to 1: the file does not say; give samples "
        "with --calibration DATA, or use snnc.export, which keeps their range",
    )


def _axis(axis: int | None) -> str:
    return "none" if axis is None else str(axis)
