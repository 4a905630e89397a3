"""How to run a module over time, from what the user says and what the module shows."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from snnc.diagnostics import fail
from snnc.frontends.example import keys_of, parts
from snnc.frontends.module_copy import HALF
from snnc.frontends.recipe import Recipe, resize
from snnc.frontends.step_sizes import runs_resized, with_tables
from snnc.frontends.whole_loop import Unrolled

#: Attributes and keywords of ``forward`` that hold the number of steps.
STEP_NAMES = (
    *("T", "steps", "num_steps", "n_steps", "nb_steps", "time_steps", "timesteps", "n_timesteps"),
    *("num_timesteps", "num_time_steps", "time_step", "timestep", "seq_len", "time_window"),
)

READOUTS = ("stack", "sum", "mean", "last", "max")

Auto = Literal["auto"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user says; see :func:`snnc.export`."""

    steps: int | None = None
    time_axis: int | Auto | None = "auto"
    batch_axis: int | Auto | None = "auto"
    static: bool = False
    loop: bool | None = None
    state: Any = None
    explicit_state: bool = False
    steps_attribute: str | None = None
    readout: str = "stack"
    outputs: tuple[str, ...] = ()


def resolve(module: nn.Module, example: Any, wish: Wish) -> tuple[Recipe, list[str], int]:
    """The recipe, the names of the inputs and the number of steps.

    Raises:
        CompileError: E137 a state but no loop, E139 what cannot be guessed.
    """
    inputs, keys = _tensors(example), keys_of(example)
    joined = wish.time_axis == wish.batch_axis == 0 and not wish.static
    if joined:
        inputs, wish = _split(inputs, wish)
    attributes = _step_attributes(module, wish.steps_attribute)
    parameters = _parameters(module)
    keyword = next(
        (p for p in parameters[1 if keys else len(inputs) :] if p.name in STEP_NAMES), None
    )
    steps = wish.steps or _steps(inputs, wish, attributes, keyword)
    if wish.readout not in READOUTS:
        text = f"there is no readout {wish.readout!r}"
        raise fail("E139", text, help=f"one of {', '.join(READOUTS)}")
    own_counts: dict[str, int] = {}
    if steps is None and len(set(attributes.values())) > 1 and keyword is None:
        own_counts, steps = attributes, next(iter(attributes.values()))
    candidates = _time_axes(inputs, wish, steps)
    if steps is None:
        raise _unknown_steps(module, inputs, keys)

    def recipe_for(times: tuple[int | None, ...]) -> Recipe:
        chosen = [n for n, v in attributes.items() if v == steps]
        if own_counts or (all(t is None for t in times) and not chosen and keyword is None):
            chosen = list(attributes)  # the user's ``steps`` overrides the module's
        return Recipe(
            module,
            inputs,
            times,
            tuple(_batch_axis(wish, t, x.dim()) for t, x in zip(times, inputs, strict=True)),
            tuple(chosen),
            keyword.name if keyword is not None and not wish.loop else None,
            state=wish.state,
            explicit_state=wish.explicit_state,
            readout=wish.readout,
            output_names=wish.outputs,
            joined=joined,
            batch_attributes=_batch_attributes(module, len(inputs[0])) if joined else (),
            own_counts=own_counts,
            keys=keys,
        )

    recipes = [recipe_for(times) for times in candidates]
    recipe = _plausible(recipes, steps, wish)
    recipe.loop = wish.explicit_state or _computes_one_step(recipe, wish)
    if not recipe.loop and not joined:
        recipe = with_tables(recipes, recipe, steps)
    if recipe.loop:
        recipe.step_attributes, recipe.step_keyword, recipe.own_counts = (), None, {}
    _check_axes(recipe)
    return recipe, list(keys) or _names(parameters, len(inputs)), steps


def _split(inputs: tuple[torch.Tensor, ...], wish: Wish) -> tuple[tuple[torch.Tensor, ...], Wish]:
    """Give (B*T, …) two axes; the module gets them as one."""
    steps = wish.steps
    if not steps or any(not x.dim() or len(x) % steps for x in inputs):
        text = "time and batch are the same axis, which is not a multiple of steps"
        raise fail("E139", text, help="pass steps=; the example is (B*T, …), sample by sample")
    apart = tuple(x.reshape(len(x) // steps, steps, *x.shape[1:]) for x in inputs)
    return apart, replace(wish, time_axis=1, batch_axis=0, loop=False)


def _batch_attributes(module: nn.Module, batch: int) -> tuple[str, ...]:
    """Attributes ``batch_size`` of layers that take batch and time as one axis."""
    return tuple(
        f"{path}.batch_size" if path else "batch_size"
        for path, m in module.named_modules()
        if vars(m).get("batch_size") == batch and type(vars(m)["batch_size"]) is int
    )


def _tensors(example: Any) -> tuple[torch.Tensor, ...]:
    out = []
    for x in parts(example):
        if isinstance(x, np.ndarray):
            x = torch.from_numpy(x)
        if not isinstance(x, torch.Tensor):
            text = f"the example holds {type(x).__name__}, not a tensor"
            raise fail(
                "E139", text, help="pass a tensor, a tuple or a dict of tensors, as forward takes"
            )
        out.append(x.detach().float() if x.dtype in HALF else x.detach())
    if not out:
        raise fail("E139", "the example is empty")
    return tuple(out)


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    try:
        found = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return []
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _names(parameters: list[inspect.Parameter], count: int) -> list[str]:
    names = [p.name for p in parameters[:count]]
    return names if len(names) == count else [f"in{i}" for i in range(count)]


def _step_attributes(module: nn.Module, given: str | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for path, m in module.named_modules():
        if type(m).__module__.startswith("torch."):
            continue
        named = (given.rpartition(".")[2],) if given else STEP_NAMES
        for name in dict.fromkeys((*vars(m), *named)):  # also those of the class
            dotted = f"{path}.{name}" if path else name
            wanted = dotted == given if given else name in STEP_NAMES
            value = inspect.getattr_static(m, name, None) if wanted else None
            if type(value) is int:
                found[dotted] = value
    if given and not found:
        text = f"the module has no integer attribute {given!r}"
        raise fail("E139", text, help="give its dotted path, e.g. encoder.num_steps")
    return found


def _steps(
    inputs: tuple[torch.Tensor, ...],
    wish: Wish,
    attributes: dict[str, int],
    keyword: inspect.Parameter | None,
) -> int | None:
    if isinstance(wish.time_axis, int) and not wish.static:
        axis = wish.time_axis
        sizes = [int(x.shape[axis]) for x in inputs if -x.dim() <= axis < x.dim()]
        if sizes:
            return sizes[0]
    values = set(attributes.values())
    if len(values) == 1:
        return values.pop()
    if keyword is not None and type(keyword.default) is int:
        return int(keyword.default)
    return None


def _time_axes(
    inputs: tuple[torch.Tensor, ...], wish: Wish, steps: int | None
) -> list[tuple[int | None, ...]]:
    """Which axes may be time: one tuple per possibility, the static one last."""
    static: tuple[int | None, ...] = (None,) * len(inputs)
    if wish.static or wish.time_axis is None:
        return [static]
    if wish.time_axis != "auto":
        axis = wish.time_axis
        alone = len(inputs) == 1  # of several inputs, those of another length are static
        varies = (
            -x.dim() <= axis < x.dim() and (alone or steps is None or x.shape[axis] == steps)
            for x in inputs
        )
        return [tuple(axis % x.dim() if f else None for x, f in zip(inputs, varies, strict=True))]
    found = []
    for axis in (0, 1):
        fits = tuple(axis if x.dim() > axis and x.shape[axis] == steps else None for x in inputs)
        if fits != static:
            found.append(fits)
    return [*found, static]


def _plausible(candidates: list[Recipe], steps: int, wish: Wish) -> Recipe:
    """The reading under which the module runs with other numbers of steps and samples."""
    if len(candidates) == 1:
        return candidates[0]
    *timed, static = candidates
    fits = [r for r in timed if _runs_resized(r, wish)]
    if len(fits) > 1:
        shape = tuple(fits[0].inputs[0].shape)
        text = f"both leading axes of an input of shape {shape} have {steps} elements"
        raise fail("E139", text, help="say which one is time: time_axis=0 or time_axis=1")
    if fits:
        return fits[0]
    return static if _runs_resized(static, wish) else timed[0]


def _runs_resized(recipe: Recipe, wish: Wish) -> bool:
    """Whether the module takes other numbers of steps and samples, whole or step by step."""
    options = (False, True) if wish.loop is None else (wish.loop,)
    return any(
        runs_resized(replace(recipe, loop=loop or recipe.explicit_state)) for loop in options
    )


def _batch_axis(wish: Wish, time: int | None, dims: int) -> int | None:
    if wish.batch_axis != "auto":
        axis = wish.batch_axis
        return axis if axis is None or not -dims <= axis < 0 else axis + dims
    return 1 if time == 0 else 0


def _check_axes(recipe: Recipe) -> None:
    for x, t, b in zip(recipe.inputs, recipe.time_axes, recipe.batch_axes, strict=True):
        if t is not None and t == b:
            raise fail("E139", "time and batch are the same axis", help="pass batch_axis=")
        if b is not None and b >= x.dim():
            text = f"an input of shape {tuple(x.shape)} has no batch axis {b}"
            raise fail("E139", text, help="pass batch_axis=None for an example without batch")


def _unknown_steps(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], keys: tuple[str, ...]
) -> Exception:
    recipe = Recipe(module, inputs, (None,) * len(inputs), (None,) * len(inputs), keys=keys)
    if _keeps_state(recipe, 1):
        return fail(
            "E137",
            "the module keeps a state between calls, but nothing says how often it is called",
            help="pass steps=, and time_axis= if the example has a time axis",
        )
    return fail(
        "E139",
        "the number of time steps is unknown",
        None,
        "no attribute or keyword has a name such as num_steps, and no axis is said to be time",
        help="if the example has a time axis, say which: time_axis=1 for (samples, steps, …); if "
        "not, pass steps=, as for a loop over a literal, `for t in range(16)`: steps=16",
    )


# ---- does the module loop over time itself?


def _computes_one_step(recipe: Recipe, wish: Wish) -> bool:
    """Whether the loop has to be written around the module."""
    if wish.loop is not None:
        return wish.loop
    if all(t is None for t in recipe.time_axes):
        if recipe.step_attributes or recipe.step_keyword is not None:
            return False
        # without a state, every call gives the same: the loop, with a literal in it, is inside
        alone = wish.readout == "stack" and _state_after(recipe, 1) is not None
        return not alone or _keeps_state(recipe, 1)
    # A module for one step that is fed a sequence treats time as one more batch axis, so that
    # the shape of its hidden state depends on the number of steps.
    shapes = []
    for steps in (2, 3):
        after = _state_after(recipe, steps)
        if after is None:  # it cannot take a sequence at all
            single = replace(recipe, loop=True)
            return _state_after(single, 2) is not None
        shapes.append({k: tuple(v.shape) for k, v in after.items()})
    return shapes[0] != shapes[1] and _keeps_state(recipe, 2)


def _hidden(module: nn.Module) -> dict[str, torch.Tensor]:
    """Tensors in attributes and buffers, by path."""
    found: dict[str, torch.Tensor] = {}
    for path, m in module.named_modules():
        state = {k: v for k, v in vars(m).items() if k not in ("_parameters", "_modules")}
        for key, leaf in pytree.tree_flatten_with_path(state)[0]:
            if isinstance(leaf, torch.Tensor):
                found[path + pytree.keystr(key)] = leaf.detach().clone()
    return found


def _state_after(recipe: Recipe, steps: int) -> dict[str, torch.Tensor] | None:
    """Hidden tensors after a run, or None if the module does not run."""
    unrolled = Unrolled(recipe, steps)
    try:
        with torch.no_grad():
            unrolled(*resize(recipe, steps, None))
    except Exception:
        return None
    return _hidden(unrolled.model)


def _keeps_state(recipe: Recipe, steps: int) -> bool:
    """Whether a second call sees what the first one left."""
    unrolled = Unrolled(recipe, steps)
    try:
        with torch.no_grad():
            unrolled(*resize(recipe, steps, None))
            first = _hidden(unrolled.model)
            unrolled(*resize(recipe, steps, None))
            second = _hidden(unrolled.model)
    except Exception:
        return False
    same = first.keys() == second.keys() and all(
        first[k].shape == second[k].shape and torch.equal(first[k], second[k]) for k in first
    )
    return not same
