"""The integer program as a ``torch.nn.Module``; every word is that of the defining simulator."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from snnc.backends.numpy.simulator import read_safetensors
from snnc.backends.torch.collectors import Collector, Sequence, Stack
from snnc.backends.torch.compiled import Natives
from snnc.backends.torch.layers import DelayLinear
from snnc.backends.torch.neuron import Neuron
from snnc.backends.torch.order import components
from snnc.backends.torch.phases import Key, Part, Run, Values
from snnc.backends.torch.program import Program, Record, word
from snnc.backends.torch.registry import OPERATORS
from snnc.backends.torch.whole import run_whole


class IntegerNetwork(nn.Module):
    """Runs an integer program on batches, on the device on which it is.

    Layers are submodules in ``layers``, in the order of the program; ``layer`` finds one by its
    name.  Weights, constants and initial states are integer buffers.

    Args:
        program: The stored program.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        self.names = [n["name"] for n in program.nodes]
        self.layers = nn.ModuleList(self.module(program, n) for n in program.nodes)
        self.parts = _parts(program, self.layers)
        self.words = {n: word((lo, hi)) for n, (_, _, lo, hi) in program.inputs.items()}
        self.longest = _longest(program, dict(zip(self.names, self.layers, strict=True)))
        self.groups = _groups(self.parts.get("step", []))
        self.loops = [[node["name"] for node, _, _ in group] for group in self.groups]
        self.natives: Natives | None = None

    @classmethod
    def load(cls, folder: Path, compiler: bool = True) -> IntegerNetwork:
        """Read ``graph.json`` and ``tensors.safetensors``.

        Args:
            folder: Where they are.
            compiler: Compile neurons, what they read of spikes, and products of computed matrices,
                on a CPU, once that pays and if this computer has a C compiler; the words are the
                same.
        """
        document = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        found = cls(Program(document, read_safetensors(folder / "tensors.safetensors")))
        if compiler:
            found.natives = Natives(found)
        return found

    def layer(self, name: str) -> nn.Module:
        """The module of a node."""
        return self.layers[self.names.index(name)]

    def module(self, program: Program, node: Record) -> nn.Module:
        """The module of a node."""
        if node["op"] == "IntInput":
            return nn.Identity()
        if node["op"] == "IntNeuron":
            return Neuron(program, node)
        return OPERATORS[node["op"]](program, node)

    def forward(
        self, inputs: Values, steps: int, record: Iterable[str] = (), stepwise: bool = False
    ) -> tuple[Values, Values]:
        """Run a batch of independent samples from the initial state.

        Args:
            inputs: Integers within the range of every input, (N, T, ...) per step or (N, ...).
            steps: T.
            record: Words to keep, as ``Simulator.words`` names them.
            stepwise: Run one step of all layers after the other; else layers run over all steps
                at once, but for those that wait for each other in a recurrent loop.

        Returns:
            Outputs by name, (N, ...) or (N, T, ...) for a sequence, and the records, (N, T, ...);
            all int64.
        """
        with torch.inference_mode():
            outputs, records = self.evaluate(inputs, steps, record, stepwise)
            return _long(outputs), _long(records)

    def evaluate(
        self, inputs: Values, steps: int, record: Iterable[str], stepwise: bool
    ) -> tuple[Values, Values]:
        """The same in the types that were computed with."""
        words, natives = set(record), self._compiled(inputs, steps)
        if natives is not None:
            try:
                return self._evaluate(Run(self, inputs, words, natives), steps, stepwise)
            except OSError as e:
                self.stop_compiling(e)
        return self._evaluate(Run(self, inputs, words), steps, stepwise)

    def stop_compiling(self, why: OSError) -> None:
        """Go on with tensors alone, which give the same words, after a compiler has failed."""
        text = f"the network goes on as tensors, which take longer: {why}"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        self.natives = None

    def _evaluate(self, run: Run, steps: int, stepwise: bool) -> tuple[Values, Values]:
        loops = self.program.loops
        run.phase("once", {})
        if stepwise:
            self.step_by_step(run, steps)
        else:
            self.loop(run, steps)
        run.phase("end", {})
        for loop in range(2, loops.count + 1):
            for _ in range(loops.steps(loop, steps)):
                run.phase(f"step{loop}", {})
            run.phase(f"end{loop}", {})
        outputs = {name: run.values[name, 0] for name in self.program.outputs}
        return outputs, {k: torch.stack(v, 1) for k, v in run.records.items() if v}

    def _compiled(self, inputs: Values, steps: int) -> Natives | None:
        """The compiled populations, if this run is one of integers on a CPU that pays for them."""
        first = next(iter(inputs.values()))
        if self.natives is None or first.device.type != "cpu":
            return None
        return self.natives if self.natives.pay(len(first), steps) else None

    def loop(self, run: Run, steps: int) -> None:
        """Evaluate the first loop, over all steps at once where that is possible."""
        run_whole(run, steps)

    def step_by_step(self, run: Run, steps: int) -> None:
        """Evaluate the first loop, all layers in every step."""
        for t in range(steps):
            run.phase("step", {k: x[t] for k, x in run.sequences.items()})


def _long(values: Values) -> Values:
    return {name: x.long() for name, x in values.items()}


def _parts(program: Program, modules: Iterable[nn.Module]) -> dict[str, list[Part]]:
    """What is evaluated at every clock: a node, its module, and whether it gives its value then."""
    found: dict[str, list[Part]] = {}
    for node, module in zip(program.nodes, modules, strict=True):
        clock = program.clock[node["name"]]
        found.setdefault(clock, []).append((node, module, True))
        if isinstance(module, Collector | Sequence | Stack):
            found.setdefault(program.clock[node["inputs"][0]["src"]], []).append(
                (node, module, False)
            )
    return found


def _groups(parts: list[Part]) -> list[list[Part]]:
    """Parts of the first loop that wait for each other, in the order of evaluation."""
    named = {part[0]["name"]: part for part in parts}
    return [[named[n["name"]] for n in group] for group in components(p[0] for p in parts)]


def _longest(program: Program, modules: dict[str, nn.Module]) -> dict[Key, int]:
    """How many past values each delayed value is read from."""
    found: dict[Key, int] = {}
    for node in program.nodes:
        module = modules[node["name"]]
        further = max(module.lags, default=0) if isinstance(module, DelayLinear) else 0
        for e in node["inputs"]:
            if delay := e["delay"] + further:
                key = (e["src"], e["out"])
                found[key] = max(delay, found.get(key, 0))
    return found
