"""Why a module cannot be traced, in the user's terms."""

from __future__ import annotations

import traceback

from snnc.diagnostics import CompileError, fail
from snnc.frontends.recipe import Recipe
from snnc.frontends.user_code import user_frame
from snnc.frontends.whole_loop import runs


def explain(e: Exception, recipe: Recipe, steps: int, batch: int | None) -> CompileError:
    """Say in the user's terms why tracing failed."""
    loc = user_frame(e)
    first = next((line for line in str(e).splitlines() if line.strip()), type(e).__name__)
    if "data-dependent" in str(e) or "DataDependent" in type(e).__name__:
        return fail(
            "E130",
            "control flow depends on the values of a tensor",
            loc,
            "the compiled network executes the same operators at every step for every input",
            help=_instead(e),
        )
    own_steps = recipe.own_steps(steps)
    if runs(recipe, steps, batch):
        hint = "keep tensors in buffers and parameters, and take side effects out of forward"
        return fail("E139", f"torch.export cannot trace the module: {first}", loc, help=hint)
    for size, samples, code in ((own_steps, batch, "E136"), (steps, None, "E139")):
        if (size, samples) != (steps, batch) and runs(recipe, size, samples):
            what, hint = {
                "E136": (
                    f"the model runs with {size} steps, not with {steps}: a size depends on the "
                    "number of steps",
                    "a layer over the whole sequence cannot be computed step by step; reduce "
                    "over time (sum, mean, last) before it",
                ),
                "E139": (
                    "the model runs with one batch size only",
                    "create states from the input's shape, torch.zeros(x.shape[0], …), or "
                    "say which axis of the example is the batch: batch_axis=",
                ),
            }[code]
            return fail(code, what, loc, first, help=hint)
    hint = "call the module on the example yourself, in eval mode; snnc runs it the same way"
    return fail("E139", f"the module cannot be traced: {first}", loc, help=hint)


def _instead(e: Exception) -> str:
    """What to write instead of control flow that reads a tensor."""
    files = {f.filename.replace("\\", "/") for f in traceback.extract_tb(e.__traceback__)}
    if any(f.endswith("snntorch/functional/quant.py") for f in files):
        return "set state_quant=False on the layers: snnc chooses and proves the states' formats"
    return "replace the `if` or `.item()` by torch.where, or take early exits outside"
