"""Read an ONNX file: a network unrolled over time, a ``Scan`` or ``Loop``, or a single step.

Stages, all in a child process (``isolated.py``): ``onnx_file`` reads data and refuses everything
else before torch is imported; ``onnx_module`` executes the known operators, which is traced;
the loop over time is recovered as from any other trace.  Where the number of steps can be varied
(loops, axes of open extent, single steps) two traces are compared, else one is searched for what
repeats.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.container import LoadedModel
from snnc.diagnostics import CompileError, fail
from snnc.frontends.best_reading import best_reading
from snnc.frontends.from_pt2 import no_temporary_files
from snnc.frontends.isolated import Limits, read_isolated
from snnc.frontends.onnx_axes import STEPS, Usage, file_inputs, usage
from snnc.frontends.onnx_file import OnnxModel, parse_onnx
from snnc.frontends.onnx_fold import Const, fold, foldable
from snnc.frontends.onnx_options import NO_AXIS, OnnxOptions
from snnc.frontends.onnx_states import Pair, no_pairs, state_pairs
from snnc.frontends.readings import (
    SHORTEST,
    FileInput,
    Reading,
    batched,
    one_step,
    rank,
    readings,
)

_MIB = 1 << 20


def read_onnx(path: str | Path, options: OnnxOptions | None = None) -> LoadedModel:
    """Read an ONNX file; no other file is opened, and nothing in it is executed as code.

    Raises:
        CompileError: E103, E14x, E16x for files that cannot be read, E13x if no loop is found,
            E210 for operators, E301 for NaN, E147 if the child did not survive, E642 without the
            package onnx.
    """
    path = Path(path)
    if importlib.util.find_spec("onnx") is None:
        text = "reading ONNX files needs the package onnx, which is not installed"
        raise fail("E642", text, help="pip install 'snnc[onnx]'")
    size = path.stat().st_size
    limits = Limits(8192 * _MIB + 16 * size, 60 + size // _MIB, 600.0, 256, 256 * _MIB + 8 * size)
    given = (options or OnnxOptions()).document()
    return read_isolated("snnc.frontends.from_onnx:read_bytes", path, given, limits)


def parse_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> Any:
    """The first stage alone, which needs no torch: what becomes of a damaged file, mostly."""
    OnnxOptions.of(options)
    model = parse_onnx(data, name)
    known = constants(model)
    return file_inputs(model, usage(model, known), name)


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read the file from its bytes, in this process: for the child, and for tests."""
    wish = OnnxOptions.of(options)
    model = parse_onnx(data, name)
    known = constants(model)
    used = usage(model, known)
    inputs = file_inputs(model, used, name)
    pairs = state_pairs(model, wish, name)
    single = bool(pairs) and not used.selected
    possible = list(_possible(inputs, used, pairs, wish))
    walked = used.selected or used.rounds or pairs
    open_ = wish.steps is None and wish.time_axis in (None, NO_AXIS)
    alone = [*one_step(inputs)] if open_ and not walked else []
    if not single and not possible and not alone:
        raise no_pairs(model, name, SHORTEST)
    no_temporary_files()
    from snnc.frontends.onnx_recover import Recovery

    recovery = Recovery(data, name, model, model, inputs, known, wish, inputs)
    if single:
        return recovery.from_step(pairs, wish.steps or STEPS)
    if pairs:
        recovery = recovery.with_states_at_zero(pairs)

    def recover(reading: Reading) -> LoadedModel:
        looped = bool(used.scanned or used.rounds) or recovery.varied(reading)
        if looped:
            try:
                return recovery.from_trace(reading, True)
            except CompileError as e:
                first = e
        try:
            return recovery.from_trace(reading, False)
        except CompileError as e:
            raise first if looped and rank(first) >= rank(e) else e from None

    try:
        return best_reading(possible, recover, alone, "--onnx time_axis=none,steps=")
    except CompileError:
        guessed = not (used.selected or used.rounds or used.repetitions)
        if guessed and len(inputs) > 1 and len(model.graph.outputs) > 1:
            raise no_pairs(model, name, SHORTEST) from None
        raise


def _possible(
    inputs: tuple[FileInput, ...], used: Usage, pairs: list[Pair], wish: OnnxOptions
) -> Iterator[Reading]:
    """Readings of the inputs that are no states, in the way of the options."""
    states = {a for a, _ in pairs} if used.selected else set()
    places = [i for i, x in enumerate(inputs) if x.name not in states]
    data = [inputs[i] for i in places]
    selected = {(places.index(i), a) for i, a in used.selected if i in places}
    counts = [*used.rounds, *used.repetitions]
    alone = wish.time_axis is None and not selected
    if wish.steps is not None and (alone or wish.time_axis == NO_AXIS):
        yield from batched(data, wish.steps, (None,) * len(data))
        return
    if wish.time_axis == NO_AXIS:
        for steps in counts:
            yield from batched(data, steps, (None,) * len(data))
        return
    if wish.time_axis is not None:
        axis = wish.time_axis
        selected = {(i, axis) for i, x in enumerate(data) if len(x.shape) > axis}
    for found in readings(data, selected, counts):
        if wish.time_axis is None or wish.time_axis in found.times:
            yield found


def constants(model: OnnxModel) -> dict[str, Const]:
    """What of the graph is known without its inputs.

    Raises:
        CompileError: E141 for a constant that no network needs, E160 for operands that do not fit.
    """
    known = {name: Const(array, name) for name, array in model.graph.tensors.items()}
    for node in model.graph.nodes:
        if not all(name in known or not name for name in node.inputs):
            continue
        values = [known[name] if name else None for name in node.inputs]
        if node.op == "Constant" and isinstance(node.attrs.get("value"), np.ndarray):
            known[node.outputs[0]] = Const(node.attrs["value"], node.outputs[0])
        elif node.op == "Identity" and values[0] is not None:
            known[node.outputs[0]] = values[0]
        elif foldable(node, values):
            results = zip(node.outputs, fold(node, values), strict=False)
            known |= {name: result for name, result in results if name}
    return known
