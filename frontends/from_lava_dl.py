"""Read a lava-dl network, as ``net.export_hdf5`` writes it: integers for Loihi.

Stages, in a child process (``isolated.py``): ``lava_dl_file`` (HDF5 to records),
``lava_dl_layers`` (weights, pools and averages as operators), ``lava_dl_neurons`` (kernels),
``lava_dl_graph`` (delays and the output), and here the layers one after the other.  All values of
the graph are whole numbers or dyadic fractions; the profile ``loihi`` compiles them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snnc.container import LoadedModel
from snnc.diagnostics import Diagnostic, error, remark, stop_on_errors, warning
from snnc.frontends.lava_dl_file import NetFile, RawLayer, read_file
from snnc.frontends.lava_dl_graph import Builder
from snnc.frontends.lava_dl_layers import LAYERS
from snnc.frontends.lava_dl_neurons import NEURONS, UnsupportedError
from snnc.frontends.lava_dl_options import LavaDlOptions


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read a network from its bytes, in this process: for the child, and for tests.

    Raises:
        CompileError: E10x and E14x for files that cannot be read, E170 for incomplete networks,
            E178 for options, E202 for layers that do not fit together, E210 for layers and
            neurons that are not supported, E301 for NaN.
    """
    chosen = LavaDlOptions.of(options)
    net = read_file(data, name)
    found = _check(net)
    stop_on_errors(found)
    builder = Builder(Path(name).stem, chosen, chosen.steps or net.steps or 1)
    for layer in net.layers:
        try:
            LAYERS[layer.kind].add(builder, layer)
        except UnsupportedError as e:
            found.append(error("E210", f"{layer.title}: {e}", layer.loc))
            break
        except ValueError as e:
            found.append(error("E202", f"{layer.title}: {e}", layer.loc))
            break
    stop_on_errors(found)
    graph = builder.finish()
    found.append(_assumptions(chosen, builder, net))
    meta = {"format": "lava-dl", "profile": "loihi", "options": asdict(chosen)}
    return LoadedModel(graph, meta, found)


def _check(net: NetFile) -> list[Diagnostic]:
    """Unknown types, missing parameters, and parameters that nobody reads."""
    found: list[Diagnostic] = []
    for layer in net.layers:
        if layer.kind not in LAYERS:
            known = ", ".join(LAYERS)
            text = f"{layer.title}: layers of this type are not read"
            found.append(error("E210", text[:300], layer.loc, help=f"known: {known}"))
            continue
        kind = LAYERS[layer.kind]
        if any(name.startswith("weight/") for name in layer.fields):
            found.append(error("E210", f"{layer.title} has complex weights", layer.loc))
            continue
        _known(layer, layer.fields, kind.required, kind.optional, "", found)
        if layer.neuron is None:
            continue
        neurons = NEURONS.get(str(layer.neuron.get("type")))
        if neurons is not None:  # others are refused with the layer
            _known(layer, layer.neuron, neurons.required, neurons.optional, "neuron/", found)
    return found


def _known(
    layer: RawLayer,
    fields: Mapping[str, Any],
    required: tuple[str, ...],
    optional: tuple[str, ...],
    prefix: str,
    found: list[Diagnostic],
) -> None:
    if missing := [prefix + p for p in required if p not in fields]:
        text = f"{layer.title} has no {', '.join(missing)}"
        found.append(error("E170", text, layer.loc, help="export the network again"))
    if spare := sorted(set(fields) - {*required, *optional}):
        text = f"{layer.title} has parameters that are not read: {', '.join(spare)}"
        found.append(warning("W170", text[:400], layer.loc))


def _assumptions(options: LavaDlOptions, builder: Builder, net: NetFile) -> Diagnostic:
    """The remark that says how the file was read."""
    fires = ">" if options.compare == "gt" else ">="
    trained = "as on the chip" if options.compare == "gt" else "as lava-dl trained without epsilon"
    notes = [f"fires at v {fires} 64 * vThMant, {trained} (compare=gt|ge)"]
    if any(layer.neuron and layer.neuron.get("type") == "ALIF" for layer in net.layers):
        notes.append(
            "adaptive neurons fire at v >= threshold + refractory state, as lava-dl trains"
        )
    late = "one step later" if options.delay_shift else "within the step"
    hops = sum(layer.neuron is not None for layer in net.layers)
    lag = f"; on Lava and Loihi, and in training with delay_shift, after {hops} steps"
    notes.append(
        f"the spikes of a layer arrive {late} (delay_shift=0|1)"
        + ("" if options.delay_shift else lag)
    )
    low, high, step = builder.grid
    notes.append(
        f"inputs are {low:g} to {high:g} in steps of {step:g} (input_lo=, input_hi=, input_step=)"
    )
    notes.append(f"the output is {options.readout} (readout=stack|sum|mean|last|max)")
    return remark("R170", "the integers of a lava-dl file are kept as they are", None, *notes)
