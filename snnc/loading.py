"""Read the model that is to be compiled, and what its file says about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnc.container import LoadedModel, check_finite, load_from_source, read_model
from snnc.diagnostics import CompileError, Diagnostic, fail
from snnc.graph import Graph
from snnc.manifest import Source
from snnc.ops import Input
from snnc.profile import PROFILES


@dataclass(frozen=True)
class Loaded:
    """A model to compile.

    Attributes:
        graph: Real-valued operators.
        source: The file.
        layouts: Per input, the order of axes in the user's model, e.g. ``TN..``: time, batch and
            two of features.
        fixed_steps: Whether the model itself contains the number of steps.
        diagnostics: What its export said.
        profile: The numeric profile that the model is made for, if it says so.
        traced: Whether ranges of inputs and the number of steps are those of an example.
        outputs: Names of the outputs in the order of the model, where the file names them.
    """

    graph: Graph
    source: Source
    layouts: dict[str, str]
    fixed_steps: bool
    diagnostics: tuple[Diagnostic, ...]
    profile: str | None = None
    traced: bool = False
    outputs: tuple[str, ...] = ()


def load(
    path: Path,
    module: str | None = None,
    nir: str = "",
    onnx: str = "",
    lava_dl: str = "",
    shape: tuple[int, ...] = (),
    steps: int | None = None,
) -> Loaded:
    """Read a model file, or weights into the network that ``module`` (file.py:factory) makes.

    ``nir`` says what a NIR file leaves open, e.g. ``reset=subtract,dt=1e-3``; ``onnx`` the same
    of an ONNX file, e.g. ``state=v:v_out``, and ``lava_dl`` of a lava-dl network.  ``shape`` and
    ``steps`` are of the input of a pickled module.

    Raises:
        CompileError: E1xx if it cannot be read, E301 for NaN.
    """
    if module is not None:
        model = _from_source(path, module)
    else:
        model = read_model(path, nir, onnx, lava_dl, shape, steps)
    if problems := check_finite(model.graph):
        raise CompileError(problems)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    torch = model.meta.get("torch")
    producer = f"torch {torch}" if isinstance(torch, str) else _text(model.meta.get("producer"))
    return Loaded(
        graph=model.graph,
        source=Source(path.name, digest, producer),
        layouts=_layouts(model.graph, model.meta),
        outputs=_outputs(model.meta),
        fixed_steps=model.meta.get("fixed_steps") is True,
        diagnostics=tuple(model.diagnostics),
        profile=_profile(path.name, model.meta),
        traced=isinstance(torch, str) and model.meta.get("exported") is True,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _from_source(path: Path, module: str) -> LoadedModel:
    if not path.is_file():
        raise fail("E101", f"there is no file {path}", help="check the path of the weights")
    return load_from_source(module, path)


def _profile(name: str, meta: Mapping[str, Any]) -> str | None:
    """The profile that the file names."""
    found = meta.get("profile")
    if found is None or (isinstance(found, str) and found in PROFILES):
        return found
    raise fail("E103", f"{name} is damaged: numeric profile {found!r:.40}")


def _outputs(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """The outputs in the order that the file names them; none if it does not."""
    entries = meta.get("outputs")
    entries = entries if isinstance(entries, list) else []
    names = (entry.get("name") for entry in entries if isinstance(entry, dict))
    return tuple(name for name in names if isinstance(name, str))


def _layouts(graph: Graph, meta: Mapping[str, Any]) -> dict[str, str]:
    """The layouts that the file names; a file that does not, or says nonsense, names none."""
    ranks = {n.name: len(n.op.type.shape) for n in graph.nodes if isinstance(n.op, Input)}
    found = {}
    entries = meta.get("inputs")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("name") not in ranks:
            continue
        places = {entry.get("time_axis"): "T", entry.get("batch_axis"): "N"}
        places.pop(None, None)
        axes = range(ranks[entry["name"]] + len(places))
        if set(places) <= set(axes):
            found[entry["name"]] = "".join(places.get(i, ".") for i in axes)
    return found
