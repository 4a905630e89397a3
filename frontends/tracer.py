"""Traces of a module at several lengths, in one table of terms."""

from __future__ import annotations

from typing import Any

import torch

from snnc.diagnostics import CompileError
from snnc.frontends.dag import Dag
from snnc.frontends.layout import Axes, Extents
from snnc.frontends.members import modules_of, tensors_of
from snnc.frontends.recipe import Recipe
from snnc.frontends.scalarize import Scalarizer
from snnc.frontends.trace import trace
from snnc.frontends.warm_up import collecting
from snnc.frontends.whole_loop import Unrolled
from snnc.progress import stage

#: Sizes that serve as batch while tracing.
_PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79)


class Tracer:
    """Traces of one module in one table."""

    def __init__(self, recipe: Recipe, batch: int | None) -> None:
        self.recipe = recipe
        self.dag = Dag()
        self.batch = batch

    def roots(self, steps: int) -> tuple[list[int], list[Axes]]:
        """Output terms and their axes, for a number of steps."""
        stage(f"trace {steps} steps")
        try:
            program = trace(self.recipe, steps, self.batch)
        except CompileError as e:
            if self.recipe.frozen or e.diagnostics[0].code != "E130":
                raise
            # an option that is kept in a buffer, such as the progress of a training schedule
            self.recipe.frozen = True
            try:
                program = trace(self.recipe, steps, self.batch)
            except CompileError:
                self.recipe.frozen = False
                raise e from None
        if self.recipe.describe is not None:
            program = self.recipe.describe(program)
        extents = Extents(steps, self.batch)
        outputs = Scalarizer(self.dag, extents, self.recipe.time_axes).run(program)
        terms = []
        for y in outputs:
            if y.timed:
                shape = self.dag.shape(y.terms[0])
                terms.append(self.dag.make(collecting("stack", y.axes), y.terms, shape))
            else:
                terms.append(y.terms[0])
        return terms, [y.axes for y in outputs]


def _extents(recipe: Recipe) -> set[int]:
    """Sizes that already mean something else."""
    tensors = tensors_of(recipe.module)
    found = {n for p in tensors for n in p.shape}
    own = zip(recipe.inputs, recipe.time_axes, recipe.batch_axes, strict=True)
    for x, time, batch in own:
        found |= {n for axis, n in enumerate(x.shape) if axis not in (time, batch)}
    hooks = []

    def remember(module: Any, args: Any, out: Any) -> None:
        for y in out if isinstance(out, tuple | list) else (out,):
            if isinstance(y, torch.Tensor):
                found.update(y.shape[2:])

    steps = recipe.own_steps(4)
    unrolled = Unrolled(recipe, steps)
    hooks += [m.register_forward_hook(remember) for m in modules_of(unrolled)]
    try:
        with torch.no_grad():
            unrolled(*(x.clone() for x in recipe.inputs))
    except Exception:
        return found
    finally:
        for hook in hooks:
            hook.remove()
    return found - {steps}


def batch_and_sizes(recipe: Recipe, steps: int) -> tuple[int | None, set[int]]:
    """A batch size by which batch axes are recognised, and all sizes that mean something."""
    sizes = _extents(recipe)
    if all(a is None for a in recipe.batch_axes):
        return None, sizes
    near = {steps, steps - 1, steps - 2}
    for own in (set(range(1, steps + 1)), near):  # any shorter trace may be needed, too
        batch = next((p for p in _PRIMES if all(n % p for n in sizes | own if n)), _PRIMES[-1])
        if batch not in own:
            break
    return batch, sizes | {batch}
