"""Run the user's module under ``torch.export`` with the time loop unrolled.

The module is copied and put in eval mode first.  Hidden state kept in attributes becomes plain
data flow because the whole loop is inside one exported program.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from snnc.diagnostics import CompileError, fail
from snnc.frontends.outputs import flat_outputs, output_names
from snnc.frontends.user_code import user_frame

#: Methods without arguments by which libraries and users forget the state of a layer.
RESETS = ("reset", "reset_state", "reset_states", "reset_mem", "reset_hidden")

#: Key in the metadata of a traced program of the names of tensors kept in plain attributes.
NAMES = "snnc.names"

#: Types in which nothing is computed here.
HALF = (torch.float16, torch.bfloat16)
_HALF_NAMES = {"float16", "bfloat16"}


@dataclass
class Recipe:
    """How to run the module over time.

    Attributes:
        module: The user's module, never modified.
        inputs: Example inputs.
        time_axes: Per input, its time axis, or None for an input that is the same at every step.
        batch_axes: Per input, its batch axis, or None for a single sample.
        step_attributes: Dotted attributes that hold the number of steps.
        step_keyword: Keyword of ``forward`` that takes the number of steps.
        loop: Whether the module computes one step, so that the loop has to be written around it.
        state: Initial explicit state of a step module, without batch; None if it keeps its own.
        readout: For a step module: what is returned of the outputs of all steps.
        joined: Whether the module takes batch and time as one axis, (B*T, …); the example has two.
        batch_attributes: Dotted attributes that hold the number of samples.
        describe: For a program of a file: puts names and lines of its author into a trace.
        tables: Parameters and buffers with one row or column per step, for ``table_steps`` steps.
            For another number of steps they are cut, or their rows and columns repeated: the
            structure of the network shows, its weights do not matter.
        table_steps: The only number of steps that the module can take.
        frozen: Whether buffers of one number are traced as that number, for ``if`` to read.
        own_counts: What ``step_attributes`` hold, if they differ: blocks with steps of their own.
            All are traced with one number of steps.
    """

    module: nn.Module
    inputs: tuple[torch.Tensor, ...]
    time_axes: tuple[int | None, ...]
    batch_axes: tuple[int | None, ...]
    step_attributes: tuple[str, ...] = ()
    step_keyword: str | None = None
    loop: bool = False
    state: Any = None
    explicit_state: bool = False
    readout: str = "stack"
    output_names: tuple[str, ...] = ()
    names: list[str] = field(default_factory=list)
    joined: bool = False
    batch_attributes: tuple[str, ...] = ()
    describe: Callable[[Any], Any] | None = None
    tables: tuple[str, ...] = ()
    table_steps: int = 0
    frozen: bool = False
    own_counts: dict[str, int] = field(default_factory=dict)

    def own_steps(self, default: int) -> int:
        """Number of steps of the example."""
        pairs = zip(self.inputs, self.time_axes, strict=True)
        return next((x.shape[a] for x, a in pairs if a is not None), default)


class _Visible(TorchFunctionMode):
    """Show the tracer what it would not see.

    ``x.data`` is read as ``x.detach()``, and an operator that a library has registered as its own
    is the Python function behind it: to look into it afterwards takes twice the time of a trace.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == torch.Tensor.data.__get__:  # type: ignore[attr-defined]
            return args[0].detach()
        if isinstance(func, torch._ops.OpOverload) and (own := _definition(func)):  # noqa: SLF001
            return own(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def fresh_copy(module: nn.Module) -> nn.Module:
    """A copy in eval mode, with its state reset; tensors left over from training are detached."""
    memo: dict[int, Any] = {}
    for m in module.modules():
        for value in vars(m).values():
            for leaf in pytree.tree_leaves(value):
                if isinstance(leaf, torch.Tensor) and not leaf.is_leaf:
                    memo[id(leaf)] = leaf.detach().clone()
    clone = _copied(module, memo).eval()
    with registered(clone):
        for m in clone.modules():
            if type(m).__module__.startswith("torch."):
                continue
            _reset(m)
            _empty_states(m)
    if any(p.dtype in HALF for p in _floats(clone)):
        clone.float()
    _freeze(clone, floats=False)
    return clone


def _empty_states(layer: nn.Module) -> None:
    """Forget the batch size of an earlier call.

    A layer of sinabs that has run draws the states of another batch from its old ones, which a
    reset sets to zero but does not remove; without elements they are made anew.
    """
    if hasattr(layer, "handle_state_batch_size_mismatch"):
        for name, state in layer.named_buffers(recurse=False):
            layer.register_buffer(name, state.new_zeros(0))


def _reset(module: nn.Module) -> None:
    """Call every method by which a layer forgets its state.

    One that fails is no obstacle if another works: a class may inherit a method that does not
    know of its states (snnTorch's DeltaLeaky).
    """
    done = False
    failed: tuple[str, Exception] | None = None
    for name in RESETS:
        method = getattr(module, name, None)
        if callable(method) and _takes_nothing(method):
            try:
                method()
                done = True
            except Exception as e:
                failed = name, e
    if failed and not done:
        name, cause = failed
        first = (str(cause).splitlines() or [type(cause).__name__])[0]
        text = f"{type(module).__name__}.{name}() fails: {first}"
        raise fail("E139", text, help="call it yourself, or remove the method") from cause


def _copied(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """A deep copy, also of modules whose own ``__deepcopy__`` fails."""
    try:
        return copy.deepcopy(module, dict(memo))
    except Exception:
        for m in module.modules():
            memo[id(m)] = type(m).__new__(type(m))
        try:
            for m in module.modules():
                memo[id(m)].__dict__.update(copy.deepcopy(vars(m), memo))
        except Exception as e:
            first = (str(e).splitlines() or [type(e).__name__])[0]
            hint = "call the module with tensors that need no gradient before the export"
            raise fail("E139", "the module cannot be copied", None, first, help=hint) from e
        clone: nn.Module = memo[id(module)]
        return clone


def _floats(module: nn.Module) -> list[torch.Tensor]:
    return [p for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()]


def widened(module: nn.Module) -> list[str]:
    """Names of the half precision types whose weights are computed with in float32."""
    return sorted({str(p.dtype).removeprefix("torch.") for p in _floats(module)} & _HALF_NAMES)


@contextlib.contextmanager
def registered(module: nn.Module) -> Iterator[None]:
    """Let classes that keep a list of their instances know this module's alone.

    snnTorch resets all layers that were ever made through such a list.  Copies are not on it, and
    those that are on it belong to the user.
    """
    lists = {id(x): x for m in module.modules() if isinstance(x := _instances(m), list)}
    saved = {key: list(x) for key, x in lists.items()}
    try:
        for key, x in lists.items():
            x[:] = [m for m in module.modules() if id(_instances(m)) == key]
        yield
    finally:
        for key, x in lists.items():
            x[:] = saved[key]


def _instances(module: nn.Module) -> Any:
    return getattr(type(module), "instances", None)


def _takes_nothing(method: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(p.default is not p.empty or p.kind in (2, 4) for p in parameters)


def _freeze(module: nn.Module, *, floats: bool) -> None:
    """Make 0-dim buffers Python numbers: integers are options, read by ``if``; floats may be."""
    for m in module.modules():
        for name, buffer in list(m._buffers.items()):  # noqa: SLF001
            if buffer is None or buffer.dim() or buffer.is_complex():
                continue
            if buffer.is_floating_point() and not floats:
                continue
            if name != "num_batches_tracked":
                del m._buffers[name]  # noqa: SLF001
                vars(m)[name] = buffer.item()


def _resize_tables(model: nn.Module, recipe: Recipe, steps: int) -> None:
    for dotted in recipe.tables if steps != recipe.table_steps else ():
        path, _, name = dotted.rpartition(".")
        owner = model.get_submodule(path)
        table = _resized(getattr(owner, name).detach(), recipe.table_steps, steps)
        if name in dict(owner.named_buffers(recurse=False)):
            setattr(owner, name, table)
        else:
            setattr(owner, name, nn.Parameter(table))


def _resized(table: torch.Tensor, own: int, steps: int) -> torch.Tensor:
    """Cut or continue a table; a matrix whose rows are the same filter stays one."""
    if table.shape == (own, own) and steps > own:
        longer = table.new_zeros(steps, steps)
        longer[:own, :own] = table
        for row in range(own, steps):
            longer[row, 1:] = longer[row - 1, :-1]
        return longer
    for axis, size in enumerate(table.shape):
        if size == own:
            table = table.index_select(axis, torch.arange(steps) % size)
    return table


class Unrolled(nn.Module):
    """The user's module, run over all steps; returns a flat list of tensors.

    Args:
        recipe: How to run it.
        steps: How often.
        tracing: Whether to look at the structure alone: all loops have the same number of steps,
            and buffers may be numbers.
    """

    def __init__(self, recipe: Recipe, steps: int, tracing: bool = False) -> None:
        super().__init__()
        self.model = fresh_copy(recipe.module)
        _resize_tables(self.model, recipe, steps)
        if tracing and recipe.frozen:
            _freeze(self.model, floats=True)
        self.recipe = recipe
        self.steps = steps
        for dotted in recipe.step_attributes:
            owner, _, name = dotted.rpartition(".")
            own = steps if tracing else recipe.own_counts.get(dotted, steps)
            setattr(self.model.get_submodule(owner), name, own)

    def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
        """Run all steps."""
        for dotted in self.recipe.batch_attributes:
            owner, _, name = dotted.rpartition(".")
            setattr(self.model.get_submodule(owner), name, inputs[0].shape[0])
        if self.recipe.joined:
            inputs = tuple(x.flatten(0, 1) for x in inputs)
        with _Visible(), registered(self.model):
            return self._loop(inputs) if self.recipe.loop else self._call(inputs)

    def _call(self, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        keyword = self.recipe.step_keyword
        out = self.model(*inputs, **({keyword: self.steps} if keyword else {}))
        return self._flat(out)

    def _loop(self, inputs: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        recipe, outs = self.recipe, []
        axes = zip(inputs, recipe.batch_axes, strict=True)
        batch = next((x.shape[a] for x, a in axes if a is not None), None)
        state = recipe.state
        if batch is not None:
            state = pytree.tree_map_only(torch.Tensor, lambda s: s.expand(batch, *s.shape), state)
        for t in range(self.steps):
            now = [
                x if a is None else x.select(a, t)
                for x, a in zip(inputs, recipe.time_axes, strict=True)
            ]
            if not recipe.explicit_state:
                out = self.model(*now)
            elif _several(recipe.state):
                out, *new = self.model(*now, *state)
                nested = len(recipe.state) == 1 and isinstance(recipe.state[0], tuple | list)
                grouped = len(new) == 1 and isinstance(new[0], tuple | list)
                state = new[0] if grouped and not nested else new
            else:
                out, state = self.model(*now, state)
            outs.append(self._flat(out))
        return read_out(outs, recipe.readout)

    def _flat(self, out: Any) -> list[torch.Tensor]:
        keys, tensors = flat_outputs(out, self.steps, every_step=self.recipe.loop)
        self.recipe.names[:] = output_names(keys, self.recipe.output_names)
        return tensors


def read_out(outs: list[list[torch.Tensor]], readout: str) -> list[torch.Tensor]:
    """What is returned of the outputs of all steps: a ``readout`` of Recipe."""
    kinds: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "stack": lambda y: y,
        "sum": lambda y: y.sum(0),
        "mean": lambda y: y.mean(0),
        "last": lambda y: y[-1],
        "max": lambda y: y.amax(0),
    }
    return [kinds[readout](torch.stack(y)) for y in zip(*outs, strict=True)]


def _several(state: Any) -> bool:
    """Whether ``forward`` takes the parts of the state as arguments of their own."""
    return isinstance(state, tuple | list) and not hasattr(state, "_fields")


def resize(recipe: Recipe, steps: int, batch: int | None) -> tuple[torch.Tensor, ...]:
    """The example with other extents, by repeating or dropping steps and samples."""
    out = []
    for x, time, samples in zip(recipe.inputs, recipe.time_axes, recipe.batch_axes, strict=True):
        for axis, size in ((time, steps), (samples, batch)):
            if axis is not None and size is not None:
                x = x.index_select(axis, torch.arange(size) % x.shape[axis])
        out.append(x)
    return tuple(out)


def trace(recipe: Recipe, steps: int, batch: int | None) -> torch.export.ExportedProgram:
    """Export the module unrolled over ``steps``.

    Raises:
        CompileError: E130 data-dependent control flow, E136 a size depends on the number of
            steps, E139 the module does not run.
    """
    unrolled = Unrolled(recipe, steps, tracing=True)
    names = _attributes(unrolled.model)
    example = resize(recipe, steps, batch)
    with torch.no_grad(), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            program = _decomposed(torch.export.export(unrolled, example, strict=False))
        except CompileError:
            raise
        except Exception as e:
            raise explain(e, recipe, steps, batch) from e
    program.graph_module.meta[NAMES] = names
    return program


def memory_of(tensor: torch.Tensor) -> tuple[Any, ...]:
    """What two tensors share that are the same piece of memory, read in the same way."""
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()


def _attributes(model: nn.Module) -> dict[tuple[Any, ...], str]:
    """Paths of tensors that are neither parameters nor buffers, by their memory.

    Norse keeps the parameters of a cell in a named tuple, ``cell.p.tau_mem_inv``.
    """
    found: dict[tuple[Any, ...], str] = {}
    for prefix, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_"):
                continue
            for path, leaf in pytree.tree_flatten_with_path(value)[0]:
                if isinstance(leaf, torch.Tensor) and leaf.numel():
                    names = (
                        getattr(k, "name", getattr(k, "key", getattr(k, "idx", k))) for k in path
                    )
                    dotted = ".".join((*filter(None, (prefix,)), attribute, *map(str, names)))
                    found.setdefault(memory_of(leaf), dotted)
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's own account of what it cannot trace; ours follows."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _decomposed(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Without in-place operators and composites, but with linear, conv2d and BatchNorm whole."""
    from snnc.frontends.rules import RULES

    def plain(node: Any) -> bool:
        """Whether the rules read the call as it is."""
        schema = getattr(node.target, "_schema", None)
        return _rule_name(node) in RULES and (schema is None or not schema.is_mutable)

    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    if all(map(plain, calls)):
        return program  # this is most of the time of a trace
    unknown = {n.target for n in calls if _rule_name(n).rstrip("_") not in RULES}
    known = torch.export.default_decompositions() if unknown else {}
    table = {target: known[target] for target in unknown if target in known}
    table |= {n.target: f for n in calls if (f := _definition(n.target))}
    result: torch.export.ExportedProgram = program.run_decompositions(table)
    return result


def _rule_name(node: Any) -> str:
    name: str = getattr(node.target, "overloadpacket", node.target).__name__
    return name


def _definition(target: Any) -> Callable[..., Any] | None:
    """The Python function behind an operator that a library has registered as its own."""
    from torch._library.custom_ops import OPDEFS

    name = getattr(getattr(target, "_schema", None), "name", "")
    definition = OPDEFS.get(name)
    return getattr(definition, "_init_fn", None)


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
    if _runs(recipe, steps, batch):
        hint = "keep tensors in buffers and parameters, and take side effects out of forward"
        return fail("E139", f"torch.export cannot trace the module: {first}", loc, help=hint)
    for size, samples, code in ((own_steps, batch, "E136"), (steps, None, "E139")):
        if (size, samples) != (steps, batch) and _runs(recipe, size, samples):
            what, hint = {
                "E136": (
                    f"the model runs with {size} steps, not with {steps}: a size depends on the "
                    "number of steps",
                    "a layer over the whole sequence cannot be computed step by step; reduce "
                    "over time (sum, mean, last) before it",
                ),
                "E139": (
                    "the model runs with one batch size only",
                    "create states from the input's shape: torch.zeros(x.shape[0], …)",
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


def _runs(recipe: Recipe, steps: int, batch: int | None) -> bool:
    try:
        with torch.no_grad():
            Unrolled(recipe, steps)(*resize(recipe, steps, batch))
    except Exception:
        return False
    return True
