"""Read a lava-dl network file (HDF5, ``.net``) into plain records.

Layout, as lava-dl's blocks export it: ``/layer/<i>/type`` with the fields of that type and the
parameters of its neurons in ``/layer/<i>/neuron``, and perhaps ``/simulation/tSample``.  Weights
are the integers of the chip, stored as floats.
"""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.diagnostics import CompileError, Diagnostic, Loc, fail
from snnc.finite import not_finite
from snnc.frontends.hdf5_file import plain_text, read_walked
from snnc.frontends.hdf5_walk import at

Array = npt.NDArray[Any]
Fields = dict[str, Array | str]

MAX_LAYERS = 1000

_TEXT = frozenset({"type", "activation", "version"})
_AGAIN = "write the file again with net.export_hdf5, which stores the data itself"


@dataclass(frozen=True)
class RawLayer:
    """A layer as the file has it.

    Attributes:
        index: Its number.
        kind: Its type, e.g. ``dense``.
        fields: Arrays and texts by name; those of sub-groups as ``weight/real``.
        neuron: Parameters of its neurons; None if it has none.
    """

    index: int
    kind: str
    fields: Fields = field(default_factory=dict)
    neuron: Fields | None = None

    @property
    def loc(self) -> Loc:
        """Where it is, for messages."""
        return Loc(f"layer/{self.index}")

    @property
    def title(self) -> str:
        """Name and type, for messages."""
        return f"layer/{self.index} ({self.kind})"


@dataclass(frozen=True)
class NetFile:
    """A network file: its layers in order, and the steps of a sample (0 if it does not say)."""

    layers: tuple[RawLayer, ...]
    steps: int


def is_lava_dl(data: bytes) -> bool:
    """Whether an HDF5 file holds a lava-dl network and not a NIR graph; False if it is damaged."""
    h5py = importlib.import_module("h5py")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            return "layer" in file and "node" not in file
    except (MemoryError, RecursionError):
        raise
    except Exception:  # libhdf5 passes on anything; the reader will say what is wrong
        return False


def read_file(data: bytes, name: str) -> NetFile:
    """The layers of a file.

    Raises:
        CompileError: E103 damaged, E140 data outside the file, E141 more data than a file of this
            size can mean, E142 links in a circle, E143 too deep or too many objects, E144 an
            element type, E145 a name, E170 no network, E301 NaN or infinity.
    """

    def read(h5py: Any, file: Any) -> NetFile:
        return _Reader(h5py).network(file, name)

    return read_walked(data, name, _TEXT, _AGAIN, read)


class _Reader:
    """Read the records of a file that has been walked."""

    def __init__(self, h5py: Any) -> None:
        self.h5py = h5py
        self.problems: list[Diagnostic] = []

    def network(self, file: Any, name: str) -> NetFile:
        group = file.get("layer")
        if not isinstance(group, self.h5py.Group) or not len(group):
            raise fail("E170", f"{name} has no layers", help="export the network again")
        if len(group) > MAX_LAYERS:
            raise fail("E143", f"{name} has {len(group)} layers, more than {MAX_LAYERS}")
        wanted = [str(i) for i in range(len(group))]
        if set(group) != set(wanted):
            text = f"the layers of {name} are not numbered from 0 to {len(group) - 1}"
            raise fail("E170", text, help="export the network again")
        layers = tuple(self.layer(group[i], int(i)) for i in wanted)
        steps = file.get("simulation/tSample")
        count = 0
        if isinstance(steps, self.h5py.Dataset) and steps.size == 1 and steps.dtype.kind in "iuf":
            value = float(np.asarray(steps[()]).reshape(-1)[0])
            count = int(value) if 1 <= value <= 1 << 24 and value == int(value) else 0
        if self.problems:
            raise CompileError(self.problems)
        return NetFile(layers, count)

    def layer(self, group: Any, index: int) -> RawLayer:
        loc = Loc(f"layer/{index}")
        if not isinstance(group, self.h5py.Group) or "type" not in group:
            raise fail("E170", f"layer/{index} has no type", loc, help="export the network again")
        fields = self.fields(group, f"layer/{index}", "")
        neuron = None
        if "neuron" in group:
            if not isinstance(group["neuron"], self.h5py.Group):
                raise fail("E170", f"layer/{index}/neuron is not a group", loc)
            neuron = self.fields(group["neuron"], f"layer/{index}/neuron", "")
            fields = {k: v for k, v in fields.items() if not k.startswith("neuron/")}
        kind = fields.pop("type", None)
        if not isinstance(kind, str):
            raise fail("E170", f"the type of layer/{index} is not a text", loc)
        return RawLayer(index, kind, fields, neuron)

    def fields(self, group: Any, path: str, prefix: str) -> Fields:
        found: Fields = {}
        for name in sorted(group):
            value = group[name]
            if isinstance(value, self.h5py.Group):
                found |= self.fields(value, f"{path}/{name}", f"{prefix}{name}/")
            else:
                found[prefix + name] = self.field(value, f"{path}/{name}")
        return found

    def field(self, data: Any, path: str) -> Array | str:
        if data.dtype.kind in "OS":
            if data.size != 1:
                raise fail("E170", f"{path} is not one text", at(path))
            return plain_text(np.asarray(data[()]).reshape(-1)[0], path)
        value = np.asarray(data[()])
        if value.dtype.kind == "f":
            value = value.astype(np.float64)
            self.problems += not_finite(value, path, Loc(path))
        return value
