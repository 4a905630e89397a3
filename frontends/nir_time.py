"""How long a step is: given, or found in the file.

Time constants in a file are in seconds, or whatever the exporter takes for them, and a step has a
length that is not in the file.  Exporters choose ``r = tau / dt`` and ``w_in = tau_syn / dt``, so
that a spike adds its weight to the membrane: where all neurons agree on one round number, that is
the step.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from snnc.diagnostics import Diagnostic, Loc, error, warning
from snnc.frontends.nir_exporters import EXPORTERS
from snnc.frontends.nir_file import RawNode
from snnc.frontends.nir_neurons import NEURONS, parameters
from snnc.frontends.nir_options import NirOptions

#: The step of most simulators that read NIR, where the file says nothing.
USUAL = 1e-4


def choose_step(
    neurons: Iterable[RawNode], options: NirOptions
) -> tuple[float, str, list[Diagnostic]]:
    """The length of a step, why, and what is wrong with it.

    Args:
        neurons: All neurons of the network.
        options: Resolved but for ``dt``.
    """
    nodes = list(neurons)
    if options.dt is not None:
        own = EXPORTERS[options.exporter].values.get("dt") == options.dt
        why = f"that of {options.exporter}" if own else "given"
        return options.dt, why, _too_long(nodes, options.dt, options)
    if options.exporter == "rockpool":
        found = {x for node in nodes for x in _rockpool_steps(node)}
        said = [found] if found else []
    else:
        said = [x for x in map(evidence, nodes) if x is not None]
    agreed = set.intersection(*said) if said else set()
    if len(agreed) == 1:
        (dt,) = agreed
        return dt, "where r = tau / dt in the file", _too_long(nodes, dt, options)
    taus = [parameters(n)[t] for n in nodes for t in _taus(n)]
    if taus and min(float(t.min()) for t in taus) >= 1:
        why = "all time constants are 1 or more: they count steps"
        return 1.0, why, _too_long(nodes, 1.0, options)
    problems = _too_long(nodes, USUAL, options)
    if said:
        text = f"r and tau do not tell one length of a step; {USUAL:g} is taken"
        hint = "name it, --nir dt=..., or the library that wrote the file, --nir exporter=..."
        problems.append(warning("W140", text, help=hint))
    return USUAL, "usual, the file says nothing", problems


def _taus(node: RawNode) -> list[str]:
    return [p for p in NEURONS[node.kind].required if p.startswith("tau")]


def _too_long(nodes: list[RawNode], dt: float, options: NirOptions) -> list[Diagnostic]:
    """An E322 for every time constant that is not positive, or shorter than an Euler step."""
    found: list[Diagnostic] = []
    for node in nodes:
        values = parameters(node)
        for name in _taus(node):
            low = float(values[name].min()) if values[name].size else 1.0
            # In float32 a time constant of one step may be a little less than the step.
            if low > 0 and (options.decay == "exp" or dt <= low * (1 + 1e-6)):
                continue
            text = f"{node.path}: {name} is {low:g}, the step is {dt:g}"
            why = "a time constant must be positive, and for Euler steps not below the step"
            hint = "name the step in the unit of the file: --nir dt=..."
            found.append(error("E322", text, Loc(node.path), why, help=hint))
    return found


def _rockpool_steps(node: RawNode) -> list[float]:
    """Steps dt with ``r = exp(-x) / x``, ``x = dt / tau``, as Rockpool writes r."""
    tau = NEURONS[node.kind].tau
    if not tau:
        return []
    p = parameters(node)
    r, t = np.broadcast_arrays(p["r"], p[tau])
    pairs = sorted({(float(a), float(b)) for a, b in zip(r.flat, t.flat, strict=True)})
    return [step for a, b in pairs[:50] if (step := round_number(_inverse(a) * b)) is not None]


def _inverse(r: float) -> float:
    """The x with ``exp(-x) / x = r``, by bisection; 0 if r is not positive."""
    if not r > 0:
        return 0.0
    low, high = 1e-9, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(-middle) > r * middle else (low, middle)
    return (low + high) / 2


def round_number(x: float) -> float | None:
    """The number of at most two digits that ``x`` is up to the precision of float32, if any.

    >>> round_number(9.99999974e-05), round_number(1.0408e-4)
    (0.0001, None)
    """
    if not 0 < x < np.inf:
        return None
    near = float(f"{x:.1e}")
    return near if abs(near - x) <= 2e-6 * near else None


def evidence(node: RawNode) -> set[float] | None:
    """Lengths of a step at which the gain of this neuron is 1; None if it says nothing.

    Exporters choose ``r = tau / dt`` and ``w_in = tau_syn / dt`` so that one input spike adds its
    weight to the membrane.
    """
    if node.kind not in NEURONS or node.kind == "Threshold":
        return None
    p = parameters(node)
    ratios = []
    if node.kind in ("IF", "I"):
        ratios.append(1.0 / np.where(p["r"] == 0, np.inf, p["r"]))
    else:
        tau = NEURONS[node.kind].tau
        for top, bottom in ((tau, "r"), ("tau_syn", "w_in")):
            if top in p and bottom in p and not (p[bottom] == 1.0).all() and (p[bottom] > 0).all():
                ratios.append(p[top] / p[bottom])
    if not ratios:
        return None
    values = {round_number(float(x)) for ratio in ratios for x in np.unique(ratio)[:50]}
    return {x for x in values if x is not None} if None not in values else set()
