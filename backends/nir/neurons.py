"""Neurons of NIR for kernels, and the convention with which they must be read.

A kernel that was read from NIR names the parameters of NIR: it must be, line by line, what the
reader makes of them, under some convention.  Of any other kernel the formulas are taken: decay,
gain, threshold and reset give the parameters, and the reader's kernel of those must have the same
formulas, up to the rounding of the last digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.nir.algebra import Condition, Meaning, NotAffineError, meaning, same
from snnc.frontends.nir_file import RawNode
from snnc.frontends.nir_neurons import NEURONS, neuron_kernel
from snnc.frontends.nir_options import NirOptions, choices
from snnc.kernel import Kernel

Array = npt.NDArray[Any]

#: Length of a step of networks that count steps: the usual one of readers of NIR.
USUAL = 1e-4
#: Relative difference of coefficients from parameters that were computed back.
ROUNDING = 1e-9
#: What of a convention concerns neurons.
KEYS = (
    *("reset", "timing", "compare", "spikes", "decay", "decay_syn"),
    *("gain", "synapse", "initial", "floor"),
)
Convention = tuple[str, ...]


@dataclass(frozen=True)
class Neuron:
    """A neuron of NIR.

    Attributes:
        kind: Its type.
        fields: Its parameters.
        dt: Length of a step in the unit of its time constants; None: any.
        conventions: With which it is the kernel: values of ``KEYS``.
        exact: Whether the reader makes this very kernel of it.
    """

    kind: str
    fields: dict[str, Array]
    dt: float | None
    conventions: frozenset[Convention]
    exact: bool


class InexpressibleError(Exception):
    """NIR has no such neuron."""


def neuron(kernel: Kernel, shape: tuple[int, ...]) -> Neuron:
    """The neuron of NIR that a kernel is.

    Raises:
        InexpressibleError: With the reason why there is none.
    """
    return _named(kernel, shape) or _recognized(kernel, shape)


def _conventions(kernel: Kernel) -> Iterator[NirOptions]:
    """Conventions of which a kernel with such functions may be."""
    functions = {line.fn for line in kernel.body}
    options = choices()
    fixed = {
        "compare": sorted({"gt", "ge"} & functions) or ["gt"],
        "spikes": ["many"] if functions & {"floor", "ceil"} else ["one"],
        "floor": ["zero"] if any(y.name == "v_kept" for y in kernel.body) else ["none"],
    }
    if "exp" not in functions:
        fixed |= {"decay": ["euler"], "decay_syn": ["euler"]}
    if len(kernel.states) < 2:
        fixed |= {"decay_syn": ["euler"], "synapse": ["ode"]}
    if fixed["spikes"] == ["many"]:
        fixed["compare"] = ["ge" if "floor" in functions else "gt"]
    for values in product(*(fixed.get(key, options[key]) for key in KEYS)):
        named: dict[str, Any] = dict(zip(KEYS, values, strict=True))
        yield NirOptions(**named)


def _key(options: NirOptions) -> Convention:
    return tuple(str(getattr(options, key)) for key in KEYS)


def _free(kernel: Kernel, found: set[Convention]) -> frozenset[Convention]:
    """The conventions, with all values of what does not concern this kernel."""
    options, names = choices(), {line.fn for line in kernel.body}
    unused = set() if len(kernel.states) > 1 else {"decay_syn", "synapse"}
    if not names & {"gt", "ge", "floor", "ceil"}:
        unused |= {"reset", "timing", "compare", "spikes", "floor"}
    places = [i for i, key in enumerate(KEYS) if key in unused]
    for i in places:
        found = {(*c[:i], v, *c[i + 1 :]) for c in found for v in options[KEYS[i]]}
    return frozenset(found)


def _named(kernel: Kernel, shape: tuple[int, ...]) -> Neuron | None:
    """The neuron whose parameters the kernel names, if it is exactly that."""
    consts = {c.name: c for c in kernel.consts}
    paths = {c.origin.rpartition(".")[0] for c in kernel.consts if "." in c.origin}
    dt = float(consts["dt"].values.data) if "dt" in consts else None
    for kind, about in NEURONS.items():
        if not set(about.required) <= set(consts) or len(paths) > 1:
            continue
        fields = {p: consts[p].values.data for p in about.parameters if p in consts}
        if set(consts) - {*fields, "dt", "one", "zero"}:
            continue
        node = RawNode(kind, next(iter(paths), ""), dict(fields))
        found = set()
        for options in _conventions(kernel):
            try:
                made = neuron_kernel(node, shape, len(kernel.inputs), options, dt or 1.0)
            except ValueError:
                continue
            if made == kernel:
                found.add(_key(options))
        if found:
            defaults = {p: np.asarray(v) for p, v in about.optional.items() if p not in fields}
            return Neuron(kind, {**fields, **defaults}, dt, _free(kernel, found), True)
    return None


def _recognized(kernel: Kernel, shape: tuple[int, ...]) -> Neuron:
    """The neuron that has the formulas of the kernel."""
    try:
        whole = meaning(kernel)
    except NotAffineError as e:
        text = "its update is not linear in the input and the states"
        raise InexpressibleError(text) from e
    if any(s.init.data.any() for s in kernel.states):
        raise InexpressibleError("it does not start at 0")
    kind, fields, fires = _parameters(kernel, whole)
    node = RawNode(kind, "", dict(fields))
    found = set()
    for options in _conventions(kernel):
        if fires and options.compare != fires:
            continue
        options = replace(options, decay="euler", decay_syn="euler", gain="ode", synapse="ode")
        try:
            made = neuron_kernel(node, shape, len(kernel.inputs), options, USUAL)
        except ValueError:
            continue
        if _equal(kernel, whole, made):
            found.add(_key(replace(options, initial="zero")))
    if not found:
        raise InexpressibleError("its reset, or what it hands on, is none of NIR's readers")
    if kind == "LIF":
        fields = _of_unit_resistance(fields)
    return Neuron(kind, fields, USUAL, _free(kernel, found), False)


def _of_unit_resistance(fields: dict[str, Array]) -> dict[str, Array]:
    """The same spikes from a membrane counted in units of ``r``, which is 1 then.

    ``tau v' = (v_leak - v) + r I`` is linear in all voltages.  Some readers of NIR (Norse) take no
    other ``r``; one for each neuron stays, since some (snnTorch) take no threshold for each.
    """
    r = fields["r"].reshape(-1)
    if not r.size or (r != r[0]).any() or not r[0] > 0:
        return fields
    voltages = {"v_threshold", "v_leak", "v_reset"}
    scaled = {k: v / r[0] if k in voltages else v for k, v in fields.items()}
    return {**scaled, "r": np.ones_like(fields["r"])}


def _parameters(kernel: Kernel, whole: Meaning) -> tuple[str, dict[str, Array], str]:
    """Kind, parameters, and how it compares, from the formulas of the membrane."""
    membrane, current = _states(kernel, whole)
    update = whole.states[membrane]
    fire = _fires(kernel, whole)
    # the membrane before a reset: what the comparison of the spike is about
    formula = update if fire is None else fire.formula
    drive = current or kernel.inputs[0]
    scale = np.asarray(formula.at(drive))
    if fire is not None and not np.any(formula.at(membrane)):
        return _threshold(kernel, formula, fire)
    decay = np.asarray(formula.at(membrane))
    fields: dict[str, Array] = {}
    if fire is not None:
        fields["v_threshold"] = np.asarray(update.at("") - formula.at(""))
    if current:
        kept = whole.states[current]
        decay_syn = np.asarray(kept.at(current))
        _inside(decay_syn, "the decay of its current")
        fields["tau_syn"] = USUAL / (1.0 - decay_syn)
        fields["w_in"] = kept.at(kernel.inputs[0]) / (1.0 - decay_syn)
        # the membrane reads the new current
        scale = scale / np.where(decay_syn == 0, 1.0, decay_syn)
    if np.all(decay == 1.0):
        if current:
            raise InexpressibleError("a synapse without a leak of the membrane")
        fields["r"] = scale / USUAL
        kind = "IF" if fire is not None else "I"
    else:
        _inside(decay, "its decay")
        fields["tau_mem" if current else "tau"] = USUAL / (1.0 - decay)
        fields["r"] = scale / (1.0 - decay)
        kind = ("CubaLI" if current else "LI") + ("F" if fire is not None else "")
        fields["v_leak"] = update.at("") / (1.0 - decay)
    if fire is not None:
        fields["v_reset"] = _reset_value(whole, update)
    return kind, fields, "" if fire is None else ("gt" if fire.strict else "ge")


def _reset_value(whole: Meaning, update: Any) -> Array:
    """What a membrane is set to: the constant that comes with one condition alone."""
    for name in whole.conditions:
        if np.any(update.at("", name)) and any(v for w, v in update.terms if w == {name}):
            return np.asarray(update.at("", name))
    return np.zeros(())


def _threshold(kernel: Kernel, formula: Any, fire: Condition) -> tuple[str, dict[str, Array], str]:
    if kernel.states:
        raise InexpressibleError("its spikes do not depend on its state")
    compare = "gt" if fire.strict else "ge"
    return "Threshold", {"threshold": np.asarray(-formula.at(""))}, compare


def _states(kernel: Kernel, whole: Meaning) -> tuple[str, str]:
    """Names of the membrane and of the synaptic current, empty if there is none."""
    names = [s.name for s in kernel.states]
    if len(names) <= 1:
        return (names[0] if names else "", "")
    if len(names) > 2:
        raise InexpressibleError(f"it has {len(names)} states; NIR's have a membrane and a current")
    for membrane, current in (names, names[::-1]):
        others = {v for _, v in whole.states[current].terms} - {"", current}
        if others <= set(kernel.inputs):
            return membrane, current
    raise InexpressibleError("its two states depend on each other")


def _fires(kernel: Kernel, whole: Meaning) -> Condition | None:
    """The condition of the spikes, if the output is spikes."""
    if len(set(kernel.outputs)) != 1:
        raise InexpressibleError("it hands on several values")
    terms = whole.outputs[0].terms
    (only, *more) = terms or {(frozenset(), ""): np.zeros(())}
    if more or not only[0]:
        return None
    if len(only[0]) != 1 or only[1] or np.any(terms[only] != 1.0):
        raise InexpressibleError("its spikes have a size")
    return whole.conditions[next(iter(only[0]))]


def _inside(decay: Array, what: str) -> None:
    if np.any(decay < 0) or np.any(decay >= 1):
        raise InexpressibleError(f"{what} is {float(np.max(decay)):.4g}, not in [0, 1)")


def _equal(kernel: Kernel, whole: Meaning, made: Kernel) -> bool:
    """Whether the reader's kernel has the same formulas."""
    try:
        theirs = meaning(made)
    except NotAffineError:
        return False
    names = dict(zip(kernel.inputs, made.inputs, strict=True))
    mine = _states(kernel, whole)
    names |= {a: b for a, b in zip(mine, ("v", "current"), strict=True) if a and b in theirs.states}
    if len(kernel.states) != len(made.states):
        return False
    # conditions get the names of the reader's that say the same
    waiting = dict(whole.conditions)
    while waiting:
        for name, condition in waiting.items():
            for other, theirs_ in theirs.conditions.items():
                if condition.strict == theirs_.strict and same(
                    condition.formula, theirs_.formula, names, ROUNDING
                ):
                    names[name] = other
                    break
            if name in names:
                break
        else:
            return False
        del waiting[name]
    states = all(same(f, theirs.states[names[s]], names, ROUNDING) for s, f in whole.states.items())
    outputs = zip(whole.outputs, theirs.outputs, strict=True)
    return states and all(same(a, b, names, ROUNDING) for a, b in outputs)
