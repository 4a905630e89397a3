"""Build an emitted folder as a shared library, once per content, and run it."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.base import Arrays
from snnc.diagnostics import fail

SOURCES = ("snn.c", "weights.c", "info.c", "trace.c")
_BUILD_SECONDS = 900
_P64 = ctypes.POINTER(ctypes.c_int64)
#: Libraries that stay loaded; a process can map a limited number of them.
_MOST_LOADED = 32
_loaded: OrderedDict[str, Library] = OrderedDict()


def find_compiler(wanted: str = "") -> str:
    """Return the command of a C compiler; E621 if there is none."""
    for command in (wanted,) if wanted else (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if command and shutil.which(command):
            return command
    raise fail(
        "E621",
        f"no C compiler: {wanted or 'cc, gcc and clang'} cannot be found",
        help="install the package gcc or clang, or name a compiler in CC",
    )


def load_library(folder: Path, compiler: str, flags: tuple[str, ...]) -> Library:
    """Build and load the network of a folder; what was used of late is not built again.

    Raises:
        CompileError: E621 without a compiler, E622 if it fails, E405 if files are missing.
    """
    try:
        paths = sorted(p for p in folder.rglob("*") if p.suffix in (".c", ".h", ".json"))
        files = {p.name: p.read_bytes() for p in paths}
        interface = json.loads(files["interface.json"])
    except (OSError, KeyError, ValueError) as e:
        text = f"{folder} is not a folder that the C backend wrote: {e}"
        raise fail("E405", text, help="compile the network again") from e
    if missing := [name for name in SOURCES if name not in files]:
        raise fail("E405", f"{folder / missing[0]} is missing", help="compile the network again")
    command = find_compiler(compiler)
    digest = hashlib.sha256(repr((command, flags)).encode())
    for name, content in files.items():
        digest.update(f"{name}:{len(content)}:".encode() + content)
    key = digest.hexdigest()
    library = _loaded.pop(key, None) or Library(_build(files, command, flags), interface)
    _loaded[key] = library
    while len(_loaded) > _MOST_LOADED:
        _loaded.popitem(last=False)  # unloaded when no thread uses it any more
    return library


def _build(files: dict[str, bytes], command: str, flags: tuple[str, ...]) -> Path:
    place = Path(tempfile.mkdtemp(prefix="snnc-c-"))
    try:
        return _built(place, files, command, flags)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _built(place: Path, files: dict[str, bytes], command: str, flags: tuple[str, ...]) -> Path:
    for name, content in files.items():
        (place / name).write_bytes(content)
    target = place / "libsnn.so"
    line = [command, *flags, "-fPIC", "-shared", "-DSNN_TRACE", *SOURCES, "-o", target.name]
    try:
        done = subprocess.run(
            line, cwd=place, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise fail("E622", f"the C compiler {command} did not finish: {e}") from e
    if done.returncode or not target.exists():
        why = done.stderr.strip()[:2000]
        raise fail("E622", f"the C compiler {command} failed", None, why)
    return target


def _discard(handle: int, place: Path, owner: int) -> None:
    """Unload a library that nobody refers to, and remove its folder."""
    if os.getpid() == owner:  # a forked child must not take its parent's files away
        ctypes.CDLL(None).dlclose(ctypes.c_void_p(handle))
        shutil.rmtree(place, ignore_errors=True)


class Library:
    """A loaded network. It has one static state: one run at a time."""

    def __init__(self, path: Path, interface: dict[str, Any]) -> None:
        self.interface = interface
        self._alone = threading.Lock()
        library = ctypes.CDLL(str(path))
        weakref.finalize(self, _discard, library._handle, path.parent, os.getpid())  # noqa: SLF001
        self._trace, self._until = library.snn_trace, library.snn_trace_until
        self._trace.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p]
        self._trace.restype = ctypes.c_int
        number, address = ctypes.c_uint32, ctypes.c_void_p
        self._until.argtypes = [address, number, address, number, address, address]
        self._until.restype = ctypes.c_int

    def run(
        self, inputs: Arrays, steps: int | None, record: Iterable[str]
    ) -> tuple[Arrays, Arrays]:
        """As ``Simulator.run``; CompileError E421 or E006 if the arguments do not fit."""
        try:
            batch, count = self._check(inputs, steps)
        except (TypeError, ValueError) as e:
            raise fail("E421", str(e)) from e
        wanted = set(record)
        words = self.interface["words"]
        if unknown := wanted - {w["name"] for w in words}:
            raise fail("E006", f"no word is named {sorted(unknown)[0]!r}")
        arrays = [
            np.ascontiguousarray(inputs[port["name"]], np.int64)
            for port in self.interface["inputs"]
        ]
        outputs = [
            np.zeros(
                (
                    batch,
                    *([(p["steps"] or count) - p["start"]] if p["per_step"] else []),
                    *p["shape"],
                ),
                np.int64,
            )
            for p in self.interface["outputs"]
        ]
        records = [
            np.zeros((batch, w["steps"] or count, *w["shape"]), np.int64)
            if w["name"] in wanted
            else None
            for w in words
        ]
        with self._alone:
            for n in range(batch):
                self._sample(n, arrays, count, outputs, records)
        named = {p["name"]: a for p, a in zip(self.interface["outputs"], outputs, strict=True)}
        kept = {w["name"]: a for w, a in zip(words, records, strict=True) if a is not None}
        return named, {k: a for k, a in sorted(kept.items()) if a.shape[1]}

    def run_until(
        self, inputs: Arrays, steps: int, output: str, limits: npt.NDArray[np.int64]
    ) -> tuple[Arrays, npt.NDArray[np.int64]]:
        """As ``Simulator.run_until``; CompileError E427 if the arguments do not fit."""
        try:
            batch, count = self._check(inputs, steps)
        except (TypeError, ValueError) as e:
            raise fail("E427", str(e)) from e
        ports = self.interface["outputs"]
        if any(p["per_step"] for p in ports):
            raise fail("E427", "a sample stops early only in a network without sequences")
        arrays = [
            np.ascontiguousarray(inputs[port["name"]], np.int64)
            for port in self.interface["inputs"]
        ]
        outputs = [np.zeros((batch, *p["shape"]), np.int64) for p in ports]
        used = np.zeros(batch, np.uint32)
        port = [p["name"] for p in ports].index(output)
        least = np.ascontiguousarray(limits[:count], np.int64)
        with self._alone:
            for n in range(batch):
                x, y = (_pointers([a[n : n + 1] for a in group]) for group in (arrays, outputs))
                taken = used[n : n + 1].ctypes.data_as(ctypes.c_void_p)
                status = self._until(x, count, y, port, least.ctypes.data_as(_P64), taken)
                if status:
                    raise fail("E901", f"the C network returned status {status} for sample {n}")
        named = {p["name"]: a for p, a in zip(ports, outputs, strict=True)}
        return named, used.astype(np.int64)

    def _sample(
        self, n: int, inputs: list[Any], steps: int, outputs: list[Any], records: list[Any]
    ) -> None:
        # a slice, since an element of a vector is a number without an address
        x, y, w = (_pointers([None if a is None else a[n : n + 1] for a in group])
                   for group in (inputs, outputs, records))  # fmt: skip
        status = self._trace(x, steps, y, w)
        if status:
            raise fail("E901", f"the C network returned status {status} for sample {n}")

    def _check(self, inputs: Arrays, steps: int | None) -> tuple[int, int]:
        ports = {p["name"]: p for p in self.interface["inputs"]}
        if set(inputs) != set(ports):
            raise ValueError(f"inputs are {sorted(ports)}, got {sorted(inputs)}")
        batches, lengths = set(), set()
        for name, port in ports.items():
            a, shape = inputs[name], tuple(port["shape"])
            head = ("N",) if port["clock"] == "once" else ("N", "T")
            if not np.issubdtype(a.dtype, np.integer):
                raise TypeError(f"input {name!r} must be integers, got {a.dtype}")
            if a.ndim != len(head) + len(shape) or a.shape[len(head) :] != shape:
                raise ValueError(f"input {name!r} must be {(*head, *shape)}, got {a.shape}")
            if a.size and (a.min() < port["lo"] or a.max() > port["hi"]):
                limits = f"[{port['lo']}, {port['hi']}], got {a.min()}..{a.max()}"
                raise ValueError(f"input {name!r} must be in {limits}")
            batches.add(a.shape[0])
            lengths |= {a.shape[1]} if port["clock"] == "step" else set()
        if len(batches) != 1 or len(lengths | ({steps} - {None})) > 1:
            text = f"batch sizes {sorted(batches)}, steps {sorted(lengths)} and {steps}"
            raise ValueError(text)
        default: int = self.interface["steps"]
        count = lengths.pop() if lengths else default if steps is None else steps
        limit = self.interface["max_steps"]
        if limit and count > limit:
            raise ValueError(f"ranges are proven for {limit} steps at most, got {count}")
        if count < (fewest := self.interface["min_steps"]):
            raise ValueError(f"the network needs {fewest} steps, got {count}")
        return batches.pop(), count


def _pointers(arrays: list[Any]) -> Any:
    """A C array of pointers to int64 arrays; it keeps none of them alive."""
    table = (_P64 * max(1, len(arrays)))()
    for i, a in enumerate(arrays):
        if a is not None:
            table[i] = a.ctypes.data_as(_P64)
    return table
