"""Compile a model with many choices of bits and method, and measure each: accuracy against cost.

Every point is a file of its own that appears whole or not at all, so that a stopped sweep goes on
where it was.  What the points depend on is kept next to them: a folder never holds points of two
models, data or versions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import msgspec

from snnc.atomic import write_file
from snnc.compare import batches
from snnc.data import Data
from snnc.diagnostics import CompileError, Diagnostic, fail, stop_on_errors
from snnc.driver import lower
from snnc.encode import Clipped
from snnc.energy import digital
from snnc.layers import input_table
from snnc.measure import FloatRunner, IntegerRunner, measure
from snnc.operations import count, packed
from snnc.ops import Neuron
from snnc.options import Options
from snnc.passes.base import Context
from snnc.passes.calibration import Calibration
from snnc.passes.choose_codes import weighted_names
from snnc.preparing import prepare
from snnc.profile import DEFAULT, PROFILES
from snnc.quantization import CALIBRATED, METHODS, Plan
from snnc.verify import float_graph
from snnc.version import __version__

#: Samples that operations are counted on.
COUNTED = 32
#: Samples that are encoded at once, to look for values that are clipped.
ENCODED = 256
#: What is said of data, and once for all points.
OF_DATA = ("W332", "W333", "W334", "W421", "W424")
#: Digits of real numbers that are kept: a processor's last bits do not show.
DIGITS = 6
QUESTION = "sweep.json"


class Point(msgspec.Struct, frozen=True):
    """One choice of integers, measured.

    Attributes:
        bits: Of a weight.
        method: That chose the integers.
        accuracy: Share of right labels; None without labels.
        labels: Share of samples of the float model's class.
        error: Of the outputs, as a part of their deviation.
        f1: Of the spikes, the mean over layers.
        bytes: Constants and states, with weights packed to their bits.
        operations: Weights that are not zero, met by events, per sample.
        nanojoules: Estimated, digital logic of 45 nm, per sample.
        failed: Why there are no integers.
    """

    bits: int
    method: str
    accuracy: float | None = None
    labels: float | None = None
    error: float | None = None
    f1: float | None = None
    bytes: int = 0
    operations: float = 0.0
    nanojoules: float = 0.0
    failed: str = ""

    @property
    def quality(self) -> float | None:
        """Accuracy, else what there is in its place; more is better."""
        if self.accuracy is not None:
            return self.accuracy
        if self.labels is not None:
            return self.labels
        return None if self.error is None else -self.error


@dataclass(frozen=True)
class Question:
    """What points depend on, as hashes; equal questions have equal answers."""

    snnc: str
    model: str
    data: str
    calibration: str
    samples: int
    options: str


@dataclass(frozen=True)
class Sweep:
    """All points, in the order of bits and methods.

    Attributes:
        points: Those that were asked for.
        accuracy: Of the float model.
        samples: That were measured.
        resumed: How many points were there already.
    """

    points: tuple[Point, ...]
    accuracy: float | None
    samples: int
    resumed: int

    def front(self, cost: str) -> tuple[Point, ...]:
        """Points that no other one beats in quality without costing more, cheapest first.

        Args:
            cost: ``bytes`` or ``operations``.
        """
        return pareto(self.points, cost)

    def document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "samples": self.samples,
            "float": {"accuracy": self.accuracy},
            "points": [msgspec.to_builtins(p) for p in self.points],
            "pareto": {
                cost: [f"{p.bits} {p.method}" for p in self.front(cost)]
                for cost in ("bytes", "operations")
            },
        }


def pareto(points: Iterable[Point], cost: str) -> tuple[Point, ...]:
    """Points that no other beats: those that cost more are better, too.

    >>> a, b = Point(8, "mse", 0.9, bytes=80), Point(4, "mse", 0.9, bytes=40)
    >>> [p.bits for p in pareto((a, b, Point(2, "mse", 0.5, bytes=20)), "bytes")]
    [2, 4]
    """
    found: list[Point] = []
    known = [(p, q) for p in points if not p.failed and (q := p.quality) is not None]
    for point, quality in sorted(known, key=lambda x: (getattr(x[0], cost), -x[1])):
        best = found[-1].quality if found else None
        if best is None or quality > best:
            found.append(point)
    return tuple(found)


def parse_bits(text: str) -> tuple[int, ...]:
    """Numbers and ranges.

    >>> parse_bits("2..4,8")
    (2, 3, 4, 8)

    Raises:
        CompileError: E003 or E320 if it is no list of numbers from 2 to 16.
    """
    found: dict[int, None] = {}
    for part in (p.strip() for p in text.split(",")):
        low, dots, high = part.partition("..")
        ends = (low, high if dots else low)
        if not all(e.isascii() and e.isdigit() and len(e) < 4 for e in ends):
            raise fail("E003", f"--bits {text} is no list of bits", help="write --bits 2..8 or 3,4")
        first, last = map(int, ends)
        if not 2 <= first <= last <= 16:
            raise fail("E320", f"--bits is {part}, possible are 2 to 16", help="write --bits 2..8")
        found |= dict.fromkeys(range(first, last + 1))
    return tuple(sorted(found))


def parse_methods(text: str, calibrated: bool) -> tuple[str, ...]:
    """Methods by name; ``all`` are those that the data allow.

    >>> parse_methods("all", False)
    ('max', 'percentile', 'mse')

    Raises:
        CompileError: E330 for an unknown one, E332 if it needs calibration data.
    """
    names = [p.strip() for p in text.split(",") if p.strip()]
    if names == ["all"]:
        return tuple(m for m in METHODS if calibrated or m not in CALIBRATED)
    problems = [d for name in names for d in Plan(name).check_method()]
    if problems or not names:
        raise CompileError(problems or Plan(text).check_method())
    needy = [n for n in names if n in CALIBRATED]
    if needy and not calibrated:
        text = f"method {needy[0]!r} needs calibration data"
        raise fail("E332", text, help="give --calibration DATA.npz, some training samples")
    return tuple(dict.fromkeys(names))


class Sweeper:
    """Measures points of one model on one data set.

    Args:
        model: Model file.
        options: How to read and compile it, but for bits and methods.
    """

    def __init__(self, model: Path, options: Options) -> None:
        prepared = prepare(model, replace(options.check(), targets=("numpy",)))
        self.options, self.plan = prepared.options, prepared.plan
        profile = self.options.profile or DEFAULT.name
        if PROFILES[profile].exact:
            text = f"profile {profile!r} has a way of its own to choose integers"
            raise fail("E330", text, help="sweep with --profile default, if the model allows it")
        self.loaded, self.graph = prepared.loaded, prepared.graph
        self.seen = prepared.ctx.calibration
        self.warned = [d for d in prepared.ctx.diagnostics if d.code in OF_DATA]
        self._clipped: Clipped | None = None
        self.real = float_graph(self.graph)
        neurons = [n.name for n in self.real if isinstance(n.op, Neuron)]
        stop_on_errors(self.plan.check_names(weighted_names(self.real), neurons))

    def point(self, bits: int, method: str, data: Data, steps: int) -> tuple[Point, float | None]:
        """Compile and measure one choice; also the accuracy of the float model."""
        seen = None if self.seen is None else Calibration(self.seen.arrays)
        options = replace(self.options, bits=bits, method=method)
        try:
            ctx = Context(calibration=seen)
            plan = replace(self.plan, method=method)
            program, _ = lower(self.graph.copy(), options, ctx, lambda *_: None, plan)
        except CompileError as e:
            first = e.diagnostics[0]
            return Point(bits, method, failed=f"SNNC-{first.code}: {first.message}"), None
        self._warn(d for d in ctx.diagnostics if d.code in OF_DATA)
        runner = IntegerRunner(program, input_table(program, {}, {}), self.loaded.outputs)
        if self._clipped is None:  # inputs are encoded alike at every point
            self._clipped = Clipped(runner.inputs)
            for start, stop in batches(len(data), ENCODED):
                self._clipped.encode(data.part(start, stop))
            self._warn(self._clipped.warnings())
        reference = FloatRunner(self.real, runner.spikes)
        found = measure(reference, runner.outputs[0], {"it": runner}, data, steps)
        counts = count(program, runner.simulator, runner.encoded(data.first(COUNTED)), steps)
        metrics = counts.metrics
        m = found["it"]
        point = Point(
            bits,
            method,
            rounded(m.accuracy),
            rounded(m.labels),
            rounded(m.error),
            rounded(m.f1),
            packed(program),
            metrics["Effective_ACs"] + metrics["Effective_MACs"],
            float(f"{digital(counts).nanojoules:.{DIGITS}g}"),
        )
        return point, rounded(found["float"].accuracy)

    def _warn(self, found: Iterable[Diagnostic]) -> None:
        """Remember what is said of data, once."""
        said = {(d.code, d.loc) for d in self.warned}
        self.warned += [d for d in found if (d.code, d.loc) not in said]


def rounded(value: float | None) -> float | None:
    """The number with as many digits as are kept."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


def question(
    model: Path, options: Options, data: Path, samples: int, seen: Calibration | None
) -> Question:
    """What the points depend on; ``seen`` are the calibration data."""
    kept = asdict(replace(options, calibration=None, bits=8, method="mse", dump_ir=None))
    code = None if options.module is None else Path(options.module.rpartition(":")[0])
    for name, path in (("config", options.config), ("module", code)):
        kept[name] = "" if path is None or not path.is_file() else _digest(path)
    chosen = json.dumps(kept, sort_keys=True, default=str)
    return Question(
        __version__,
        _digest(model),
        _digest(data),
        "" if seen is None else seen.source[1],
        samples,
        hashlib.sha256(chosen.encode()).hexdigest(),
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sweep(
    folder: Path,
    sweeper: Sweeper,
    asked: Question,
    choices: Iterable[tuple[int, str]],
    data: Data,
    steps: int,
    report: Callable[[Point, bool], None] = lambda *_: None,
) -> Sweep:
    """Measure all choices that the folder has not yet.

    Args:
        folder: For the points.
        sweeper: Of the model.
        asked: What the points depend on.
        choices: Bits and method of each point.
        data: Samples.
        steps: T.
        report: Called with each point, and whether it was there already.

    Raises:
        CompileError: E440 if the folder holds something else.
    """
    start_folder(folder, asked)
    points, resumed, accuracy = [], 0, None
    for bits, method in choices:
        path = folder / f"{bits}-{method}.json"
        known = _read_point(path, bits, method)
        if known is None:
            point, real = sweeper.point(bits, method, data, steps)
            known = (point, real)
            write_file(path, msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n")
            report(point, False)
        else:
            resumed += 1
            report(known[0], True)
        points.append(known[0])
        accuracy = known[1] if known[1] is not None else accuracy
    return Sweep(tuple(points), accuracy, len(data), resumed)


def start_folder(folder: Path, asked: Question) -> None:
    """Make the folder, or make sure that it holds points of the same question."""
    path = folder / QUESTION
    wanted = msgspec.json.format(msgspec.json.encode(asked), indent=1) + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.read_bytes() != wanted:
                text = f"{folder} holds points of another {_other(path, asked)}"
                raise fail("E440", text, help="give another folder with -o, or remove this one")
            return
        if any(folder.iterdir()):
            text = f"{folder} holds other files, and no {QUESTION}"
            raise fail("E440", text, help="give another folder with -o")
    except OSError as e:
        hint = "-o names a folder for the points"
        raise fail("E432", f"{folder} cannot be used: {e.strerror}", help=hint) from e
    write_file(path, wanted)


def _other(path: Path, asked: Question) -> str:
    """What a folder's points were measured with that is not as asked."""
    try:
        there = msgspec.json.decode(path.read_bytes(), type=Question)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "question, or of a file that is damaged"
    names = {"snnc": "version of snnc", "samples": "number of samples", "options": "set of options"}
    return " and ".join(
        names.get(f.name, f.name)
        for f in fields(Question)
        if getattr(there, f.name) != getattr(asked, f.name)
    )


def _read_point(path: Path, bits: int, method: str) -> tuple[Point, float | None] | None:
    """A point that was measured before."""
    if not path.exists():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=tuple[Point, float | None])
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        text = f"{path} is damaged: {e}"
        raise fail("E440", text, help="remove it, then it is measured again") from e
    if (found[0].bits, found[0].method) != (bits, method):
        raise fail("E440", f"{path} is another point", help="remove it, then it is measured again")
    return found
