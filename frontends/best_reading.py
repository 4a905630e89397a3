"""Choose among the readings of a file: the axis of time is the one along which something is kept.

Samples of a batch are computed independently of each other.  So an axis along which nothing is
kept can always be taken for time as well, and every check passes: the loop inside then looks like
a chain of layers.  Such a reading counts only if no other one is true.  Where the program does not
even walk along an axis, it is one step, and its first axis is the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from snnc import ops
from snnc.container import LoadedModel
from snnc.diagnostics import CompileError, fail
from snnc.frontends.readings import TRIES, FileInput, Reading, batched, rank
from snnc.graph import Graph

#: What collects something over the steps; a stack or the last value alone does not.
_TOTALS = (ops.TimeSum, ops.TimeMean, ops.TimeMax)
#: What makes a spike.
_COMPARISONS = ("ge", "gt", "le", "lt", "eq", "ne")


def best_reading(
    possible: Iterable[Reading],
    recover: Callable[[Reading], LoadedModel],
    alone: Iterable[Reading] = (),
    option: str = "--steps",
) -> LoadedModel:
    """The model of the first reading that carries something from step to step, else the first.

    Args:
        possible: Readings, the most likely first.
        recover: The checked model of a reading.
        alone: Readings as one step, for a program without a visible loop: they come before the
            readings that carry nothing.
        option: With which the user says how many steps there are.

    Raises:
        CompileError: The one that says most, if no reading is true; E137 for one step that may
            have lost its state.
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
    step, refused = _one_step(alone, recover)
    if step is not None and not (lost := _may_have_state(step.graph)):
        return step
    if joined is not None:
        raise joined
    if step is not None and (stateless is not None or best is None):
        raise _state_lost(lost, option)
    if stateless is not None:
        return stateless
    best = best or refused
    assert best is not None, "there is a reading, and it raised"
    raise best


def _one_step(
    alone: Iterable[Reading], recover: Callable[[Reading], LoadedModel]
) -> tuple[LoadedModel | None, CompileError | None]:
    """The first reading as one step that is true, or the first reason why none is."""
    first: CompileError | None = None
    for reading in alone:
        try:
            return recover(reading), None
        except CompileError as e:
            first = first or e
    return None, first


def _may_have_state(graph: Graph) -> str:
    """Why one step looks like that of a network with states, or nothing."""
    for node in graph:
        if isinstance(node.op, ops.Pointwise) and node.op.fn in _COMPARISONS:
            return f"compares with a threshold ({node.name})"
    shapes = [n.type.shape for n in graph if isinstance(n.op, ops.Input)]
    outputs = [n for n in graph if isinstance(n.op, ops.Output)]
    if len(shapes) > 1 and len(outputs) > 1 and any(n.type.shape in shapes for n in outputs):
        return "has an output of the shape of an input, as a state has"
    return ""


def _state_lost(reason: str, option: str) -> CompileError:
    return fail(
        "E137",
        f"the program {reason}, but has no loop over time and keeps nothing",
        None,
        "torch.export and ONNX write what one call computes; a state that the module keeps "
        "between calls is not in the file",
        help="export a module with the loop over time in its forward(), or use snnc.export; if "
        f"there is no state, say so: {option} 1 for samples in a batch",
    )


def carries(graph: Graph) -> bool:
    """Whether anything is kept from one step to the next."""
    return any(e.delay for e in graph.edges) or any(isinstance(n.op, _TOTALS) for n in graph)


def with_steps(
    inputs: tuple[FileInput, ...], possible: Iterable[Reading], steps: int, indexed: bool
) -> Iterator[Reading]:
    """The readings with the user's number of steps; ``indexed``: the program walks along an axis.

    Without that, the user's number is that of a loop inside, whatever the program looks like.
    One step is no loop, whatever the program indexes.
    """
    static = [] if indexed and steps > 1 else [*batched(inputs, steps, (None,) * len(inputs))]
    yield from static
    yield from (r for r in possible if r.steps == steps and r not in static)
