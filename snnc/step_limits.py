"""With how many steps a network means something: parameters per step, warm-up, matrices of steps.

Works on real and on integer graphs.
"""

from __future__ import annotations

from collections.abc import Iterator

from snnc.diagnostics import CompileError, Diagnostic, error
from snnc.graph import Graph, Node
from snnc.int_sequence_ops import IntTimeMix
from snnc.int_time_ops import IntCollect, IntStepRescale, IntStepTable
from snnc.time_ops import Collect, Sequence, StepAffine, StepTable, TimeMix


def step_limits(graph: Graph) -> tuple[int, int]:
    """Least and largest number of steps of the first loop; 0 for the largest: any.

    Raises:
        CompileError: E215 if a loop with steps of its own, or every number, is outside.
    """
    fewest, most = 0, 0
    problems: list[Diagnostic] = []
    for node in graph.nodes:
        if isinstance(node.op, Sequence):
            phase = node.type.clock.phase
            sides = [graph.steps_of(p, 0) for p in (phase - 1, phase)]
            if sides[0] != sides[1]:
                text = f"{node.name} hands a sequence on to a loop with another number of steps"
                problems.append(error("E215", text, node.loc))
        for phase, least, largest in _limits(node):
            own = graph.steps_of(phase, 0)
            if own and not least <= own <= (largest or own):
                text = f"{node.name} {_holds(least, largest)}, its loop has {own}"
                problems.append(error("E215", text, node.loc))
            elif not own:
                fewest = max(fewest, least)
                most = min(most or largest, largest or most)
    if most and fewest > most:
        text = f"one part of the network needs {fewest} steps, another holds for {most} at most"
        problems.append(error("E215", text))
    if problems:
        raise CompileError(problems)
    return fewest, most


def _holds(least: int, largest: int) -> str:
    if least == largest:
        return f"is defined for {least} steps"
    return f"needs more than {least - 1} steps" if least else f"holds for {largest} steps at most"


def _limits(node: Node) -> Iterator[tuple[int, int, int]]:
    """Loop, least and largest number of its steps, for a node that limits them."""
    op = node.op
    if isinstance(op, StepTable | IntStepTable):
        yield op.phase, 0, op.values.shape[0]
    elif isinstance(op, StepAffine):
        yield node.type.clock.phase, 0, op.scale.shape[0]
    elif isinstance(op, IntStepRescale):
        yield node.type.clock.phase, 0, op.multiplier.shape[0]
    elif isinstance(op, Collect | IntCollect) and op.start:
        yield node.type.clock.phase, op.start + 1, 0
    elif isinstance(op, TimeMix | IntTimeMix):
        yield node.type.clock.phase - 1, op.steps, op.steps
