"""Use a compiled network step by step: frames come in, and state is carried between the calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.numpy.simulator import Simulator
from snnc.backends.numpy.stream import Stream as IntegerStream
from snnc.diagnostics import fail
from snnc.encode import decode_outputs, encode_input
from snnc.manifest import Manifest

Array = npt.NDArray[Any]


class Stream:
    """A batch of endless sequences, in real numbers; the integers are those of ``run``.

    ``Artifact.stream`` makes one.  A network whose results grow with time (sums, integrators
    without leak) takes as many steps as its ranges are proven for; others take any number.
    """

    def __init__(
        self, simulator: Simulator, manifest: Manifest, static: Mapping[str, Array], batch: int
    ) -> None:
        self._manifest = manifest
        given = self._encoded(static, "once")
        self._stream = self._guarded(lambda: IntegerStream(simulator, given, batch))

    @property
    def steps(self) -> int:
        """Steps since the beginning or the last reset."""
        return int(self._stream.steps)

    def reset(self) -> None:
        """Start anew from the initial state, as for a new sample."""
        self._stream.reset()

    def step(self, frame: Array | Mapping[str, Array] | None = None) -> dict[str, Array]:
        """Take one frame, (N, ...), or a dict of them by input name.

        Returns:
            Outputs that have a value per step, (N, ...); none during warm-up.

        Raises:
            CompileError: E421 if the frame does not fit or the sequence gets too long, E424 for
                NaN.
        """
        names = [e.name for e in self._manifest.inputs if e.clock != "once"]
        frames = frame if isinstance(frame, Mapping) else dict.fromkeys(names, frame)
        known = {k: np.asarray(x) for k, x in frames.items() if x is not None}
        given = self._encoded(known, "step")
        raw = self._guarded(lambda: self._stream.step(given))
        entries = tuple(e for e in self._manifest.outputs if e.name in raw)
        return decode_outputs(raw, entries, 1)

    def results(self) -> dict[str, Array]:
        """Outputs after the steps so far, (N, ...); the sequence may go on.

        Raises:
            CompileError: E421 with fewer steps than the network needs.
        """
        raw = self._guarded(self._stream.results)
        entries = tuple(e for e in self._manifest.outputs if e.name in raw)
        return decode_outputs(raw, entries, self.steps)

    def _encoded(self, given: Mapping[str, Array], clock: str) -> dict[str, Array]:
        entries = {e.name: e for e in self._manifest.inputs}
        found = {}
        for name, x in given.items():
            if name not in entries or (entries[name].clock == "once") != (clock == "once"):
                raise fail("E421", f"{name!r} is no input of this kind")
            found[name] = encode_input(np.asarray(x), entries[name])[0]
        return found

    @staticmethod
    def _guarded(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ValueError as e:
            raise fail("E421", str(e)) from e
