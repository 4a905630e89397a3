"""What the neurons of a node do in one step: their kernel, prepared to run on arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.backends.numpy.arithmetic import Reach, function, kept, word
from snnc.backends.numpy.fusion import fused
from snnc.backends.numpy.program import Array, Record

#: Name of a value, what computes it, of which arguments, and what is not needed behind it.
Line = tuple[str, Callable[..., Any], list[str], list[str]]


@dataclass(frozen=True)
class Neuron:
    """A kernel.

    Attributes:
        words: Types that hold the inputs and the states.
        constants: By name, tables included.
        lines: Of the kernel, in order.
    """

    words: dict[str, np.dtype[Any]]
    constants: dict[str, Array]
    lines: tuple[Line, ...]

    @classmethod
    def of(
        cls, kernel: Record, inputs: Iterable[Reach], const: Callable[[Record], Array]
    ) -> Neuron:
        """Prepare a stored kernel.

        Args:
            kernel: As stored.
            inputs: What is proven of its inputs.
            const: Gives the array of a constant.
        """
        constants = {c["name"]: const(c) for c in kernel["consts"]}
        ranges = dict(zip(kernel["inputs"], inputs, strict=True))
        ranges |= {s["name"]: _proven(s) for s in kernel["states"]}
        words = {name: word(r) for name, r in ranges.items()}
        for name, a in constants.items():
            ranges[name] = int(a.min(initial=0)), int(a.max(initial=0))
            constants[name] = kept(a, word(ranges[name]))
        ranges |= {line["name"]: _proven(line) for line in kernel["body"]}
        constants |= {c["name"]: const(c) for c in kernel["tables"]}
        body, left = kernel["body"], {*kernel["outputs"], *(s["next"] for s in kernel["states"])}
        read = Counter([*left, *(a for line in body for a in line["args"])])
        alone = {line["name"]: line for line in body if read[line["name"]] == 1}
        lines: list[Line] = []
        done: set[str] = set()
        for line in reversed(body):
            if line["name"] in done:
                continue
            compute, args = function(line, [ranges.get(a) for a in line["args"]]), line["args"]
            for inner in (alone[a] for a in args if a in alone):
                if call := fused(line, inner, ranges):
                    (compute, args), done = call, {*done, inner["name"]}
                    break
            names = {line["name"], *args}
            lines.append((line["name"], compute, args, sorted(names - left)))
            left |= names
        return cls(words, constants, tuple(lines[::-1]))

    def step(self, leaves: dict[str, Array]) -> dict[str, Array]:
        """One step from inputs and states by name, to which constants broadcast.

        Returns:
            At least the outputs and the next states; memory of what no later line needs is free
            for the results of these.
        """
        env = self.constants | {name: kept(x, self.words[name]) for name, x in leaves.items()}
        for result, compute, args, unneeded in self.lines:
            env[result] = compute(*[env[a] for a in args])
            for name in unneeded:
                del env[name]
        return env


def _proven(value: Record) -> Reach:
    return None if value["lo"] is None else (value["lo"], value["hi"])
