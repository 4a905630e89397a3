"""Writes a network and one sample for SANA-FE, which estimates energy and time of Loihi by unit.

SANA-FE (Boyle et al., IEEE TCAD 2025; GPL, not a part of snnc) computes voltages in floats, without
the chip's rounding and without its limits, so its spikes may differ from the program's in places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from snnc.backends.lava.stock.chips import find_chip
from snnc.backends.lava.stock.matrix import Ints
from snnc.backends.lava.stock.placement import Placement, place
from snnc.backends.lava.stock.plan import Population, StockPlan
from snnc.diagnostics import fail

#: Units for injected spikes on a core of its description of Loihi, and cores of a tile.
INPUTS, TILE = 1024, 4
#: Of its dendrites (version 2.2.9).
LONGEST_DELAY = 5
#: Above every sum of a sample.
NEVER = 1e12


def network_yaml(plan: StockPlan, spikes: Mapping[str, Ints]) -> str:
    """The network, with one sample's spikes, in the format of SANA-FE 2.

    Args:
        plan: The network.
        spikes: Source -> (T, size).

    Raises:
        CompileError: E511 if SANA-FE's neurons cannot be these.
    """
    for source in plan.sources:
        if source.bits > 1:
            raise fail(
                "E511", f"{source.node} has {source.lo} to {source.hi}, SANA-FE takes spikes"
            )
    for p in plan.populations:
        if p.kind == "lif" and p.du != 4095:
            raise fail("E511", f"{p.node} has a current that stays, SANA-FE's Loihi has none")
    if (longest := max((delay for *_, delay in _edges(plan)), default=0)) > LONGEST_DELAY:
        text = f"a delay of {longest} steps, SANA-FE's Loihi has {LONGEST_DELAY} at most"
        raise fail("E511", text)
    chip = find_chip("loihi1")
    placement = place(plan, chip)
    cores = len(placement.cores) + -(-sum(s.size for s in plan.sources) // INPUTS)
    if cores > chip.cores.value:
        text = f"with its inputs the network needs {cores} cores, SANA-FE's chip has"
        raise fail("E520", f"{text} {chip.cores.value}", help="make the network smaller")
    return "\n".join(_lines(plan, placement, spikes)) + "\n"


def _lines(plan: StockPlan, placement: Placement, spikes: Mapping[str, Ints]) -> Iterator[str]:
    group = {s.name: f"s{i}" for i, s in enumerate(plan.sources)}
    group |= {p.name: f"p{i}" for i, p in enumerate(plan.populations)}
    late: set[str] = set()
    yield "network:"
    yield "  name: snnc"
    yield "  groups:"
    for source in plan.sources:
        yield f"    - name: {group[source.name]}"
        yield "      attributes: []"
        yield "      neurons:"
        for i, row in enumerate(spikes[source.name].T):
            yield f"        - {i}: [spikes: [{', '.join(map(str, row))}]]"
    for p in plan.populations:
        yield f"    - name: {group[p.name]}"
        yield "      attributes: [log_spikes: true]"
        yield "      neurons:"
        for i in range(p.size):
            yield f"        - {i}: [soma: {{{_soma(p, i)}}}]"
    yield "  edges:"
    for src, dst, i, j, weight, delay in _edges(plan):
        wait = f", delay: {delay}" if delay else ""
        late |= {dst} if delay else set()
        yield f"    - {group[src]}.{i} -> {group[dst]}.{j}: [weight: {weight:g}{wait}]"
    yield "mappings:"
    number = 0
    for source in plan.sources:
        for i in range(source.size):
            core = _core(len(placement.cores) + number // INPUTS)
            unit = f'soma: "loihi_inputs[{number % INPUTS}]"'
            yield f"  - {group[source.name]}.{i}: [core: {core}, {unit}]"
            number += 1
    for k, held in enumerate(placement.cores):
        for part in held.parts:
            units = "loihi_lif, dendrite: loihi_dendrites_delay"
            units = units if part.population in late else "loihi_lif"
            for i in range(part.start, part.stop):
                yield f"  - {group[part.population]}.{i}: [core: {_core(k)}, soma: {units}]"


def _soma(p: Population, i: int) -> str:
    """Attributes of a neuron, in units of a weight of 1."""
    if p.kind == "or":
        return "threshold: 0, leak_decay: 0"
    if p.kind == "tap" or not p.fires:
        return f"threshold: {NEVER:g}, leak_decay: {1 - p.dv / 4096!r}"
    found = f"threshold: {p.vth}, leak_decay: {1 - p.dv / 4096!r}"
    assert p.bias_mant is not None, "LIF has a bias"
    assert p.bias_exp is not None, "LIF has a bias"
    bias = int(p.bias_mant[i]) << int(p.bias_exp[i])
    return f"{found}, bias: {bias / 64!r}, force_update: true" if bias else found


def _edges(plan: StockPlan) -> Iterator[tuple[str, str, int, int, float, int]]:
    lines = {x.name: x for x in plan.lines}
    for c in plan.connections:
        source, carrier = c.matrix.cols, c.src
        delay = np.zeros(len(source), np.int64)
        while carrier in lines:
            line = lines[carrier]
            delay, source, carrier = delay + line.hops[source], line.source[source], line.src
        for i, j, value, wait in zip(source, c.matrix.rows, c.matrix.values, delay, strict=True):
            yield carrier, c.dst, int(i), int(j), float(value) * 2.0**c.exponent, int(wait)


def _core(number: int) -> str:
    return f"{number // TILE}.{number % TILE}"
