"""One step after the other, without an end: state is carried from call to call."""

from __future__ import annotations

import numpy as np

from snnc.backends.numpy.program import Array
from snnc.backends.numpy.simulator import Simulator


class Stream:
    """A batch of sequences that go on as long as steps are given.

    Args:
        simulator: What runs.
        static: Inputs that do not change over time, (N, ...), by name.
        batch: N, needed only without static inputs.

    Raises:
        ValueError: If inputs do not fit, or if the network has several loops over time: those
            behind the first begin when a sequence has ended.
    """

    def __init__(
        self, simulator: Simulator, static: dict[str, Array] | None = None, batch: int = 1
    ) -> None:
        if simulator.loops.count > 1:
            raise ValueError("a network with several loops over time has no results in between")
        self.simulator, self.static = simulator, dict(static or {})
        self.batch = len(next(iter(self.static.values()))) if self.static else batch
        self.steps = 0
        self.reset()

    def reset(self) -> None:
        """Start anew from the initial state."""
        self.steps = 0
        self._run = self.simulator.begin(self.batch, 0)
        self._run.phase("once", self._judged(self.static, "once"))

    def step(self, frame: dict[str, Array] | None = None) -> dict[str, Array]:
        """Take one frame, (N, ...) by input name; give the outputs that have a value per step.

        Raises:
            ValueError: If the frame does not fit, or after more steps than ranges are proven for;
                nothing has changed then.
        """
        limit = self.simulator.max_steps
        if limit and self.steps >= limit:
            raise ValueError(f"ranges are proven for {limit} steps at most")
        given = self._judged(dict(frame or {}), "step")
        self._run.phase("step", given)
        self.steps += 1
        return self._run.latest()

    def results(self) -> dict[str, Array]:
        """Outputs after the steps so far, (N, ...); the sequence may go on.

        Raises:
            ValueError: With fewer steps than the network needs.
        """
        if self.steps < self.simulator.loops.fewest:
            raise ValueError(f"the network needs {self.simulator.loops.fewest} steps")
        self._run.phase("end", {})
        sequences = set(self.simulator.sequences)
        names = (n for n in self.simulator.outputs if n not in sequences)
        return {name: self._run.values[name, 0] for name in names}

    def _judged(self, given: dict[str, Array], clock: str) -> dict[str, Array]:
        wanted = {k: v for k, v in self.simulator.inputs.items() if v[1] == clock}
        if set(given) != set(wanted):
            raise ValueError(f"inputs are {sorted(wanted)}, got {sorted(given)}")
        for name, (shape, _, lo, hi) in wanted.items():
            x = given[name]
            if not np.issubdtype(x.dtype, np.integer) or x.shape != (self.batch, *shape):
                text = f"integers of shape {(self.batch, *shape)}, got {x.dtype} {x.shape}"
                raise ValueError(f"input {name!r} must be {text}")
            if x.size and (x.min() < lo or x.max() > hi):
                raise ValueError(f"input {name!r} must be in [{lo}, {hi}]")
        return given
