"""Random damage to every kind of file that snnc reads, and what must never come of it.

``python -m tests.hostile.mutants [N [SEED]]`` reads N mutants of each kind, every one in a forked
child with limits, and prints one line for each kind.  ``formats.py`` registers formats of models
that are read in a child process anyway: where such a child is killed by its limits, what counts is
that the parent says so with a code.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnc.artifact import Artifact
from snnc.container import LoadedModel, read_model, to_bytes
from snnc.data import load_data
from snnc.diagnostics import CompileError, fail
from snnc.driver import compile_model
from snnc.frontends.isolated import read_isolated
from snnc.options import Options
from snnc.untrusted import UnsafeError, parse_json
from tests.hostile.formats import FORMATS, Format
from tests.models import model_file
from tests.realgraphs import mlp


@dataclass(frozen=True)
class Kind:
    """A kind of file: a good one, and what reads it; raises CompileError for what it refuses."""

    good: bytes
    read: Callable[[bytes, Path], object]
    isolated: Callable[[Path], object] | None = None  # the same in a child, which may be killed


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Cut off, flip bits, overwrite and repeat, as transfer, disks and attackers do."""
    out = bytearray(data)
    if rng.random() < 0.15:
        return bytes(out[: rng.randrange(len(out))])
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        i, kind = rng.randrange(len(out)), rng.random()
        if kind < 0.5:
            out[i] ^= 1 << rng.randrange(8)
        elif kind < 0.7:
            out[i] = rng.choice((0, 255, 127, 128))
        elif kind < 0.85 and len(out) > 9:
            j = rng.randrange(len(out) - 8)
            out[j : j + 8] = rng.choice((b"\xff" * 8, bytes(8), b"\xff\xff\xff\x7f\0\0\0\0"))
        else:
            j, n = rng.randrange(len(out)), rng.randrange(1, 32)
            out[j:j] = out[i : i + n]
    return bytes(out)


_VALUES = (0, -1, 1, 2, 1 << 31, 1 << 62, 1 << 70, 0.5, -1e308, "", "x", "a.b", None, True, [], {})


def mutate_json(text: bytes, rng: random.Random) -> bytes:
    """Change values of a document, which stays well-formed: damage that no checksum shows."""
    document = json.loads(text)
    places: list[tuple[object, object]] = []
    stack: list[object] = [document]
    while stack:
        value = stack.pop()
        keys = value if isinstance(value, dict) else range(len(value))  # type: ignore[arg-type]
        for key in keys:
            places.append((value, key))
            child = value[key]  # type: ignore[index]
            if isinstance(child, dict | list):
                stack.append(child)
    for _ in range(rng.choice((1, 1, 2, 4))):
        value, key = rng.choice(places)
        other, other_key = rng.choice(places)
        try:
            new = rng.choice((*_VALUES, other[other_key], other[other_key]))  # type: ignore[index]
            if rng.random() < 0.15:
                del value[key]  # type: ignore[attr-defined]
            else:
                value[key] = json.loads(json.dumps(new))  # type: ignore[index]
        except (KeyError, IndexError, ValueError):
            continue
    return json.dumps(document).encode()


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file that can be read here."""
    model = model_file(folder, mlp())
    compile_model(model, folder / "net", Options())
    artifact = Artifact.open(folder / "net")
    entry = artifact.manifest.inputs[0]
    x = np.random.default_rng(0).integers(0, 2, (2, 4, *entry.shape)).astype(np.int8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=x, y=np.zeros(2, np.int64))
    inputs = artifact.manifest.inputs
    found = {
        "container": Kind(to_bytes(LoadedModel(mlp(), {})), _model),
        "graph": Kind(_parts()["graph.json"], _graph),
        "npz": Kind(buffer.getvalue(), lambda d, p: load_data(_put(p / "x.npz", d), inputs)),
        "manifest": Kind((folder / "net/manifest.json").read_bytes(), _Manifest(folder / "net")),
        "program": Kind((folder / "net/program/graph.json").read_bytes(), _Program(folder / "net")),
    }
    return found | _torch_kinds() | _formats()


def _formats() -> dict[str, Kind]:
    """The registered formats whose files can be written here."""
    found = {}
    for name, kind in FORMATS.items():
        with contextlib.suppress(ImportError):
            found[name] = Kind(kind.good(), _direct(kind), _isolated(kind))
    return found


def _direct(kind: Format) -> Callable[[bytes, Path], object]:
    module, _, function = kind.reader.partition(":")
    reader = getattr(importlib.import_module(module), function)

    return _limited(lambda data: reader(data, "mutant", kind.options))


def _limited(reader: Callable[[bytes], object]) -> Callable[[bytes, Path], object]:
    """As a child reads: it has a limit of memory, and answers E147 there."""

    def read(data: bytes, folder: Path) -> object:
        try:
            return reader(data)
        except MemoryError as e:
            raise fail("E147", "too much memory") from e

    return read


def _isolated(kind: Format) -> Callable[[Path], object]:
    return lambda path: read_isolated(kind.reader, path, kind.options)


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _parts() -> dict[str, bytes]:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(to_bytes(LoadedModel(mlp(), {})))) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def _model(data: bytes, folder: Path) -> object:
    return read_model(_put(folder / "model.pt", data))


def _graph(text: bytes, folder: Path) -> object:
    """A graph inside an intact container, compiled: what is accepted must compile or be refused."""
    import zipfile

    path = folder / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (_parts() | {"graph.json": text}).items():
            archive.writestr(name, content)
    return compile_model(path, folder / "out", Options(force=True))


@dataclass(frozen=True)
class _Manifest:
    """Opens an artifact with another manifest."""

    good: Path

    def __call__(self, text: bytes, folder: Path) -> object:
        return self.opened(folder, {"manifest.json": text})

    def opened(self, folder: Path, changed: dict[str, bytes]) -> object:
        """Run the artifact with these files in place of its own."""
        shutil.copytree(self.good, folder / "net", dirs_exist_ok=True)
        for name, content in changed.items():
            _put(folder / "net" / name, content)
        return _use(Artifact.open(folder / "net"))


@dataclass(frozen=True)
class _Program(_Manifest):
    """Opens an artifact with another program, and hashes that fit it."""

    def __call__(self, text: bytes, folder: Path) -> object:
        manifest = json.loads((self.good / "manifest.json").read_bytes())
        digest = hashlib.sha256(text).hexdigest()
        manifest["files"]["program/graph.json"] = {"sha256": digest, "size": len(text)}
        changed = {"program/graph.json": text, "manifest.json": json.dumps(manifest).encode()}
        return self.opened(folder, changed)


def _use(artifact: Artifact) -> object:
    artifact.graph()
    shapes = {e.name: (1, 3, *e.shape) if e.clock == "step" else (1, *e.shape) for e in
              artifact.manifest.inputs}  # fmt: skip
    if any(np.prod(s, dtype=object) > 1 << 16 for s in shapes.values()):
        return None
    return artifact.run({n: np.zeros(s) for n, s in shapes.items()})


def _torch_kinds() -> dict[str, Kind]:
    """Files of torch and safetensors, read without torch."""
    import safetensors.numpy

    from snnc.frontends.weights_file import read_bytes

    weights = _limited(lambda data: read_bytes(data, "w", {"expected": ["w"]}))
    tensors = {"w": np.eye(8, dtype=np.float32), "b": np.arange(5)}
    found = {"safetensors": Kind(safetensors.numpy.save(tensors), weights)}
    try:
        import torch
    except ImportError:
        return found
    state = {"w": torch.eye(8), "n": {"b": torch.ones(5, dtype=torch.bfloat16)}}
    for name, new in (("weights", True), ("old weights", False)):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=new)
        found[name] = Kind(buffer.getvalue(), weights)
    archive, document = _exported()
    found["pt2"] = Kind(archive, _pt2)
    found["pt2 program"] = Kind(document, _pt2_program)
    return found


def _exported() -> tuple[bytes, bytes]:
    import warnings
    import zipfile

    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        linear = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
        torch.export.save(torch.export.export(linear, (torch.rand(2, 3),)), buffer)
    with zipfile.ZipFile(buffer) as archive:
        name = next(n for n in archive.namelist() if n.endswith("models/model.json"))
        return buffer.getvalue(), archive.read(name)


def _pt2(data: bytes, folder: Path) -> object:
    from snnc.frontends.pt2_archive import read_archive
    from snnc.frontends.pt2_program import parse_program

    return parse_program(read_archive(data, "net.pt2").program, "net.pt2")


def _pt2_program(text: bytes, folder: Path) -> object:
    from snnc.frontends.pt2_program import parse_program

    try:
        document = parse_json(text)
    except UnsafeError as e:
        raise fail("E103", str(e)) from e
    return parse_program(document, "net.pt2")


def mutant(name: str, kind: Kind, seed: int) -> bytes:
    """A damaged file, always the same for a seed."""
    rng = random.Random(f"{name} {seed}")
    if kind.good.startswith(b"{") and rng.random() < 0.8:
        return mutate_json(kind.good, rng)
    return mutate(kind.good, rng)


def outcome(name: str, kind: Kind, seed: int, folder: Path) -> str:
    """What reading a mutant gives: ``ok``, ``refused``, or the name of what must not happen."""
    data = mutant(name, kind, seed)
    start = time.process_time()  # not the clock: the machine may be busy
    try:
        kind.read(data, folder)
        result = "ok"
    except CompileError:
        result = "refused"
    except Exception as e:
        return f"{type(e).__name__} {seed}"
    return result if time.process_time() - start < 5 else f"slow {seed}"


def forked(name: str, kind: Kind, seeds: range, folder: Path) -> list[str]:
    """Outcomes in children with limits of memory and time, to survive crashes and hangs."""
    found: list[str] = []
    while len(found) < len(seeds):
        died = _fork(name, kind, seeds[len(found) :], folder, found)
        if not died:
            break
        seed = seeds[len(found)]
        found.append(
            f"{died} {seed}" if kind.isolated is None else _again(name, kind, seed, folder)
        )
    return found


def _fork(name: str, kind: Kind, seeds: range, folder: Path, found: list[str]) -> str:
    """Add outcomes until the child ends; returns the signal that killed it, if any."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + (1 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        signal.alarm(120 + 4 * len(seeds))  # for what waits instead of computing
        for seed in seeds:
            if kind.isolated is not None:  # ends in C code too, where Python sees no signals
                signal.setitimer(signal.ITIMER_VIRTUAL, 2.0)
            os.write(writing, f"{outcome(name, kind, seed, folder)}\n".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found += pipe.read().splitlines()
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else ""


def _again(name: str, kind: Kind, seed: int, folder: Path) -> str:
    """What a user sees of a file on which the reader's child does not survive."""
    assert kind.isolated is not None, "only such files are read in a child"
    path = _put(folder / f"{seed}.mutant", mutant(name, kind, seed))
    try:
        kind.isolated(path)
    except CompileError as e:
        return "refused" if {d.code for d in e.diagnostics} == {"E147"} else f"unclear {seed}"
    return "ok"


def harm(found: Iterable[str]) -> list[str]:
    """Outcomes that must not be."""
    return [o for o in found if o not in ("ok", "refused")]


def main() -> None:
    """Read N mutants of each kind."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        for kind_name, kind in kinds(Path(name)).items():
            start, found = time.monotonic(), Counter[str]()
            for seed in range(first, first + count, 100):
                work = Path(tempfile.mkdtemp(dir=name))
                found.update(forked(kind_name, kind, range(seed, seed + 100), work))
                shutil.rmtree(work)
            rest = harm(found)
            bad += len(rest)
            seconds = time.monotonic() - start
            sys.stdout.write(
                f"{kind_name:12} {found['ok']:6} ok {found['refused']:6} refused "
                f"{seconds:5.0f} s  {rest[:8]}\n"
            )
            sys.stdout.flush()
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
