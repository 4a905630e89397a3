"""``snnc.export``: from a trained module, in the user's own process, to a file that is data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnc.console import number
from snnc.container import LoadedModel, write_model
from snnc.diagnostics import Diagnostic
from snnc.graph import Graph
from snnc.progress import progress

if TYPE_CHECKING:
    from torch import nn

_NO_STATE = object()


@dataclass(frozen=True)
class Report:
    """What was exported and what was checked.

    Attributes:
        model: The graph, and its facts as JSON values.
        path: Where it was written, or None.
    """

    model: LoadedModel
    path: Path | None

    @property
    def graph(self) -> Graph:
        """The network as real-valued operators on one sample at one step."""
        return self.model.graph

    @property
    def checks(self) -> dict[str, Any]:
        """Results of the proof, the admissibility check and the numeric comparison."""
        checks: dict[str, Any] = self.model.meta["checks"]
        return checks

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Warnings and remarks."""
        return self.model.diagnostics

    def __str__(self) -> str:
        proof, numeric = self.checks["proof"], self.checks["numeric"]
        same = "bit for bit" if numeric["exact"] else f"within {numeric['difference']:.2g}"
        how = " and ".join(sorted(set(proof.values())))
        lines = [
            f"{self.graph.name}: {len(self.graph)} operators, {self.checks['states']} states, "
            f"{self.graph.steps} steps",
            f"  re-unrolled and compared at {', '.join(proof)} steps: {how}",
            f"  equals the module on the example {same}",
        ]
        for name, share in numeric["active"].items():
            lines.append(
                f"  {name}: {number(share, 0, percent=True)} of the neurons fire on the example"
            )
        return "\n".join([*lines, *map(str, self.diagnostics)])


def export(
    module: nn.Module,
    example: Any,
    path: str | Path | None = None,
    *,
    steps: int | None = None,
    time_axis: int | str | None = "auto",
    batch_axis: int | str | None = "auto",
    static: bool = False,
    step_module: bool | None = None,
    state: Any = _NO_STATE,
    steps_attribute: str | None = None,
    readout: str = "stack",
    outputs: tuple[str, ...] | list[str] = (),
    calibration: Any = None,
    name: str | None = None,
) -> Report:
    """Recover the time loop of a trained module and write it as data, without any code.

    The module is not modified.  Handled are modules that loop over time themselves, over an axis
    of the input or a number of steps, and modules for one step, whose loop is written around
    them: with hidden state in attributes, or explicit state in and out.

    Args:
        module: Trained; it is copied and put in eval mode.
        example: What ``forward`` takes: a tensor, a tuple of tensors, or a dict of tensors as one
            argument, with a batch axis.  For a module of one step: all steps, along
            ``time_axis``, or one step that repeats.
        path: Of the file to write, e.g. ``model.pt``; None writes nothing.
        steps: Number of time steps; by default the size of the time axis, or of an attribute
            such as ``num_steps``.
        time_axis: Of the example; by default the leading axis with ``steps`` elements, if any.
        batch_axis: Of the example; None if it is a single sample.
        static: The example has no time axis, whatever its shape.
        step_module: Whether ``forward`` computes one step; by default this is found out.
        state: For ``forward(x, state) -> (y, state)`` or ``forward(x, *states)``: the initial
            state, or None, without batch axis.
        steps_attribute: Dotted name of the attribute with the number of steps, if it is not found.
        readout: For a module of one step: ``stack``, ``sum``, ``mean``, ``last`` or ``max``.
        outputs: Names of the outputs.
        calibration: Inputs like ``example`` whose range and grid are recorded instead of its own.
        name: Of the network; by default its class name.

    Returns:
        The graph and the results of the three checks: the recovered step, unrolled again, is the
        traced network; it runs as a stream; it computes what the module computes.

    Raises:
        CompileError: Everything that stands in the way: E116, E117, E130-E139, E210, E301.
    """
    from snnc.frontends.arguments import check_arguments, check_calibration
    from snnc.frontends.example import parts
    from snnc.frontends.from_torch import export_module
    from snnc.frontends.plan import Wish, resolve
    from snnc.frontends.ranges import observed

    check_arguments(module, example, steps, outputs, time_axis=time_axis, batch_axis=batch_axis)
    explicit = state is not _NO_STATE
    wish = Wish(
        steps=steps,
        time_axis=time_axis,  # type: ignore[arg-type]
        batch_axis=batch_axis,  # type: ignore[arg-type]
        static=static,
        loop=step_module,
        state=state if explicit else None,
        explicit_state=explicit,
        steps_attribute=steps_attribute,
        readout=readout,
        outputs=tuple(outputs),
    )
    recipe, names, count = resolve(module, example, wish)
    if calibration is not None:
        check_calibration(calibration, example, recipe)
    data = example if calibration is None else calibration
    wide = (
        x.detach().float().cpu() if hasattr(x, "detach") else x for x in parts(data, recipe.keys)
    )
    ranges = {n: observed(x) for n, x in zip(names, wide, strict=True)}
    title = name or type(module).__name__
    with progress():
        model = export_module(recipe, names, title, count, ranges)
    if path is not None:
        write_model(path, model)
    return Report(model, None if path is None else Path(path))
