"""Read a module pickled by ``torch.save(model)`` as a tree of names, attributes and tensors.

A class or function that the pickle names becomes an inert stand-in that notes what it is given;
nothing is imported or called.  The tree goes to the parent process as JSON, in which equal
indices are the same object (shared layers, tied weights), and its tensors as constants.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Self

from snnc.container import LoadedModel
from snnc.diagnostics import Loc, fail
from snnc.frontends.pickled_classes import DTYPE_NAMES, KNOWN, MADE
from snnc.frontends.torch_pickle import (
    NAMES,
    Array,
    ForeignError,
    Storage,
    TensorUnpickler,
    TensorView,
    unpickled,
)
from snnc.graph import Graph
from snnc.ops import Constant, Output
from snnc.params import Param
from snnc.untrusted import UnsafeError

#: How deep objects may lie in each other, and how many there may be.
_DEPTH, _COUNT = 200, 500_000


class StandIn:
    """Stands for an object of a class, or the result of a call, and does nothing."""

    name = ""
    args: tuple[object, ...]
    keywords: dict[str, object]
    state: object
    items: list[object]

    def __new__(cls, *args: object, **keywords: object) -> Self:
        made = super().__new__(cls)
        made.args, made.keywords, made.state, made.items = args, keywords, None, []
        return made

    def __call__(self, *args: object) -> StandIn:
        made = StandIn(*args)
        made.name = f"{self.name}(…)"  # known to nobody
        return made

    def __setstate__(self, state: object) -> None:
        self.state = state

    def append(self, item: object) -> None:
        self.items.append(item)

    def __setitem__(self, key: object, value: object) -> None:
        self.items.append((key, value))


class _Parameter:
    """A tensor that is trained."""

    def __init__(self, tensor: object, trained: object, *_: object) -> None:
        self.tensor, self.trained = tensor, trained


class _TreeUnpickler(TensorUnpickler):
    """Builds containers, numbers, texts, tensors and stand-ins; ``requested`` are their names."""

    requested: set[str]

    def __init__(self, file: io.BytesIO, load: Callable[[str, Storage], None]) -> None:
        super().__init__(file, load)
        self._stand_ins: dict[str, type[StandIn]] = {}

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in ("__builtin__.set", "builtins.set"):
            return set
        if full.startswith("torch._utils._rebuild_parameter"):
            return _Parameter
        if full in NAMES and full not in DTYPE_NAMES and full not in MADE:
            return super().find_class(module, name)
        self.requested.add(full)
        if full not in self._stand_ins:
            self._stand_ins[full] = type("StandIn", (StandIn,), {"name": full})
        return self._stand_ins[full]

    def persistent_load(self, pid: Any) -> Any:
        # torch before 1.6 wrote classes with their source text
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]
        return super().persistent_load(pid)


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read the tree, in this process: for the child, and for tests.

    Returns:
        ``meta["objects"]`` and ``meta["root"]``; the tensors are the constants of the graph, at
        the place with their number.

    Raises:
        CompileError: E103 damaged, E110 more than tensors and objects of known classes.
    """
    try:
        encoder, requested = _Encoder(), set[str]()
        reader = type("Reader", (_TreeUnpickler,), {"requested": requested})
        root, arrays = unpickled(data, reader, encoder.whole)
    except ForeignError as e:
        raise refused(name, e.names) from e
    except (UnsafeError, RecursionError) as e:
        hint = "copy the file again, or save the model again"
        raise fail("E103", f"cannot read {name}: {e}", help=hint) from e
    if foreign := sorted((requested - KNOWN) or (encoder.names - KNOWN)):
        raise refused(name, foreign)
    graph = Graph("tensors", 1)
    for i, array in enumerate(arrays):
        constant = Constant(Param(array))
        graph.add(f"out{i}", Output(), graph.add(f"t{i}", constant, loc=Loc(str(i))).name)
    return LoadedModel(graph, {"objects": encoder.objects, "root": root})


def refused(name: str, foreign: list[str]) -> Exception:
    """An E110 that lists what of a file is not known."""
    listed = ", ".join(n[:120] for n in foreign[:12]) + (", …" if len(foreign) > 12 else "")
    return fail(
        "E110",
        f"{name} holds pickled objects: loading it would run code from the file",
        None,
        f"it refers to {listed}",
        "read without running anything are layers of torch.nn, SpikingJelly, sinabs and Norse",
        help="export it where it was trained, snnc.export(module, example, 'model.pt'), or save "
        "its state_dict() and name your own code with --module file.py:factory",
    )


class _Encoder:
    """Turns what was unpickled into JSON values: a table of objects that refer to each other."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.tensors: list[TensorView] = []
        self.names: set[str] = set()
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []  # so that no id is given twice

    def whole(self, x: Any) -> tuple[Any, list[Array]]:
        """The root as a JSON value, and the tensors by number."""
        return self.value(x, 0), [tensor.array() for tensor in self.tensors]

    def value(self, x: Any, depth: int) -> Any:
        """A JSON value: a plain value, a name, or a reference to an entry of the table."""
        if x is None or type(x) in (bool, int, float, str):
            return x
        if isinstance(x, type) and issubclass(x, StandIn):
            self.names.add(x.name)
            return {"name": x.name}
        if depth > _DEPTH or len(self.objects) > _COUNT:
            raise UnsafeError("nested too deeply, or too many objects")
        if id(x) not in self._seen:
            self._seen[id(x)] = len(self.objects)
            self._kept.append(x)
            entry: dict[str, Any] = {}
            self.objects.append(entry)
            entry.update(self._entry(x, depth + 1))
        return {"is": self._seen[id(x)]}

    def _entry(self, x: Any, depth: int) -> dict[str, Any]:
        if isinstance(x, list | tuple | set):
            items = sorted(x, key=repr) if isinstance(x, set) else x
            kind = next(k for k in (list, tuple, set) if isinstance(x, k)).__name__
            return {"kind": kind, "items": [self.value(y, depth) for y in items]}
        if isinstance(x, dict):
            kind = "OrderedDict" if isinstance(x, OrderedDict) else "dict"
            pairs = [[self.value(k, depth), self.value(v, depth)] for k, v in x.items()]
            return {"kind": kind, "items": pairs}
        if isinstance(x, TensorView):
            self.tensors.append(x)
            return {"kind": "tensor", "tensor": len(self.tensors) - 1, "dtype": x.storage.kind}
        if isinstance(x, _Parameter):
            tensor = self.value(x.tensor, depth)
            return {"kind": "parameter", "of": tensor, "trained": bool(x.trained)}
        if isinstance(x, StandIn):
            self.names.add(x.name)
            if x.items or x.keywords:
                raise UnsafeError(f"an object of {x.name:.120} with contents of its own")
            args = [self.value(a, depth) for a in x.args]
            state = self.value(x.state, depth)
            return {"kind": "object", "name": x.name, "args": args, "state": state}
        raise UnsafeError(f"a value of type {getattr(x, 'kind', type(x).__name__):.80}")
