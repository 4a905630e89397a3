"""What collects over a loop, and what reads a whole sequence in the next one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from snnc.backends.torch.arithmetic import rdiv
from snnc.backends.torch.operator import Operator
from snnc.backends.torch.program import Program, Record

Merge = Callable[[Tensor, Tensor], Tensor]


# Functions with names, for modules that hold them can be pickled.
def _later(kept: Tensor, x: Tensor) -> Tensor:
    return x


def _sum(x: Tensor) -> Tensor:
    return x.sum(0, dtype=torch.int64)


def _largest(x: Tensor) -> Tensor:
    return x.amax(0).long()


def _last(x: Tensor) -> Tensor:
    return x[-1].long()


#: What a collector makes of what it has kept and the value of a step.
MERGES: dict[str, Merge] = {
    "IntTimeSum": torch.add,
    "IntTimeMean": torch.add,
    "IntTimeMax": torch.maximum,
    "IntTimeLast": _later,
}
#: The same of all steps at once.
WHOLE: dict[str, Callable[[Tensor], Tensor]] = {
    "IntTimeSum": _sum,
    "IntTimeMean": _sum,
    "IntTimeMax": _largest,
    "IntTimeLast": _last,
}


class Collector(Operator):
    """Keeps one value over the steps from ``start`` on."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.merge, self.whole = MERGES[node["op"]], WHOLE[node["op"]]
        self.start: int = node["attributes"].get("start", 0)
        self.mean = node["op"] == "IntTimeMean"
        self.shift: int = node["attributes"].get("shift", 0)

    def forward(self, kept: Tensor | None, x: Tensor) -> Tensor:
        """What is kept after another step."""
        return x.long() if kept is None else self.merge(kept, x.long())

    def result(self, kept: Tensor, steps: int) -> Tensor:
        """The value after so many steps; of a mean, ``(sum << shift) / n``."""
        if not self.mean:
            return kept
        count = torch.tensor(max(1, steps - self.start), device=kept.device)
        return rdiv(kept << self.shift, count)


class Sequence(Operator):
    """Element ``now`` of a sequence in the next loop."""

    weight: Tensor

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.kind = node["op"]
        if self.kind == "IntTimeMix":
            self.register_buffer("weight", program.tensor(node["attributes"]["weight"]))

    def forward(self, sequence: list[Tensor], now: int) -> Tensor:
        """``x[t]``, ``x[T - 1 - t]`` or ``sum_s weight[t, s] x[s]``."""
        if self.kind == "IntReplay":
            return sequence[now]
        if self.kind == "IntTimeFlip":
            return sequence[-1 - now]
        total = torch.zeros_like(sequence[0], dtype=torch.int64)
        for weight, x in zip(self.weight[now], sequence, strict=True):
            total = total + weight * x.long()
        return total.to(self.word)


class Stack(Operator):
    """All steps from ``start`` on, as a sequence (N, T, ...)."""

    def __init__(self, program: Program, node: Record) -> None:
        super().__init__(program, node)
        self.start: int = node["attributes"]["start"]

    def forward(self, sequence: list[Tensor], like: Tensor) -> Tensor:
        """The sequence; of no steps, empty with the batch and device of ``like``."""
        if not sequence:
            return like.new_zeros((len(like), 0, *self.shape), dtype=torch.int64)
        return torch.stack(sequence, 1)


#: Collectors of one value, by name.
COLLECTORS: dict[str, type[Operator]] = dict.fromkeys(MERGES, Collector)
#: What reads whole sequences, by name.
SEQUENCES: dict[str, type[Operator]] = {
    **dict.fromkeys(("IntReplay", "IntTimeFlip", "IntTimeMix"), Sequence),
    "IntTimeStack": Stack,
}
