"""Export a module that ``torch.save(model)`` pickled, without running the pickle.

A child process reads the file as a tree of names and values (``pickle_tree.py``).  If all its
classes are known ones (``pickled_classes.py``), the objects are made again from their attributes,
as ``torch.load`` would, and the module is traced as if the user had exported it.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from snnc.container import LoadedModel
from snnc.diagnostics import CompileError, fail, remark
from snnc.exporting import export
from snnc.frontends import pickled_classes as known
from snnc.ops import Constant
from snnc.params import Param

#: Samples of the example.
_BATCH = 2

_CONTAINERS: dict[str, type[Any]] = {
    "list": list, "tuple": tuple, "set": set, "dict": dict, "OrderedDict": OrderedDict,
}  # fmt: skip


def export_tree(
    name: str, tree: LoadedModel, shape: tuple[int, ...], steps: int | None
) -> LoadedModel:
    """Rebuild and export a pickled module.

    Args:
        name: Of the file, which ``torch.save(model, path)`` wrote.
        tree: What ``pickle_tree.py`` read of it.
        shape: Of one sample at one step, without batch and time; empty if it was not given.
        steps: Number of time steps.

    Raises:
        CompileError: E103 damaged, E114 without shape or steps, E115 a library that is not
            installed, and whatever the export finds.
    """
    module = rebuild(name, tree)
    if not shape or not steps:
        text = f"{name} is a pickled module, which says nothing of the shape of its input"
        hint = "give one sample at one step, and the steps: --input 1,28,28 --steps 16"
        raise fail("E114", text, help=hint)
    arguments, how = arguments_for(module, shape, steps)
    model = export(module, **arguments).model
    note = "real inputs are taken to lie in [0, 1]: --calibration DATA says otherwise"
    model.diagnostics.append(remark("R115", f"{name} was traced as {how}", None, note))
    return model


def rebuild(name: str, tree: LoadedModel) -> nn.Module:
    """The module of a tree, as ``torch.load`` would make it.

    Raises:
        CompileError: E103 damaged, E115 a library that is not installed.
    """
    constants = ((n.loc.path, n.op) for n in tree.graph)
    tensors = {int(i): op.value for i, op in constants if isinstance(op, Constant)}
    return _Builder(name, tree.meta["objects"], tensors).module(tree.meta["root"])


def arguments_for(
    module: nn.Module, shape: tuple[int, ...], steps: int
) -> tuple[dict[str, Any], str]:
    """Arguments of ``export``, from what is known of the libraries' layouts, and their account."""
    kinds = set(_layouts(module))
    if len(kinds) > 1:
        text = f"the layers do not agree on the layout of their input: {', '.join(sorted(kinds))}"
        hint = "export the module with snnc.export, with an example that it takes"
        raise fail("E114", text, help=hint)
    layout = kinds.pop() if kinds else "a step"
    generator = torch.Generator().manual_seed(0)

    def example(*leading: int) -> torch.Tensor:
        return torch.rand(*leading, *shape, generator=generator)

    match layout:
        case "(T, N, …)":
            return {"example": example(steps, _BATCH), "time_axis": 0}, "a sequence (T, N, …)"
        case "(N, T, …)":
            return {"example": example(_BATCH, steps), "time_axis": 1}, "a sequence (N, T, …)"
        case "(N*T, …)":
            own = (vars(m).get("batch_size") for m in module.modules())
            batch = next((b for b in own if type(b) is int and b > 0), 1)
            axes = {"time_axis": 0, "batch_axis": 0, "steps": steps}
            return {"example": example(batch * steps), **axes}, "a sequence (N*T, …)"
    loop = {"time_axis": 1, "step_module": True}
    return {"example": example(_BATCH, steps), **loop}, "one step, called for every step"


def _layouts(module: nn.Module) -> Iterator[str]:
    """How the outermost layers that care about batch and time take them."""
    if layout := _layout(module):
        yield layout
        return
    for child in module.children():
        yield from _layouts(child)


def _layout(layer: nn.Module) -> str:
    """How a layer takes batch and time; empty if it does not care."""
    library, _, path = type(layer).__module__.partition(".")
    if library == "spikingjelly" and path.endswith("container"):
        single = getattr(layer, "step_mode", "m") == "s"
        return "a step" if single else "(T, N, …)"
    if library == "spikingjelly" and ".neuron" in path:
        return "(T, N, …)" if getattr(layer, "step_mode", "s") == "m" else "a step"
    if library == "norse" and not path.endswith(("lift", "sequential")):
        return "(T, N, …)"
    if library == "sinabs" and "pool" not in path:
        return "(N*T, …)" if type(layer).__name__.endswith("Squeeze") else "(N, T, …)"
    return ""


class _Builder:
    """Makes the objects of a tree again.

    Args:
        file: Name of the file, for messages.
        objects: The table of the tree.
        tensors: By number.
    """

    def __init__(
        self, file: str, objects: list[Mapping[str, Any]], tensors: Mapping[int, Param]
    ) -> None:
        self._file, self._objects, self._tensors = file, objects, tensors
        self._made: dict[int, Any] = {}

    def module(self, root: Any) -> nn.Module:
        """The module at the root of the tree."""
        try:
            made = self._value(root)
        except CompileError:
            raise
        except Exception as e:  # attributes that the class cannot have written
            raise self._damaged(f"{type(e).__name__}: {e}") from e
        if isinstance(made, dict):  # a checkpoint with a module in it
            modules = [v for v in made.values() if isinstance(v, nn.Module)]
            made = modules[0] if len(modules) == 1 else made
        if not isinstance(made, nn.Module):
            raise self._damaged(f"it holds a {type(made).__name__}, no module")
        return made

    def _value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "name" in value:
            return self._named(value["name"], {**known.FUNCTION_NAMES, **known.DTYPE_NAMES})
        index = value["is"]
        if index not in self._made:
            self._make(index, self._objects[index])
        return self._made[index]

    def _make(self, index: int, entry: Mapping[str, Any]) -> None:
        kind = entry["kind"]
        if kind in ("list", "dict", "OrderedDict"):  # these may contain themselves
            made = self._made[index] = _CONTAINERS[kind]()
            if kind == "list":
                made.extend(map(self._value, entry["items"]))
            else:
                made.update((self._value(k), self._value(v)) for k, v in entry["items"])
        elif kind in ("tuple", "set"):
            self._made[index] = _CONTAINERS[kind](map(self._value, entry["items"]))
        elif kind == "tensor":
            self._made[index] = self._tensor(entry)
        elif kind == "parameter":
            data = self._value(entry["of"])
            self._made[index] = nn.Parameter(data, requires_grad=entry["trained"])
        else:
            self._object(index, entry)

    def _tensor(self, entry: Mapping[str, Any]) -> torch.Tensor:
        tensor = torch.from_numpy(self._tensors[entry["tensor"]].data.copy())
        return tensor.bfloat16() if entry["dtype"] == "bfloat16" else tensor

    def _object(self, index: int, entry: Mapping[str, Any]) -> None:
        name = entry["name"]
        args = [self._value(a) for a in entry["args"]]
        if name == "torch.device":
            self._made[index] = torch.device("cpu")
        elif name == "torch.Size":
            self._made[index] = torch.Size(*args)
        elif name in known.GETATTR:
            self._made[index] = self._method(*args)
        elif name in known.TUPLE_NAMES:
            self._made[index] = self._named(name, known.TUPLE_NAMES)(*args)
        elif name in known.SETTING_NAMES:
            made = self._made[index] = object.__new__(self._named(name, known.SETTING_NAMES))
            vars(made).update(self._attributes(type(made), entry))
        else:
            kind = self._named(name, known.LAYER_NAMES)
            layer = self._made[index] = kind.__new__(kind)
            layer.__setstate__(self._checked(layer, self._attributes(kind, entry)))

    def _named(self, name: str, names: Mapping[str, tuple[str, str]]) -> Any:
        """A class or function of the lists: nothing else is ever imported."""
        if name not in names:
            raise self._damaged(f"{name} is not what belongs here")
        module, attribute = names[name]
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as e:
            library = module.partition(".")[0]
            text = f"{self._file} needs {name}, which the installed {library} does not have"
            hint = f"install the version of {library} with which the model was saved"
            raise fail("E115", text, None, str(e), help=hint) from e

    def _method(self, layer: Any = None, name: Any = None, *_: object) -> Any:
        """The only bound method that layers keep."""
        of_norse = isinstance(layer, nn.Module) and type(layer).__module__.startswith("norse.")
        if not of_norse or name != known.METHOD:
            raise self._damaged(f"a request for {name!a:.80}")
        return getattr(layer, known.METHOD)

    def _attributes(self, kind: type[Any], entry: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes of an object, none of which takes the place of a method."""
        state = self._value(entry["state"])
        state = {} if state is None else state
        if not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
            raise self._damaged(f"the attributes of {entry['name']}")
        if hidden := [k for k in state if callable(getattr(kind, k, None))]:
            raise self._damaged(f"{entry['name']} with a {hidden[0]!a} of its own")
        return state

    def _checked(self, layer: nn.Module, state: dict[str, Any]) -> dict[str, Any]:
        """The attributes of a layer with tensors and layers where those belong, and no hooks."""
        wanted = {"_parameters": nn.Parameter, "_buffers": torch.Tensor, "_modules": nn.Module}
        for table, kind in wanted.items():
            entries = state.get(table)
            fits = isinstance(entries, dict) and all(
                isinstance(k, str) and (v is None or isinstance(v, kind))
                for k, v in entries.items()
            )
            if not fits:
                raise self._damaged(f"{table} of a {type(layer).__name__}")
        if hooks := [k for k, v in state.items() if "hooks" in k and v]:
            raise self._damaged(f"{hooks[0]} of a {type(layer).__name__}")
        return state

    def _damaged(self, what: str) -> CompileError:
        hint = "export the module where it was trained: snnc.export(module, example, 'model.pt')"
        return fail("E103", f"cannot rebuild the module of {self._file}: {what:.300}", help=hint)
