"""A compiled network on disk: open it with every check, run it, and come back to real numbers."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from snnc.backends import check_names, folder_of, load_backend
from snnc.backends.numpy.simulator import Simulator
from snnc.content import parts_of
from snnc.data import Data, as_data
from snnc.diagnostics import CompileError, Diagnostic, error, fail, warning
from snnc.early_exit import Exit, integer_limits
from snnc.encode import Clipped, decode_outputs
from snnc.graph import Graph
from snnc.manifest import NAME, Manifest, load_manifest
from snnc.storage import load_graph
from snnc.version import __version__

if TYPE_CHECKING:
    from snnc.streaming import Stream
    from snnc.verification import Report

Array = npt.NDArray[Any]

#: Folders of an artifact: the integer program, the float model, the float model as quantized.
PROGRAM, MODEL, FAKEQUANT = "program", "model", "fakequant"

#: What using an artifact may leave in it: bytecode of Python, results of ``make``.
PRODUCTS = ("*/__pycache__/*.pyc", "c/run", "c/*.o", "c/*.so", "c/build/*")


@dataclass(frozen=True)
class Run:
    """Results of a run: outputs as real numbers and as integers, recorded words, and T.

    ``used`` has the steps (N,) after which each sample stopped, if they might stop early.
    """

    outputs: dict[str, Array]
    raw: dict[str, Array]
    words: dict[str, Array]
    steps: int
    used: Array | None = None


class Artifact:
    """A checked artifact.

    Attributes:
        folder: Where it lies.
        manifest: What it holds.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._simulator: Simulator | None = None
        self._emitted: set[str] = set()  # backends whose files are what the program emits

    @classmethod
    def open(cls, folder: Path | str) -> Artifact:
        """Open an artifact after checking the set of files, their kinds, sizes and hashes.

        Raises:
            CompileError: E401 to E407, one diagnostic for every file that is not as compiled.
        """
        folder = Path(folder)
        if not folder.is_dir():
            text = f"{folder} does not exist" if not folder.exists() else f"{folder} is no folder"
            raise fail("E401", text, help="make an artifact with: snnc compile MODEL -o DIR")
        if not os.path.lexists(folder / NAME):
            hint = "make an artifact with: snnc compile MODEL -o DIR"
            raise fail("E401", f"{folder} has no {NAME}, so it is not an artifact", help=hint)
        manifest = load_manifest(read_regular(folder, NAME))
        if problems := list(_differences(folder, manifest)):
            raise CompileError(problems)
        return cls(folder, manifest)

    @property
    def simulator(self) -> Simulator:
        """The definition, loaded with this artifact's program."""
        if self._simulator is None:
            program = self.graph()  # checks all that the simulator takes for granted
            self._simulator = Simulator.load(self.folder / PROGRAM)
            inputs = {i.name: (i.shape, i.clock, i.lo, i.hi) for i in self.manifest.inputs}
            outputs = {o.name: o.shape for o in self.manifest.outputs}
            found = {name: program[name].type.shape for name in self._simulator.outputs}
            if inputs != self._simulator.inputs or outputs != found:
                text = f"{NAME} and the program disagree on inputs or outputs"
                raise fail("E402", text, help="compile the model again")
        return self._simulator

    def graph(self) -> Graph:
        """The integer program."""
        return self._graph(PROGRAM)

    def model(self) -> Graph:
        """The float model that was compiled."""
        return self._graph(MODEL)

    def fakequant(self) -> Graph | None:
        """The float model with quantized weights, if it was kept."""
        return self._graph(FAKEQUANT) if f"{FAKEQUANT}/graph.json" in self.manifest.files else None

    def encode(self, x: Array | Mapping[str, Array]) -> dict[str, Array]:
        """Turn real inputs into the integers of the network: see ``snnc.encode``."""
        return self.encode_data(as_data(x, self.manifest.inputs))[0]

    def encode_data(self, data: Data) -> tuple[dict[str, Array], list[Diagnostic]]:
        """Encode checked samples; also warn of clipped values (W424)."""
        clipped = Clipped(self.manifest.inputs)
        return clipped.encode(data), clipped.warnings()

    def decode(self, raw: Mapping[str, Array], steps: int) -> dict[str, Array]:
        """Turn integer outputs into real numbers."""
        return decode_outputs(raw, self.manifest.outputs, steps)

    def steps_of(self, encoded: Mapping[str, Array], steps: int | None) -> int:
        """Number of steps of a run.

        Raises:
            CompileError: E421 if the data say otherwise, or more than the ranges are proven for.
        """
        sequences = [e for e in self.manifest.inputs if e.clock == "step"]
        found = encoded[sequences[0].name].shape[1] if sequences else steps
        count = self.manifest.steps if found is None else found
        if steps is not None and steps != count:
            text = f"the data have {count} steps, {steps} were asked for"
            hint = "leave --steps out: the data say how many there are"
            raise fail("E421", text, help=hint)
        limit = self.manifest.max_steps
        if limit and count > limit:
            text = f"ranges are proven for {limit} steps at most, the data have {count}"
            raise fail("E421", text, help=f"compile with --max-steps {count}")
        return count

    def check_steps(self, steps: int) -> list[Diagnostic]:
        """A W421 if the model computes with a number of steps of its own, and it is another."""
        if not self.manifest.fixed_steps or steps == self.manifest.steps:
            return []
        text = f"the model was traced with {self.manifest.steps} steps, the data have {steps}"
        why = "it computes with the number of steps itself, so that its outputs mean something else"
        return [warning("W421", text, None, why, help="export the model with this number of steps")]

    def backend(self, name: str) -> str:
        """The target of that name; ``lava`` is also the only one of Lava's modes that is there."""
        modes = [t for t in self.manifest.targets if t.startswith(f"{name}-")]
        return modes[0] if name not in self.manifest.targets and len(modes) == 1 else name

    def check_backend(self, name: str) -> None:
        """Make sure that the artifact holds this backend, and only what its program emits.

        Programs of an artifact are executed, and its hashes are as good as whoever wrote them;
        the integer program is data.  Emission is deterministic, so that it tells the two apart.

        Raises:
            CompileError: E002 or E007 if it does not hold it, E408 for every file that differs.
        """
        check_names((name,))
        if name not in self.manifest.targets:
            have = self.manifest.targets
            text = f"the artifact was not compiled for {name!r}, only for {', '.join(have)}"
            raise fail("E007", text, help=f"compile again with --target {','.join((*have, name))}")
        if name not in self._emitted:
            if problems := list(self._foreign_files(name)):
                raise CompileError(problems)
            self._emitted.add(name)

    def _foreign_files(self, backend: str) -> Iterable[Diagnostic]:
        """An E408 for every file of a backend that its program does not emit."""
        graphs = self.model(), self.graph(), self.fakequant()
        emitted = {
            f"{folder_of(backend)}/{name}": b"".join(parts_of(content))
            for name, content in load_backend(backend).emit_model(*graphs).files.items()
        }
        have = {name for name in self.manifest.files if name.startswith(f"{folder_of(backend)}/")}
        notes = ["nothing of it was run"]
        if self.manifest.snnc != __version__:
            notes.append(f"it was compiled by snnc {self.manifest.snnc}, this is {__version__}")
        for name in sorted(have | set(emitted)):
            if name not in have or read_regular(self.folder, name) != emitted.get(name):
                text = f"{self.folder / name} is not what the program of the artifact emits"
                yield error("E408", text, None, *notes, help="compile the model again")

    def run(
        self,
        x: Array | Mapping[str, Array],
        backend: str = "numpy",
        record: Iterable[str] = (),
        steps: int | None = None,
    ) -> Run:
        """Run real inputs, (N, T, ...) per step or (N, ...) static, on a backend.

        Args:
            x: Inputs; a dict by name if there are several.
            backend: One that the artifact was compiled for.
            record: Layers, or words such as ``lif1.v``, to keep for every step.
            steps: T of a network without per-step input (default: as the model was traced).

        Raises:
            CompileError: E42x for unfit data, E007 for a backend that is not there, E6xx if it
                cannot run here.
        """
        data = as_data(x, self.manifest.inputs)
        return self.run_encoded(self.encode_data(data)[0], backend, self.words(record), steps)

    def run_encoded(
        self,
        encoded: dict[str, Array],
        backend: str = "numpy",
        record: Iterable[str] = (),
        steps: int | None = None,
    ) -> Run:
        """Run integers; ``record`` holds exact word names."""
        backend = self.backend(backend)
        self.check_backend(backend)
        count = self.steps_of(encoded, steps)
        run = load_backend(backend).run
        raw, words = run(self.folder / folder_of(backend), encoded, count, tuple(record))
        return Run(self.decode(raw, count), raw, words, count)

    def stream(self, static: Mapping[str, Array] | None = None, batch: int = 1) -> Stream:
        """Use the network step by step, with state carried from call to call.

        Args:
            static: Inputs that do not change over time, (N, ...), by name.
            batch: N, needed only without static inputs.

        Raises:
            CompileError: E421 if inputs do not fit, or if there are several loops over time.
        """
        from snnc.streaming import Stream

        return Stream(self.simulator, self.manifest, static or {}, batch)

    def check_exit(self) -> list[Diagnostic]:
        """A W427 if the model computes with a number of steps of its own."""
        if not self.manifest.fixed_steps:
            return []
        text = f"the model computes with {self.manifest.steps} steps itself"
        why = "scores after fewer steps are not those of a shorter sample"
        hint = "choose the threshold on data of your own"
        return [warning("W427", text, None, why, help=hint)]

    def run_until(
        self,
        encoded: dict[str, Array],
        exit_: Exit,
        backend: str = "numpy",
        steps: int | None = None,
    ) -> Run:
        """Run integers, each sample until an output of one number reaches a threshold.

        Raises:
            CompileError: E427 if the artifact or the backend cannot stop early.
        """
        backend = self.backend(backend)
        self.check_backend(backend)
        count = self.steps_of(encoded, steps)
        limits = integer_limits(self.manifest, exit_, count)
        run = load_backend(backend).run_until
        raw, used = run(self.folder / folder_of(backend), encoded, count, exit_.output, limits)
        real = self.decode(raw, 1)
        for entry in self.manifest.outputs:
            if entry.per_step:
                real[entry.name] = real[entry.name] / used.reshape(-1, *[1] * len(entry.shape))
        return Run(real, raw, {}, count, used)

    def words(self, names: Iterable[str]) -> list[str]:
        """Expand layers and words to words; raises CompileError E006 for unknown ones."""
        available = self.simulator.words()
        found: dict[str, None] = {}
        for name in names:
            matches = [w for w in available if name in (w, w.rpartition(".")[0])]
            if not matches:
                layers = dict.fromkeys(w.rpartition(".")[0] for w in available)
                text = f"no layer or word {name!r} can be recorded"
                raise fail("E006", text, help=f"layers with words are {', '.join(layers)}")
            found |= dict.fromkeys(matches)
        return list(found)

    def verify(
        self,
        x: Array | Mapping[str, Array],
        y: Array | None = None,
        backends: Iterable[str] | None = None,
        samples: int | None = None,
    ) -> Report:
        """Compare float model, integer program and backends: see ``snnc.verify``."""
        from snnc.verify import verify  # verify builds on this class

        shape = self.manifest.outputs[0].shape
        classes = shape[0] if len(shape) == 1 else None
        data = as_data(x, self.manifest.inputs, y, classes)
        return verify(self, data, backends, samples=samples)

    def _graph(self, folder: str) -> Graph:
        names = (f"{folder}/graph.json", f"{folder}/tensors.safetensors")
        return load_graph(*(read_regular(self.folder, name) for name in names))


def read_regular(folder: Path, name: str) -> bytes:
    """Read a file of an artifact without following links.

    Raises:
        CompileError: E405 if it is missing, E406 if it is not a regular file.
    """
    path = folder / name
    parents = [folder.joinpath(*Path(name).parts[:i]) for i in range(1, len(Path(name).parts))]
    if linked := next((p for p in parents if p.is_symlink()), None):
        raise fail("E406", f"{linked} is a link; an artifact holds regular files only")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as e:
        raise fail("E405", f"{path} is missing") from e
    except OSError as e:
        raise fail("E406", f"{path} cannot be read: {e.strerror}") from e
    with os.fdopen(fd, "rb") as f:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise fail("E406", f"{path} is not a regular file")
        return f.read()


def _differences(folder: Path, manifest: Manifest) -> Iterable[Diagnostic]:
    """One error for every file that is not as the manifest says."""
    hint = "compile the model again"
    expected = {*manifest.files, NAME}
    for name in sorted(_present(folder) - expected):
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in PRODUCTS):
            yield error("E405", f"{folder / name} does not belong to the artifact", help=hint)
    for name, entry in sorted(manifest.files.items()):
        try:
            content = read_regular(folder, name)
        except CompileError as e:
            yield from e.diagnostics
            continue
        if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
            text = f"{folder / name} was changed after compiling"
            yield error("E407", text, help=hint)


def _present(folder: Path) -> set[str]:
    found = set()
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        found |= {Path(parent, name).relative_to(folder).as_posix() for name in (*files, *links)}
    return found


def integers(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays as int64, whatever integer type a backend chose."""
    return {name: np.asarray(a).astype(np.int64) for name, a in arrays.items()}
