"""Choose among the readings of a file: the axis of time is the one along which something is kept.

Samples of a batch are computed independently of each other.  So an axis along which nothing is
kept can always be taken for time as well, and every check passes: the loop inside then looks like
a chain of layers.  Such a reading counts only if no other one is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from snnc import ops
from snnc.container import LoadedModel
from snnc.diagnostics import CompileError
from snnc.frontends.readings import TRIES, FileInput, Reading, batched, rank
from snnc.graph import Graph

#: What collects something over the steps; a stack or the last value alone does not.
_TOTALS = (ops.TimeSum, ops.TimeMean, ops.TimeMax)


def best_reading(
    possible: Iterable[Reading], recover: Callable[[Reading], LoadedModel]
) -> LoadedModel:
    """The model of the first reading that carries something from step to step, else the first.

    Raises:
        CompileError: The one that says most, if no reading is true.
    """
    best: CompileError | None = None
    joined: CompileError | None = None
    stateless: LoadedModel | None = None
    for reading in islice(possible, TRIES):
        try:
            model = recover(reading)
        except CompileError as e:
            best = e if best is None or rank(e) > rank(best) else best
            joined = e if e.diagnostics[0].code == "E164" else joined
            continue
        if carries(model.graph):
            return model
        stateless = stateless or model
    if joined is not None:
        raise joined
    if stateless is not None:
        return stateless
    assert best is not None, "there is a reading, and it raised"
    raise best


def carries(graph: Graph) -> bool:
    """Whether anything is kept from one step to the next."""
    return any(e.delay for e in graph.edges) or any(isinstance(n.op, _TOTALS) for n in graph)


def with_steps(
    inputs: tuple[FileInput, ...], possible: Iterable[Reading], steps: int, indexed: bool
) -> Iterator[Reading]:
    """The readings with the user's number of steps; ``indexed``: the program walks along an axis.

    Without that, the user's number is that of a loop inside, whatever the program looks like.
    """
    static = [] if indexed else [*batched(inputs, steps, (None,) * len(inputs))]
    yield from static
    yield from (r for r in possible if r.steps == steps and r not in static)
