"""How each library that writes NIR means what the file leaves open: values of ``NirOptions``.

Read in the sources of the libraries, and checked against their layers and their recorded spikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Exporter:
    """The update rule of a library that writes NIR: values of options, and what to know."""

    values: dict[str, Any]
    notes: tuple[str, ...] = ()


_PAPER = {
    "reset": "zero",
    "timing": "same",
    "compare": "gt",
    "spikes": "one",
    "decay": "euler",
    "gain": "ode",
    "synapse": "ode",
    "initial": "zero",
    "floor": "none",
    "loop": "spikes",
}
_MANY = "{} fires as often as the threshold fits; spikes=one is its single spike a step"

#: Read in the sources of the libraries: what makes our step equal to the exporter's own.
EXPORTERS: dict[str, Exporter] = {
    "nir": Exporter(_PAPER),
    "snntorch": Exporter(
        {**_PAPER, "dt": 1e-4, "reset": "subtract", "timing": "next"},
        (
            "snnTorch's defaults are reset_mechanism='subtract' and reset_delay=True; layers made "
            "with others need reset=zero, or timing=snntorch for reset_delay=False",
            "its Synaptic with reset_mechanism='zero' and reset_delay=True needs "
            "reset=zero,timing=drop",
        ),
    ),
    "norse": Exporter(
        {**_PAPER, "dt": 1e-6, "synapse": "jump", "initial": "v_leak", "loop": "current"},
        (
            "Norse writes tau * dt for a time constant; dt = 1e-6 gives back its steps of 1e-3",
            "its IAFCell ignores dt: use gain=r for integrate-and-fire neurons",
        ),
    ),
    "nengo": Exporter(
        {**_PAPER, "dt": 1e-4, "decay": "exp", "decay_syn": "euler", "floor": "zero"},
        ("Nengo returns what a synapse filters one step later",),
    ),
    "spikingjelly": Exporter({**_PAPER, "dt": 1e-4, "compare": "ge", "initial": "v_reset"}),
    "sinabs": Exporter(
        {
            **_PAPER,
            "dt": 1.0,
            "reset": "subtract",
            "compare": "ge",
            "decay": "exp",
            "spikes": "many",
        },
        (
            "sinabs counts time in steps",
            _MANY.format("sinabs"),
            "its LIF normalises the input; ExpLeak, and LIF with norm_input=False, need gain=r",
        ),
    ),
    "rockpool": Exporter(
        {
            **_PAPER,
            "reset": "subtract",
            "compare": "ge",
            "decay": "exp",
            "gain": "one",
            "synapse": "decayed",
            "spikes": "many",
        },
        ("Rockpool adds the input without r and w_in", _MANY.format("Rockpool")),
    ),
    "spyx": Exporter(
        {**_PAPER, "dt": 1e-4, "reset": "subtract"},
        ("spyx returns the spikes of a step one step later",),
    ),
    "lava": Exporter({**_PAPER, "dt": 1e-4}),
}
