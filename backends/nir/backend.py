"""The NIR target: the real-valued network in the exchange format, and what the format loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from snnc.backends.base import Artifacts
from snnc.backends.model_backend import ModelBackend
from snnc.backends.nir.network import Network, network
from snnc.diagnostics import Diagnostic, fail, stop_on_errors
from snnc.graph import Graph
from snnc.intops import IntInput, IntOutput
from snnc.passes.base import run_passes
from snnc.passes.pipeline import real_pipeline


@dataclass(frozen=True)
class NirBackend(ModelBackend):
    """A NIR file of the float model, with the scales of the integers as metadata."""

    name: ClassVar[str] = "nir"
    no_run: ClassVar[str] = "NIR is a format for exchange, without arithmetic of its own"
    instead: ClassVar[str] = "use --backend numpy, or read model.nir with another tool"

    def check_model(self, model: Graph, program: Graph) -> list[Diagnostic]:
        return raised(model).problems

    def emit_model(self, model: Graph, program: Graph, quantized: Graph | None) -> Artifacts:
        """Write the model.

        Raises:
            CompileError: E54x for what NIR cannot say, E641 without h5py.
        """
        try:
            from snnc.backends.nir.file import write

            net = raised(model)
            stop_on_errors(net.problems)
            data = write(net, about(program), weight_scales(program, quantized))
        except ImportError as e:
            hint = "pip install 'snnc[nir]'"
            raise fail("E641", f"NIR files need h5py: {e}", help=hint) from e
        return Artifacts({"model.nir": data})


def raised(model: Graph) -> Network:
    """The network of NIR, of a model whose neurons are found first if they are not there."""
    found = network(model)
    if any(d.code == "E541" for d in found.problems):
        found = network(run_passes(model, real_pipeline(exact=True)))
    return found


def about(program: Graph) -> dict[str, Any]:
    """What the integers at the ends of the program mean: real value = scale * integer."""
    return {
        "inputs": {n.name: n.op.scale for n in program if isinstance(n.op, IntInput)},
        "outputs": {
            n.name: n.op.scale.data.tolist() for n in program if isinstance(n.op, IntOutput)
        },
        "steps": program.steps,
    }


def weight_scales(program: Graph, quantized: Graph | None) -> dict[str, Any]:
    """What an integer weight of every row stands for, by layer."""
    found = {}
    for node in quantized or ():
        if node.name not in program or "weight" not in node.op.params:
            continue
        whole = program[node.name].op.params.get("weight")
        real = node.op.params["weight"].data
        if whole is None or whole.shape != real.shape:
            continue
        integers = whole.data.reshape(len(real), -1).astype(np.float64)
        place = np.abs(integers).argmax(1)[:, None]
        largest = np.take_along_axis(integers, place, 1)[:, 0]
        floats = np.take_along_axis(real.reshape(len(real), -1).astype(np.float64), place, 1)[:, 0]
        found[node.name] = np.where(largest == 0, 0.0, floats / np.where(largest == 0, 1, largest))
    return found
