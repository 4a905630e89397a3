"""Read a ``.pt2`` file of ``torch.export.save``: one trace, with the number of steps in it.

Stages, all in a child process (``isolated.py``): ``pt2_archive`` and ``pt2_program`` read data and
refuse everything else before torch is imported; ``pt2_module`` executes the known operators, which
is traced again; ``pt2_single_trace`` recovers the loop.  The three checks are those of any export.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnc.container import LoadedModel, check_finite
from snnc.diagnostics import CompileError, Diagnostic, Severity, fail, remark
from snnc.frontends.isolated import Limits, read_isolated
from snnc.frontends.pt2_archive import read_archive
from snnc.frontends.pt2_program import PtInput, PtProgram, Ref, parse_program
from snnc.types import Clock
from snnc.untrusted import UnsafeError

if TYPE_CHECKING:
    from snnc.frontends.pt2_module import Exported

_MIB = 1 << 20
#: Sizes that serve as batch while tracing.
_PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79)
#: Readings of the axes that are tried.
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Reading:
    """What the axes of the inputs may mean; ``batch`` is the batch size to trace with."""

    steps: int
    times: tuple[int | None, ...]
    batches: tuple[int | None, ...]
    batch: int | None


def read_pt2(path: str | Path) -> LoadedModel:
    """Read a ``.pt2`` file; nothing in it is unpickled, evaluated or loaded as code.

    Raises:
        CompileError: E10x, E110, E111 for files that cannot be read, E13x if no loop is found,
            E210 for operators, E301 for NaN, E147 if the child did not survive.
    """
    path = Path(path)
    size = path.stat().st_size
    limits = Limits(8192 * _MIB + 16 * size, 60 + size // _MIB, 600.0, 256, 256 * _MIB + 8 * size)
    return read_isolated("snnc.frontends.from_pt2:read_bytes", path, {}, limits)


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read the file from its bytes, in this process: for the child, and for tests."""
    archive = read_archive(data, name)
    program = parse_program(archive.program, name)
    readings = list(_readings(program))
    if not readings:
        raise fail(
            "E137",
            f"no input of {name} has an axis of {_SHORTEST} steps or more",
            None,
            "an exported program with one step in it does not say how often it is called",
            help="export a module with the loop over time in its forward(), or use snnc.export",
        )
    _no_temporary_files()
    from snnc.frontends.pt2_module import Exported

    try:
        module = Exported(archive, program)
    except (UnsafeError, KeyError) as e:
        raise fail("E103", f"{name} is damaged: {e}", help="export the model again") from e
    best: CompileError | None = None
    for reading in readings[:_TRIES]:
        try:
            return _recovered(module, reading, name)
        except CompileError as e:
            best = e if best is None or _rank(e) > _rank(best) else best
    assert best is not None, "there is a reading, and it raised"
    raise best


def _no_temporary_files() -> None:
    """Let torch name a folder for temporary files where none can be written: it writes none."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = next((d for d in ("/tmp", "/var/tmp") if Path(d).is_dir()), ".")


def _rank(e: CompileError) -> int:
    """How much an error says: one that no reading changes comes first, then failed loops."""
    codes = {d.code for d in e.diagnostics}
    ranks = (({"E139", "E136"}, 0), ({"E133", "E131", "E132"}, 1), ({"E210", "E134", "E135"}, 2))
    return min((rank for those, rank in ranks if codes & those), default=3)


_SHORTEST = 4


def _readings(program: PtProgram) -> Iterator[Reading]:
    """What the axes may mean, the most likely first."""
    used = _selected_axes(program)
    axes = [(i, a) for i, x in enumerate(program.inputs) for a in range(min(2, len(x.shape)))]
    chosen = [ia for ia in axes if ia in used] or axes
    seen: set[tuple[int, tuple[int | None, ...]]] = set()
    for index, axis in chosen:
        steps, fixed = program.inputs[index].shape[axis]
        times = tuple(
            axis if i == index else _time_like(x, steps, axis, i, used)
            for i, x in enumerate(program.inputs)
        )
        if not fixed or steps < _SHORTEST or (steps, times) in seen:
            continue
        seen.add((steps, times))
        yield from _batches(program, steps, times)
    if not used:
        for steps in _repetitions(program):
            yield from _batches(program, steps, (None,) * len(program.inputs))


def _selected_axes(program: PtProgram) -> set[tuple[int, int]]:
    """(input, axis) of which the program takes single elements: what a loop over time does."""
    names = {x.name: i for i, x in enumerate(program.inputs)}
    found: set[tuple[int, int]] = set()
    for call in program.calls:
        known = call.operator.partition(".")[0] in ("select", "unbind", "split", "slice")
        first = call.args[0] if call.args else None
        if not known or not isinstance(first, Ref) or first.name not in names:
            continue
        place = 2 if call.operator.startswith("split") else 1
        axis = call.args[place] if len(call.args) > place else call.kwargs.get("dim", 0)
        index = names[first.name]
        if type(axis) is int and program.inputs[index].shape:
            found.add((index, axis % len(program.inputs[index].shape)))
    return {(i, a) for i, a in found if a < 2 and program.inputs[i].shape[a][0] >= _SHORTEST}


def _time_like(
    x: PtInput, steps: int, axis: int, index: int, used: set[tuple[int, int]]
) -> int | None:
    """The time axis of another input, if it has one."""
    own = [a for a in range(min(2, len(x.shape))) if x.shape[a] == (steps, True)]
    own = [a for a in own if (index, a) in used] or own
    return axis if axis in own else next(iter(own), None)


def _repetitions(program: PtProgram) -> list[int]:
    """How often the same line of code computes the same: numbers of steps for static inputs."""
    lines = Counter((c.operator, c.path, c.frames) for c in program.calls if c.frames)
    counts = Counter(n for n in lines.values() if n >= _SHORTEST)
    return [n for n, _ in counts.most_common(3)]


def _batches(program: PtProgram, steps: int, times: tuple[int | None, ...]) -> Iterator[Reading]:
    """With batch beside time and without; sizes that the program takes, the safest first."""
    sizes = {n for x in program.inputs for n, _ in x.shape} | {steps}
    prime = next(p for p in _PRIMES if all(n % p for n in sizes if n))
    other = tuple(
        None if len(x.shape) <= (t is not None) else (0 if t is None else 1 - t)
        for x, t in zip(program.inputs, times, strict=True)
    )
    none: tuple[int | None, ...] = (None,) * len(times)
    with_batch = []
    extents = {x.shape[b] for x, b in zip(program.inputs, other, strict=True) if b is not None}
    if len({n for n, _ in extents}) == 1:
        ((own, fixed), *_) = sorted(extents)
        with_batch = [Reading(steps, times, other, prime)]
        if fixed and own > 1:
            with_batch.append(Reading(steps, times, other, own))
    without = Reading(steps, times, none, None)
    ranks = [len(x.shape) - (t is not None) for x, t in zip(program.inputs, times, strict=True)]
    flat = max(ranks, default=0) < 2
    yield from ([without, *with_batch] if flat else [*with_batch, without])


def _recovered(module: Exported, reading: Reading, name: str) -> LoadedModel:
    """The checked graph, if the axes mean this."""
    import torch

    from snnc.frontends.dag import Dag, Form
    from snnc.frontends.layout import Extents
    from snnc.frontends.numeric_check import compare
    from snnc.frontends.pt2_module import DTYPES, with_origins
    from snnc.frontends.pt2_single_trace import recover_single
    from snnc.frontends.scalarize import Scalarizer
    from snnc.frontends.to_graph import InputFacts, to_graph
    from snnc.frontends.trace import Recipe, trace

    program, steps = module.program, reading.steps
    generator = torch.Generator().manual_seed(0)
    example = tuple(
        torch.rand([n for n, _ in x.shape], generator=generator).to(DTYPES[x.dtype])
        for x in program.inputs
    )
    recipe = Recipe(module, example, reading.times, reading.batches)
    names = [x.name for x in program.inputs]
    outputs = tuple(f"{n}_out" if n in names else n for n in program.output_names)
    recipe.output_names = outputs
    recipe.names[:] = outputs
    traced = with_origins(trace(recipe, steps, reading.batch), module, name)
    dag = Dag()
    results = Scalarizer(dag, Extents(steps, reading.batch), reading.times).run(traced)
    roots = [
        dag.make(Form("time_stack"), y.terms, dag.shape(y.terms[0])) if y.timed else y.terms[0]
        for y in results
    ]
    layouts = [y.axes for y in results]
    found_program, _, proof = recover_single(dag, roots, steps)
    facts = [
        InputFacts(n, Clock.ONCE if t is None else Clock.STEP, 0.0, 1.0, 0.0)
        for n, t in zip(names, reading.times, strict=True)
    ]
    graph, _ = to_graph(dag, found_program, facts, list(outputs), Path(name).stem, steps)
    if found := check_finite(graph):
        raise CompileError(found)
    numeric, found = compare(graph, recipe, names, layouts, steps)
    if errors := [d for d in found if d.severity is Severity.ERROR]:
        raise CompileError(errors)
    sides = zip(names, reading.times, reading.batches, strict=True)
    meta = {
        "format": "pt2",
        "checks": {
            "proof": proof,
            "admissible": True,
            "numeric": asdict(numeric),
            "states": len({(e.src, e.out) for e in graph.edges if e.delay}),
        },
        "inputs": [{"name": n, "time_axis": t, "batch_axis": b} for n, t, b in sides],
        "fixed_steps": True,
        "torch": program.torch,
    }
    return LoadedModel(graph, meta, [_assumptions(reading, names), *found])


def _assumptions(reading: Reading, names: list[str]) -> Diagnostic:
    """The remark that says how the file was read."""
    pairs = zip(names, reading.times, reading.batches, strict=True)
    axes = "; ".join(f"{n}: time axis {_axis(t)}, batch axis {_axis(b)}" for n, t, b in pairs)
    return remark(
        "R149",
        f"{reading.steps} steps are written into the program; {axes}",
        None,
        "inputs are taken to be real numbers from 0 to 1: the file does not say; give samples "
        "with --calibration DATA, or use snnc.export, which keeps their range",
    )


def _axis(axis: int | None) -> str:
    return "none" if axis is None else str(axis)
