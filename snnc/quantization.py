"""What a user chooses about quantization: a method for the network, and exceptions by layer.

The exceptions are read from a TOML file::

    first = 8  # bits of layers that read inputs
    last = 8  # bits of layers that make outputs

    [layers.fc1]
    method = "gptq"
    bits = 4
    guard = 10
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snnc.diagnostics import CompileError, Diagnostic, error, fail

#: How the integers of weights are chosen.
METHODS: dict[str, str] = {
    "max": "the largest weight of a row is the largest integer",
    "percentile": "as max, without the largest 1 % of a row",
    "mse": "the scale of a row with the smallest squared error",
    "gptq": "integers that make up for each other's rounding on calibration data",
    "auto": "by layer, what changes the outputs least on calibration data",
}
#: What ``snnc.finetune`` says of integers that it has trained; nobody can ask for it.
TRAINED = "finetune"
#: What a layer's facts say of integers that the model had already.
KEPT = "kept"
#: Those that need calibration data.
CALIBRATED = ("gptq", "auto")
#: What the command line chooses for all layers, and a user may look for in the file.
FOR_ALL = ("method", "bits", "profile", "budget")
#: Most guard bits that may be asked for.
MOST_GUARD = 24


@dataclass(frozen=True)
class LayerChoice:
    """What is chosen for one layer; None leaves it to the network's choice.

    Attributes:
        method: A name of ``METHODS``.
        bits: Of a weight, 2 to 16.
        guard: Guard bits, of the neuron that the layer feeds or the neuron named.
    """

    method: str | None = None
    bits: int | None = None
    guard: int | None = None


@dataclass(frozen=True)
class Plan:
    """How the weights of a network become integers.

    Attributes:
        method: A name of ``METHODS``.
        layers: Exceptions, by name of layer.
        file: Where they come from, for messages.
        first: Bits of the first layers, those that read inputs.
        last: Bits of the last layers, those that make outputs.
    """

    method: str = "mse"
    layers: dict[str, LayerChoice] = field(default_factory=dict)
    file: str = ""
    first: int | None = None
    last: int | None = None

    @property
    def calibrated(self) -> bool:
        """Whether calibration data are needed."""
        methods = {self.method, *(c.method for c in self.layers.values())}
        return bool(methods & {*CALIBRATED, TRAINED})

    def of(self, layer: str) -> LayerChoice:
        """What is chosen for a layer."""
        return self.layers.get(layer, LayerChoice())

    def check_method(self) -> list[Diagnostic]:
        """What is wrong with the method."""
        if self.method in (*METHODS, TRAINED):
            return []
        text = f"--method is {self.method!r}, possible are {', '.join(METHODS)}"
        return [error("E330", text, help=_meant(self.method, METHODS))]

    def check_names(self, layers: Iterable[str], neurons: Iterable[str]) -> list[Diagnostic]:
        """What is wrong with the names of layers, given those with weights and the neurons."""
        layers, neurons = set(layers), set(neurons)
        found = []
        for name, choice in self.layers.items():
            if name not in layers | neurons:
                text = f"{self.file} names the layer {name!r}, which the network does not have"
                known = f"layers with weights: {', '.join(sorted(layers))}"
                more = f"neurons: {', '.join(sorted(neurons))}"
                hint = _meant(name, layers | neurons) or "snnc inspect prints the names of layers"
                found.append(error("E331", text, None, known, more, help=hint))
            elif name not in layers and (choice.method or choice.bits):
                text = f"{self.file} gives {name} a method or bits, but it is a neuron"
                found.append(error("E331", text, help="give them to the layer that feeds it"))
        return found


#: What is done unless a user wants something else.
USUAL = Plan()


def heading(layer: str) -> str:
    r"""The head of a layer's table, with its name as TOML wants it.

    >>> print(heading('a "b".c'))
    [layers."a \"b\".c"]
    """
    return f"[layers.{json.dumps(layer, ensure_ascii=False)}]"


def read_plan(path: Path, method: str) -> Plan:
    """Read ``snnc.toml``.

    Raises:
        CompileError: E331 if the file cannot be read or says something unknown.
    """
    if not path.exists():
        hint = "--config is a TOML file with choices by layer"
        raise fail("E331", f"{path} does not exist", help=hint)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        hint = "--config is a TOML file with choices by layer"
        raise fail("E331", f"{path.name or path} cannot be read: {e}", help=hint) from e
    problems = _unknown(path.name, found, ("layers", "first", "last"), "")
    for key in ("first", "last"):
        problems += _outside(path.name, key, "", found.get(key), ("E320", 2, 16))
    tables = found.get("layers", {})
    if not isinstance(tables, dict):
        raise fail("E331", f"layers of {path.name} is no table", help="write [layers.NAME]")
    layers = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            text = f"{path.name} gives layer {name} {table!r} in place of a table"
            problems.append(error("E331", text, help=f"write {heading(name)}"))
            continue
        if any(isinstance(value, dict) for value in table.values()):
            inner = next(key for key, value in table.items() if isinstance(value, dict))
            text = f"{path.name} splits the name {name}.{inner} at its dot"
            problems.append(error("E331", text, help=f"write {heading(f'{name}.{inner}')}"))
            continue
        wrong = _wrong(path.name, name, table)
        problems += wrong
        if not wrong:
            layers[name] = LayerChoice(**table)
    if problems:
        raise CompileError(problems)
    return Plan(method, layers, path.name, found.get("first"), found.get("last"))


def _wrong(file: str, name: str, table: dict[str, Any]) -> list[Diagnostic]:
    """What is wrong with the choices for a layer."""
    if "profile" in table:
        text = f"{file} gives layer {name} a profile, but all layers share one arithmetic"
        return [error("E331", text, help="use --profile for the whole network")]
    found = _unknown(file, table, ("method", "bits", "guard"), f" of layer {name}")
    method = table.get("method", "mse")
    if not isinstance(method, str) or method not in METHODS:
        text = f"method of layer {name} in {file} is {method!r}, possible are {', '.join(METHODS)}"
        found.append(error("E330", text, help=_meant(str(method), METHODS)))
    limits = {"bits": ("E320", 2, 16), "guard": ("E331", 0, MOST_GUARD)}
    for key, limit in limits.items():
        found += _outside(file, key, f" of layer {name}", table.get(key), limit)
    return found


def _outside(
    file: str, key: str, where: str, value: Any, limit: tuple[str, int, int]
) -> list[Diagnostic]:
    """What is wrong with a number that may be left out."""
    code, low, high = limit
    if value is None or (type(value) is int and low <= value <= high):
        return []
    example = f"write a whole number, without quotes: {key} = {high // 2}"
    hint = None if type(value) is int else example
    text = f"{key}{where} in {file} is {value!r}, possible are {low} to {high}"
    return [error(code, text, help=hint)]


def _unknown(
    file: str, table: dict[str, Any], known: tuple[str, ...], where: str
) -> list[Diagnostic]:
    found = []
    for key in table:
        if key not in known:
            keys = f"keys are {', '.join(known)}"
            if not where and key in FOR_ALL:
                keys = f"--{key} chooses for the whole network; {keys}"
            text = f"{file} has an unknown key {key!r}{where}"
            found.append(error("E331", text, help=_meant(key, known) or keys))
    return found


def _meant(name: str, known: Iterable[str]) -> str:
    """A question whether a known name was meant; empty if none is near."""
    near = difflib.get_close_matches(name, sorted(known), 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else ""
