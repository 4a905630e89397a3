"""Runs an emitted model in ONNX Runtime.

This file is part of the compiler and is copied into the artifacts; it needs NumPy and onnxruntime,
and the package onnx if words are recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]
_TYPES: dict[str, Any] = {
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class Model:
    """An emitted model and what its interface says.

    Args:
        folder: With ``model.onnx`` and ``interface.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.raw = (folder / "model.onnx").read_bytes()
        self.interface = json.loads((folder / "interface.json").read_text(encoding="utf-8"))
        self.inputs: dict[str, Any] = self.interface["inputs"]
        self._sessions: dict[tuple[str, ...], Any] = {}

    def words(self) -> list[str]:
        """Names of all words that can be recorded."""
        return list(self.interface["words"])

    def run(
        self, inputs: Arrays, steps: int | None = None, record: Iterable[str] = ()
    ) -> tuple[Arrays, Arrays]:
        """Run a batch from the initial state; as ``Simulator.run``.

        Raises:
            TypeError: Inputs are not integers.
            ValueError: They do not fit the network, or a word is unknown.
        """
        words = sorted(set(record))
        if unknown := set(words) - set(self.words()):
            raise ValueError(f"no word is named {sorted(unknown)[0]!r}")
        samples, count = self.check(inputs, steps)
        if not count:
            raise ValueError("ONNX Runtime runs at least one step")
        if not samples:  # which it does not run either
            one = {k: np.full((1, *x.shape[1:]), self.inputs[k]["lo"]) for k, x in inputs.items()}
            return tuple({k: x[:0] for k, x in a.items()} for a in self.run(one, steps, words))  # type: ignore[return-value]
        session, named = self.session(tuple(words))
        kinds = {i.name: _TYPES[i.type] for i in session.get_inputs()}
        feed = {name: np.asarray(x).astype(kinds[name]) for name, x in inputs.items()}
        if "steps" in self.interface["options"]:
            feed["steps"] = np.array(count, np.int64)
        outputs = self.interface["outputs"]
        found = dict(
            zip(
                [*outputs, *words],
                session.run([*outputs, *(named[w] for w in words)], feed),
                strict=True,
            )
        )
        results = {name: found[name].astype(np.int64) for name in outputs}
        return results, {w: found[w].astype(np.int64) for w in words if found[w].shape[1]}

    def session(self, words: tuple[str, ...] = ()) -> tuple[Any, dict[str, str]]:
        """A session of ONNX Runtime that gives these words, and the names of their outputs."""
        import onnxruntime  # type: ignore[import-untyped]

        if words not in self._sessions:
            raw: bytes = self.raw
            named: dict[str, str] = {}
            if words:
                # an artifact imports it as a file beside this one
                from snnc.backends.onnx.records import with_records

                raw, named = with_records(self.raw, words, self.interface["words"])
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            made = onnxruntime.InferenceSession(raw, options, ["CPUExecutionProvider"])
            self._sessions[words] = made, named
        found: tuple[Any, dict[str, str]] = self._sessions[words]
        return found

    def check(self, arrays: Arrays, steps: int | None) -> tuple[int, int]:
        """Number of samples and of steps; TypeError or ValueError if the inputs do not fit."""
        if set(arrays) != set(self.inputs):
            raise ValueError(f"inputs are {sorted(self.inputs)}, got {sorted(arrays)}")
        batches, lengths = set(), set()
        for name, entry in self.inputs.items():
            x, shape = arrays[name], tuple(entry["shape"])
            head = ("N",) if entry["clock"] == "once" else ("N", "T")
            if not np.issubdtype(x.dtype, np.integer):
                raise TypeError(f"input {name!r} must be integers, got {x.dtype}")
            if x.ndim != len(head) + len(shape) or x.shape[len(head) :] != shape:
                raise ValueError(f"input {name!r} must be {(*head, *shape)}, got {x.shape}")
            lo, hi = entry["lo"], entry["hi"]
            if x.size and (x.min() < lo or x.max() > hi):
                found = f"{x.min()}..{x.max()}"
                raise ValueError(f"input {name!r} must be in [{lo}, {hi}], got {found}")
            batches.add(x.shape[0])
            lengths |= {x.shape[1]} if entry["clock"] == "step" else set()
        if len(batches) != 1 or len(lengths | ({steps} - {None})) > 1:
            raise ValueError(f"batch sizes {sorted(batches)}, steps {sorted(lengths)} and {steps}")
        default, most = self.interface["steps"], self.interface["max_steps"]
        count = lengths.pop() if lengths else default if steps is None else steps
        if most and count > most:
            raise ValueError(f"ranges are proven for {most} steps at most, got {count}")
        if count < self.interface["fewest_steps"]:
            fewest = self.interface["fewest_steps"]
            raise ValueError(f"the network needs {fewest} steps, got {count}")
        return batches.pop(), count
