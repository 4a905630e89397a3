"""Whether the exported graph computes what the module computes, and whether anything fires."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from snnc.diagnostics import Diagnostic, error, fail, remark
from snnc.frontends.activity import active_shares, report_activity, saturated, varying_shares
from snnc.frontends.evaluate import Evaluator
from snnc.frontends.layout import BATCH, TIME, Axes, Extents, Factor, Late
from snnc.frontends.members import parameters_of
from snnc.frontends.recipe import Recipe
from snnc.frontends.user_code import user_frame
from snnc.frontends.whole_loop import Unrolled
from snnc.graph import Graph

#: Relative to the largest magnitude of the output: room for a different order of float sums.
TOLERANCE = 1e-5

#: So many states that every choice of them is tried, for modules that reset only some.
FEW = 6


@dataclass(frozen=True, slots=True)
class NumericCheck:
    """Result of running module and graph on the example.

    Attributes:
        exact: Whether every output is equal bit for bit.
        difference: Largest absolute difference.
        active: Per comparison and rounding, the fraction of its elements that were true at least
            once, or took at least two values.
        saturated: Comparisons that were true for every element, sample and step.
        outputs: Per output with several values, the fraction of its elements that are not the
            same at all steps of all samples.
        arithmetic: Type in which both were run: ``float32``, or ``float64`` for a module in that
            type, and for one that differs in float32 because sums in another order move a spike.
        calls: ``fresh`` if the module starts every call from its initial state, ``kept`` if it
            goes on from where the last call ended.
    """

    exact: bool
    difference: float
    active: dict[str, float]
    saturated: list[str]
    outputs: dict[str, float]
    arithmetic: str = "float32"
    calls: str = "fresh"


def sequence_first(x: torch.Tensor, time: int | None, batch: int | None) -> torch.Tensor:
    """Move batch to the front and time behind it."""
    if batch is None:
        x = x.unsqueeze(0)
        time = None if time is None else time + 1
        batch = 0
    order = [batch] if time is None else [batch, time]
    return x.permute(*order, *(d for d in range(x.dim()) if d not in order))


def arrange(y: torch.Tensor, axes: Axes, steps: int, batch: int | None) -> torch.Tensor:
    """Bring (batch, [steps], …) into the layout of the module's output."""
    factors = [f for axis in axes for f in axis]
    numbers = [f for f in factors if isinstance(f, int)]
    times = [f for f in factors if f is TIME or isinstance(f, Late)]
    special: list[Factor] = [*([BATCH] if BATCH in factors else []), *times[:1]]
    if BATCH not in special:
        y = y[0]
    extents = Extents(steps, batch)
    y = y.reshape([*map(extents.factor, special), *numbers])
    place = iter(range(len(special), len(factors)))
    y = y.permute(*[next(place) if isinstance(f, int) else special.index(f) for f in factors])
    return y.reshape(extents.shape(axes))


def compare(
    graph: Graph, recipe: Recipe, names: list[str], layouts: list[Axes], steps: int
) -> tuple[NumericCheck, list[Diagnostic]]:
    """Run both on the example, twice without a reset in between.

    Returns:
        The result, and E138 if they differ, E137 if they differ in the second call only, or what
        to know about the activity and about a state that the module keeps.
    """
    double = any(p.dtype == torch.float64 for p in (*parameters_of(recipe.module), *recipe.inputs))
    sides = _Sides(graph, recipe, names, layouts, steps)
    first = sides.run(torch.float64 if double else torch.float32)
    if first.found and not double:
        try:
            again = sides.run(torch.float64)
        except Exception:  # the module cannot be run in float64: what was found counts
            again = first
        if not again.found:
            again.worst = max(first.worst, again.worst)
            again.exact = False
            first = again
    active, outputs = active_shares(first.evaluator), varying_shares(first.evaluator)
    found = first.found or sides.second_call(first)
    kept = any(d.code == "R137" for d in found)
    found += report_activity(graph, first.evaluator, active, outputs)
    arithmetic = str(first.dtype).removeprefix("torch.")
    calls = "kept" if kept else "fresh"
    constant = saturated(first.evaluator)
    check = NumericCheck(first.exact, first.worst, active, constant, outputs, arithmetic, calls)
    return check, found


def agrees(
    graph: Graph,
    recipe: Recipe,
    names: list[str],
    layouts: list[Axes],
    steps: int,
    expected: list[torch.Tensor],
) -> tuple[bool, float, list[Diagnostic]]:
    """Compare the graph on the example with outputs that something else has computed.

    Returns:
        Whether they are equal bit for bit, the largest difference, and E138 if it is too large.
    """
    return _Sides(graph, recipe, names, layouts, steps).against(expected)


@dataclass
class _Run:
    """One comparison: the two parties, after their first call."""

    dtype: torch.dtype
    module: Unrolled
    evaluator: Evaluator
    exact: bool
    worst: float
    found: list[Diagnostic]


@dataclass(frozen=True)
class _Sides:
    """The module and the graph, on the example."""

    graph: Graph
    recipe: Recipe
    names: list[str]
    layouts: list[Axes]
    steps: int

    def run(self, dtype: torch.dtype) -> _Run:
        """Compare the first call, in one arithmetic."""
        module = Unrolled(self.recipe, self.steps)
        if dtype == torch.float64:
            module = module.double()
        try:
            expected = self._call(module, dtype)
        except Exception as e:  # what a trace does not see, such as a mixture of types
            first = (str(e).splitlines() or [type(e).__name__])[0]
            text = f"the module fails on the example: {first}"
            hint = "call the module on the example yourself, in eval mode"
            raise fail("E139", text, user_frame(e), help=hint) from e
        evaluator = Evaluator(self.graph, self._given(), self.steps, dtype)
        exact, worst, found = self._differences(expected, evaluator)
        return _Run(dtype, module, evaluator, exact, worst, found)

    def against(self, expected: list[torch.Tensor]) -> tuple[bool, float, list[Diagnostic]]:
        """Compare the graph, in the type of the expected outputs."""
        double = any(y.dtype == torch.float64 for y in expected)
        kind = torch.float64 if double else torch.float32
        return self._differences(expected, Evaluator(self.graph, self._given(), self.steps, kind))

    def second_call(self, run: _Run) -> list[Diagnostic]:
        """What the module does if it is called again: start afresh, or go on."""
        try:
            expected = self._call(run.module, run.dtype)
        except Exception as e:
            first = (str(e).splitlines() or [type(e).__name__])[0]
            return [_unlike(f"a second call of the module fails: {first}")]
        if not self._differences(expected, run.evaluator)[2]:
            return []
        for kept in self._choices(run.evaluator):
            onward = Evaluator(self.graph, self._given(), self.steps, run.dtype, kept)
            if not self._differences(expected, onward)[2]:
                text = "the module keeps its state between calls; the compiled network does not"
                hint = "every sample starts from the initial state, as after a reset"
                return [remark("R137", text, None, hint)]
        return [_unlike("a second call of the module gives what no state of it explains")]

    def _choices(self, run: Evaluator) -> Iterator[Evaluator]:
        """The end of a run with all of its states, then with some of them."""
        yield run
        keys = sorted(run.past)
        if len(keys) <= FEW:
            for count in reversed(range(1, len(keys))):
                for chosen in itertools.combinations(keys, count):
                    part = copy.copy(run)
                    part.past = {key: run.past[key] for key in chosen}
                    yield part

    def _steps_of(self, output: str) -> int:
        phase = self.graph[output].type.clock.phase
        return self.graph.steps_of(max(phase, 1), self.steps)

    def _given(self) -> dict[str, torch.Tensor]:
        recipe = self.recipe
        sides = zip(self.names, recipe.inputs, recipe.time_axes, recipe.batch_axes, strict=True)
        return {n: sequence_first(x, t, b) for n, x, t, b in sides if n in self.graph}

    def _call(self, module: Unrolled, dtype: torch.dtype) -> list[torch.Tensor]:
        # copies: forward may write into them
        kinds = [dtype if x.is_floating_point() else x.dtype for x in self.recipe.inputs]
        pairs = zip(self.recipe.inputs, kinds, strict=True)
        inputs = [x.to(kind, copy=True) for x, kind in pairs]
        default = torch.get_default_dtype()
        try:
            torch.set_default_dtype(dtype)  # tensors that forward makes
            with torch.no_grad():
                outputs: list[torch.Tensor] = module(*inputs)
        finally:
            torch.set_default_dtype(default)
        return outputs

    def _differences(
        self, expected: list[torch.Tensor], run: Evaluator
    ) -> tuple[bool, float, list[Diagnostic]]:
        pairs = zip(self.recipe.inputs, self.recipe.batch_axes, strict=True)
        batch = next((x.shape[a] for x, a in pairs if a is not None), None)
        exact, worst, found = True, 0.0, []
        for name, want, axes in zip(self.recipe.names, expected, self.layouts, strict=True):
            have = arrange(run.outputs[name], axes, self._steps_of(name), batch)
            want = want.to(run.dtype)
            if have.shape != want.shape:
                text = f"output {name} has shape {tuple(have.shape)}, not {tuple(want.shape)}"
                found.append(error("E138", text, self.graph[name].loc, help="please report this"))
                continue
            exact &= torch.equal(have, want)
            scale = max(1.0, float(want.abs().max())) if want.numel() else 1.0
            difference = float((have - want).abs().max()) if want.numel() else 0.0
            worst = max(worst, difference)
            if not difference <= TOLERANCE * scale:
                text = f"output {name} of the exported graph differs from the module"
                note = f"by {difference:.3g}; tolerated are 1e-5 of the largest value"
                hint = "if forward draws or counts, take that out of it; else please report this"
                found.append(error("E138", text, self.graph[name].loc, note, help=hint))
        return exact, worst, found


def _unlike(text: str) -> Diagnostic:
    return error(
        "E137",
        text,
        None,
        "the exported network starts every sample from the same state",
        help="set every state that is kept between calls at the beginning of forward",
    )
