"""Populations to train as machine code: all steps in one pass forward, and in one backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from snnc.backends.torch import machine
from snnc.finetuning.ckernel import Kernel, backward, forward


class CompiledKernel:
    """Runs a kernel and its derivatives.

    Args:
        kernel: What C can express.

    Raises:
        OSError: There is no compiler, or it fails.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._forward, self._backward = (
            machine.build(forward(kernel)),
            machine.build(backward(kernel)),
        )

    def advance(
        self, inputs: Sequence[Tensor], consts: Sequence[Tensor], states: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run some steps.

        Args:
            inputs: (T, N, E), all in float64.
            consts: (E,).
            states: (N, E) before the first step.

        Returns:
            Outputs (T, N, E), and states after the last step.
        """
        given = [x.contiguous() for x in (*inputs, *consts, *states)]
        found = _Advance.apply(self, *given)  # type: ignore[no-untyped-call]
        count = len(self.kernel.outputs)
        return list(found[:count]), list(found[count:])

    def forward(
        self, inputs: Sequence[Tensor], consts: Sequence[Tensor], kept: list[Tensor]
    ) -> list[Tensor]:
        """Outputs; ``kept`` (T + 1, N, E) are states, of which the first step is there."""
        outputs = [torch.empty_like(inputs[0]) for _ in self.kernel.outputs]
        places = machine.pointers([*inputs, *consts, *kept, *outputs])
        steps, batch, size = inputs[0].shape

        def part(first: int, last: int) -> None:
            self._forward([steps, first, last, batch, size], places)

        machine.parallel(part, batch, steps * batch * size)
        return outputs

    def backward(
        self,
        inputs: Sequence[Tensor],
        consts: Sequence[Tensor],
        kept: Sequence[Tensor],
        outputs: Sequence[Tensor],
        after: Sequence[Tensor],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Derivatives of inputs, constants and first states, given those of what came out."""
        steps, batch, size = inputs[0].shape
        first_states = [g.clone() for g in after]
        found = [torch.empty_like(x) for x in inputs]
        places = machine.pointers([*inputs, *consts, *kept, *outputs, *first_states, *found])
        parts: dict[int, list[Tensor]] = {}

        def part(first: int, last: int) -> None:
            parts[first] = [torch.zeros_like(c) for c in consts]
            behind = machine.pointers(parts[first])
            self._backward([steps, first, last, batch, size], places + behind)

        machine.parallel(part, batch, steps * batch * size)
        by_part = [parts[first] for first in sorted(parts)]
        sums = [torch.stack(one).sum(0) for one in zip(*by_part, strict=True)]
        return found, sums, first_states


class _Advance(Function):
    @staticmethod
    def forward(ctx: Any, run: CompiledKernel, *given: Tensor) -> tuple[Tensor, ...]:
        inputs, consts, states = _split(run.kernel, given)
        steps = len(inputs[0])
        kept = [x.new_empty((steps + 1, *x.shape)) for x in states]
        for room, x in zip(kept, states, strict=True):
            room[0] = x
        outputs = run.forward(inputs, consts, kept)
        ctx.run = run
        ctx.save_for_backward(*inputs, *consts, *kept)
        return *outputs, *(x[-1].clone() for x in kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        run, count = ctx.run, len(ctx.run.kernel.outputs)
        inputs, consts, kept = _split(run.kernel, ctx.saved_tensors)
        dense = [g.contiguous() for g in gradients]
        found = run.backward(inputs, consts, kept, dense[:count], dense[count:])
        return None, *found[0], *found[1], *found[2]


def _split(kernel: Kernel, given: Sequence[Tensor]) -> tuple[Sequence[Tensor], ...]:
    a = len(kernel.inputs)
    b = a + len(kernel.consts)
    return given[:a], given[a:b], given[b:]
