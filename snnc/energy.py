"""Estimates of energy from counted operations, with the source of every figure.

Digital logic computes with integers: an accumulation adds 32 bits, reads a weight, and reads and
writes its sum in memory, because events come in any order; a neuron's update reads and writes
its states and multiplies each by a decay.  The honest comparison is not a network of floats but the
same layers, equally quantized, computed once on numbers: every weight is read, multiplied and added
to a sum that stays in a register.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

from snnc.operations import Counts

#: Bytes of a sum or a state.
WORD = 4


@dataclass(frozen=True)
class Figure:
    """Energy of one operation; ``certain`` is false if it is quoted from a secondary source."""

    picojoules: float
    source: str
    certain: bool = True


@functools.cache
def figures() -> dict[str, Figure]:
    """All figures, from ``energy.toml``."""
    text = Path(__file__).with_name("energy.toml").read_text(encoding="utf-8")
    return {name: Figure(**entry) for name, entry in tomllib.loads(text).items()}


@dataclass(frozen=True)
class Estimate:
    """Energy of one sample on one kind of hardware.

    Attributes:
        name: Of the hardware.
        parts: What -> picojoules.
        used: Figures that it rests on.
    """

    name: str
    parts: dict[str, float]
    used: tuple[str, ...]

    @property
    def nanojoules(self) -> float:
        """The sum."""
        return sum(self.parts.values()) / 1000


def digital(counts: Counts) -> Estimate:
    """The spiking network on digital logic of 45 nm."""
    m, e = counts.metrics, {k: f.picojoules for k, f in figures().items()}
    sums = e["int32_add"] + e["sram_byte"] * (_weight_bytes(counts) + 2 * WORD)
    states = counts.per_sample(sum(p.states for p in counts.populations))
    update = e["int32_multiply"] + e["int32_add"] + 2 * WORD * e["sram_byte"]
    parts = {
        "accumulations": m["Effective_ACs"] * sums,
        "multiplications": m["Effective_MACs"] * (sums + e["int8_multiply"]),
        "neurons": states * update,
    }
    used = ("int8_multiply", "int32_multiply", "int32_add", "sram_byte")
    return Estimate("digital logic, 45 nm", parts, used)


def quantized_ann(counts: Counts) -> Estimate:
    """The same layers, computed once on 8-bit numbers instead of spikes over time."""
    e = {k: f.picojoules for k, f in figures().items()}
    each = e["int8_multiply"] + e["int32_add"] + e["sram_byte"] * _weight_bytes(counts)
    neurons = sum(p.elements for p in counts.populations) / max(counts.steps, 1)
    parts = {
        "multiplications": counts.dense_once * each,
        "activations": counts.per_sample(1) * neurons * 2 * e["sram_byte"],
    }
    used = ("int8_multiply", "int32_add", "sram_byte")
    return Estimate("the same layers once, 8-bit ANN, 45 nm", parts, used)


def _weight_bytes(counts: Counts) -> int:
    return (counts.weight_bits + 7) // 8


def loihi(counts: Counts) -> Estimate:
    """The spiking network on Loihi 1, without the host and without traffic between tiles."""
    m, e = counts.metrics, {k: f.picojoules for k, f in figures().items()}
    states = counts.per_sample(sum(p.states for p in counts.populations))
    changed = m["MembraneUpdates"]
    spikes = counts.per_sample(sum(p.events for p in counts.populations))
    parts = {
        "synapses": (m["Effective_ACs"] + m["Effective_MACs"]) * e["loihi_synapse"],
        "neurons": changed * e["loihi_update_active"]
        + (states - changed) * e["loihi_update_inactive"],
        "spikes": spikes * e["loihi_spike"],
    }
    used = ("loihi_synapse", "loihi_update_active", "loihi_update_inactive", "loihi_spike")
    return Estimate("Loihi 1, 14 nm", parts, used)


def verdict(counts: Counts) -> str:
    """Whether spikes pay, next to the quantized network, on the same logic."""
    spiking, plain = digital(counts), quantized_ann(counts)
    ratio = spiking.nanojoules / plain.nanojoules if plain.nanojoules else float("inf")
    synapses = spiking.parts["accumulations"] + spiking.parts["multiplications"]
    room = plain.nanojoules * 1000 - spiking.parts["neurons"]
    if ratio <= 1:
        return f"needs {ratio:.2f} times the energy of the quantized ANN on the same logic"
    text = f"needs {ratio:.1f} times the energy of the quantized ANN on the same logic"
    if room <= 0 or not synapses:
        return f"{text}: the updates of its neurons alone need more, use fewer steps"
    share = room / synapses
    return f"{text}: it would pay with {100 * share:.2g} % of its events"
