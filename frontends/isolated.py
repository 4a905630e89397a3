"""Run a reader of an untrusted file in a child process with bounded memory, time and files.

Parsers written in C may crash, loop or ask for any amount of memory on a damaged file.  Here they
run in a Python of their own, which sees the file as its standard input and answers on its
standard output with a graph in the form of ``snnc.storage``.  Whatever happens to the child is a
diagnostic in the parent: its own ones are passed on, and a crash, a hang or lack of memory is
E147.  The answer is data that ``load_graph`` checks like any other.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import snnc
from snnc.container import LoadedModel
from snnc.diagnostics import CompileError, Diagnostic, Loc, Severity, fail, stop_on_errors
from snnc.storage import load_graph, stored_graph
from snnc.tensor_file import read

_MIB = 1 << 20

#: What the child runs: it may not rely on the environment, so the parent's path is passed on.
_START = (
    "import json, sys; job = json.loads(sys.argv[1]); sys.path[:] = job['path']; "
    "from snnc.frontends.isolated import child; child(job)"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the child may use.

    Attributes:
        memory: Bytes of address space, the libraries included.
        cpu: Seconds of processor time.
        wall: Seconds on the clock, for a child that waits instead of computing.
        files: Open files.
        answer: Bytes of the answer.
    """

    memory: int
    cpu: int
    wall: float
    files: int
    answer: int

    @classmethod
    def of_file(cls, size: int) -> Limits:
        """Limits for a file of ``size`` bytes: a real model of this size needs far less."""
        cpu = 3 + size // (8 * _MIB)
        memory = 1024 * _MIB + 8 * size
        return cls(memory, cpu, 15.0 + 4 * cpu, 64, 256 * _MIB + 8 * size)


def read_isolated(
    reader: str,
    path: Path,
    options: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
) -> LoadedModel:
    """Read a file with ``reader`` in a child process.

    Args:
        reader: ``module:function``; called in the child as ``function(data, name, options)``
            with the bytes and the name of the file, it returns a LoadedModel.
        path: The file.
        options: JSON values for the reader.
        limits: Of the child; by default those for a file of this size.

    Raises:
        CompileError: What the reader found; E101 if the file cannot be opened; E147 if the child
            did not survive, or took more than it may.
    """
    try:
        with path.open("rb") as stream:
            limits = limits or Limits.of_file(os.fstat(stream.fileno()).st_size)
            job = {
                "path": _search_path(),
                "reader": reader,
                "name": path.name,
                "options": dict(options or {}),
                "memory": limits.memory,
                "cpu": limits.cpu,
                "files": limits.files,
            }
            with tempfile.TemporaryFile() as answer:  # large weights stay there
                _ask(stream, json.dumps(job), path.name, limits, answer)
                return _decoded(answer, path.name)
    except OSError as e:
        raise fail("E101", f"cannot read {path}: {e.strerror}") from e


def _search_path() -> list[str]:
    root = str(Path(snnc.__file__).parent.parent)
    return list(dict.fromkeys([root, *(p for p in sys.path if Path(p).is_absolute())]))


def _environment() -> dict[str, str]:
    """One thread, no plugins of HDF5, and nothing of the user's that changes Python or C."""
    kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL", "LD_LIBRARY_PATH")}
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, "HDF5_PLUGIN_PRELOAD": "::", "HDF5_USE_FILE_LOCKING": "FALSE"}


def _ask(stream: BinaryIO, job: str, name: str, limits: Limits, answer: BinaryIO) -> None:
    """Start the child and collect its answer; it has ended when this returns."""
    deadline = time.monotonic() + limits.wall
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", _START, job],
        stdin=stream,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )
    assert process.stdout is not None, "a pipe was asked for"
    size = 0
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                raise _died(name, f"it took more than {limits.wall:.0f} s")
            chunk = os.read(process.stdout.fileno(), _MIB)
            if not chunk:
                break
            answer.write(chunk)
            size += len(chunk)
            if size > limits.answer:
                raise _died(name, f"it holds more than {limits.answer // _MIB} MiB of graph")
        try:
            code = process.wait(max(deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            raise _died(name, f"it took more than {limits.wall:.0f} s") from None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if code:
        raise _died(name, _reason(code, limits))
    answer.flush()


def _reason(code: int, limits: Limits) -> str:
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return f"it took more than {limits.cpu} s of processor time, or was killed"
    if code < 0:
        return f"the reader crashed ({signal.Signals(-code).name})"
    return f"the reader ended with exit code {code}"


def _died(name: str, why: str) -> CompileError:
    hint = "the file is damaged or hostile: copy it again, or export the model again"
    return fail("E147", f"{name} cannot be read: {why}", help=hint)


# ---- the answer: one line of JSON, then the two parts of the graph


def _decoded(answer: BinaryIO, name: str) -> LoadedModel:
    answer.seek(0)
    try:
        header = json.loads(answer.readline())
        if "crash" in header:
            raise _died(name, str(header["crash"]))
        found = [_diagnostic(d) for d in header["diagnostics"]]
        stop_on_errors(found)
        meta, text = dict(header["meta"]), answer.read(int(header["size"]))
        start = answer.tell()
        tensors = read(answer, start, answer.seek(0, os.SEEK_END) - start)
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise _died(name, f"the reader's answer is damaged ({type(e).__name__})") from e
    return LoadedModel(load_graph(text, tensors), meta, found)


def _encoded(model: LoadedModel) -> Iterable[bytes | memoryview]:
    text, tensors = stored_graph(model.graph)
    found = [_record(d) for d in model.diagnostics]
    header = {"diagnostics": found, "meta": model.meta, "size": len(text)}
    return chain([json.dumps(header).encode() + b"\n" + text], tensors)


def _record(d: Diagnostic) -> dict[str, Any]:
    loc = d.loc and [d.loc.path, d.loc.file, d.loc.line]
    return {
        "severity": str(d.severity),
        "code": d.code,
        "message": d.message,
        "loc": loc,
        "notes": list(d.notes),
        "help": d.help,
    }


def _diagnostic(value: Mapping[str, Any]) -> Diagnostic:
    loc = None if value["loc"] is None else Loc(*value["loc"])
    severity, notes = Severity(value["severity"]), tuple(map(str, value["notes"]))
    return Diagnostic(
        severity, str(value["code"]), str(value["message"]), loc, notes, value["help"]
    )


# ---- in the child


def child(job: Mapping[str, Any]) -> None:
    """Read standard input with ``job["reader"]`` and answer on standard output."""
    _limit(job)
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nothing but the answer goes to the parent
    try:
        module, _, function = job["reader"].partition(":")
        reader = getattr(importlib.import_module(module), function)
        with open(0, "rb", closefd=False) as stream:
            data = stream.read()
        answer = _encoded(reader(data, job["name"], job["options"]))
    except CompileError as e:
        found = [_record(d) for d in e.diagnostics]
        answer = [json.dumps({"diagnostics": found}).encode()]
    except MemoryError:
        why = f"it needs more than {job['memory'] // _MIB} MiB of memory"
        answer = [json.dumps({"crash": why}).encode()]
    except Exception as e:  # damage that the reader did not foresee; the parent names it
        answer = [json.dumps({"crash": f"{type(e).__name__}: {e}"[:500]}).encode()]
    with os.fdopen(out, "wb") as pipe:
        pipe.writelines(answer)


def _limit(job: Mapping[str, Any]) -> None:
    try:
        import resource
    except ImportError:  # not on this system: the clock of the parent remains
        return
    for which, value in (
        (resource.RLIMIT_AS, job["memory"]),
        (resource.RLIMIT_CPU, job["cpu"]),
        (resource.RLIMIT_NOFILE, job["files"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (wanted, wanted))
