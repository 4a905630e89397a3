"""Read a ``.pt2`` file of ``torch.export.save``: one trace, with the number of steps in it.

Stages, all in a child process (``isolated.py``): ``pt2_archive`` and ``pt2_program`` read data and
refuse everything else before torch is imported; ``pt2_module`` executes the known operators, which
is traced again; ``one_trace`` recovers the loop.  The three checks are those of any export.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnc.container import LoadedModel
from snnc.diagnostics import fail
from snnc.frontends.best_reading import best_reading, with_steps
from snnc.frontends.isolated import Limits, read_isolated
from snnc.frontends.pt2_archive import read_archive
from snnc.frontends.pt2_program import PtProgram, Ref, parse_program
from snnc.frontends.readings import SHORTEST, Reading, one_step, readings
from snnc.untrusted import UnsafeError

_MIB = 1 << 20


def read_pt2(path: str | Path, steps: int | None = None) -> LoadedModel:
    """Read a ``.pt2`` file; nothing in it is unpickled, evaluated or loaded as code.

    Args:
        path: The file.
        steps: Of the loop in it; None: found from what repeats.

    Raises:
        CompileError: E10x, E110, E111 for files that cannot be read, E13x if no loop is found,
            E210 for operators, E301 for NaN, E147 if the child did not survive.
    """
    path = Path(path)
    size = path.stat().st_size
    limits = Limits(8192 * _MIB + 16 * size, 60 + size // _MIB, 600.0, 256, 256 * _MIB + 8 * size)
    return read_isolated("snnc.frontends.from_pt2:read_bytes", path, {"steps": steps}, limits)


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read the file from its bytes, in this process: for the child, and for tests."""
    archive = read_archive(data, name)
    program = parse_program(archive.program, name)
    selected, wish = _selected_axes(program), options.get("steps")
    possible = list(readings(program.inputs, selected, _repetitions(program)))
    if wish is not None:
        found = sorted({r.steps for r in possible})
        possible = list(with_steps(program.inputs, possible, wish, bool(selected)))
        if not possible:
            text = f"{name} is not a loop of {wish} steps: its inputs are read along an axis"
            raise fail("E137", text, help=f"possible: --steps {', '.join(map(str, found))}")
    alone = [] if selected or wish is not None else [*one_step(program.inputs)]
    if not possible and not alone:
        raise fail(
            "E137",
            f"no input of {name} has an axis of {SHORTEST} steps or more",
            None,
            "an exported program with one step in it does not say how often it is called",
            help="export a module with the loop over time in its forward(), or use snnc.export",
        )
    no_temporary_files()
    from snnc.frontends.independent import refuse_joined_samples
    from snnc.frontends.pt2_module import Exported
    from snnc.frontends.recover_reading import recovered

    try:
        module = Exported(archive, program, name)
    except (UnsafeError, KeyError) as e:
        raise fail("E103", f"{name} is damaged: {e}", help="export the model again") from e

    def recover(reading: Reading) -> LoadedModel:
        model = recovered(module, reading, name, "pt2")
        refuse_joined_samples(module, reading, name)
        return LoadedModel(model.graph, {**model.meta, "torch": program.torch}, model.diagnostics)

    return best_reading(possible, recover, alone)


def no_temporary_files() -> None:
    """Let torch name a folder for temporary files where none can be written: it writes none."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        tempfile.tempdir = next((d for d in ("/tmp", "/var/tmp") if Path(d).is_dir()), ".")


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
    return found


def _repetitions(program: PtProgram) -> list[int]:
    """How often the same line of code computes the same: numbers of steps for static inputs."""
    lines = Counter((c.operator, c.path, c.frames) for c in program.calls if c.frames)
    counts = Counter(n for n in lines.values() if n >= SHORTEST)
    return [n for n, _ in counts.most_common(3)]
