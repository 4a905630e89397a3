"""Parameters whose size is the number of steps: what lets such a module run for other numbers.

A parallel spiking neuron has a weight for every pair of steps.  To see what it does at every step,
it is traced at several lengths with such parameters cut or repeated.  What is exported are its
own weights, and the proof and the numeric check include its own length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from snnc.frontends.recipe import Recipe
from snnc.frontends.whole_loop import runs

#: Numbers of steps and samples with which a module has to run.
_TRIALS = ((3, 5), (5, 2))


def with_tables(recipes: list[Recipe], chosen: Recipe, steps: int) -> Recipe:
    """The recipe that runs for other numbers of steps as well; ``chosen`` if there is none."""
    names = _candidates(chosen.module, steps)
    if not names or runs_resized(chosen):
        return chosen
    for recipe in (chosen, *recipes):
        for tables in names:
            attempt = replace(recipe, tables=tables, table_steps=steps)
            if runs_resized(attempt):
                return attempt
    return chosen


def _candidates(module: nn.Module, steps: int) -> list[tuple[str, ...]]:
    """Sets of parameters and buffers that may be tables over the steps, the most likely first."""
    everywhere: list[str] = []
    counting: list[str] = []
    mixing: list[str] = []
    square: list[str] = []
    for path, m in module.named_modules():
        counts = any(type(v) is int and v == steps for v in vars(m).values())
        own = {
            f"{path}.{name}" if path else name: tuple(tensor.shape)
            for name, tensor in _own(m)
            if steps in tensor.shape
        }
        matrices = [name for name, shape in own.items() if shape == (steps, steps)]
        everywhere += own
        counting += own if counts else ()
        mixing += own if matrices else ()
        square += matrices
    sets = (tuple(counting), tuple(mixing), tuple(everywhere), tuple(square))
    return [names for names in dict.fromkeys(sets) if names]


def _own(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def runs_resized(recipe: Recipe) -> bool:
    """Whether the module runs with several numbers of steps and samples.

    One trial alone says little: its sizes may be the example's, or those of the layers.
    """
    return all(runs(recipe, steps, batch) for steps, batch in _TRIALS)
