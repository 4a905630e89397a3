"""Compile: read a model, run the passes, let every backend print, and publish the artifact."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from snnc.artifact import FAKEQUANT, MODEL, PROGRAM, Artifact, read_regular
from snnc.atomic import AtomicFolder
from snnc.backends import check_names, folder_of, in_order, load_backend
from snnc.backends.base import Content, parts_of
from snnc.calibrate import calibrate
from snnc.diagnostics import CompileError, Diagnostic, Severity, error, fail, stop_on_errors
from snnc.encoder_choice import EncoderChoice, parse_encoder
from snnc.graph import Graph
from snnc.layers import input_table, layer_table, output_table
from snnc.loading import Loaded, load
from snnc.manifest import (
    FORMAT,
    NAME,
    CalibrationEntry,
    FileEntry,
    LayerChoiceEntry,
    Manifest,
    dump_manifest,
)
from snnc.ops import Input
from snnc.passes.add_confidence import AddConfidence
from snnc.passes.base import Context, Observer, run_passes
from snnc.passes.encode_input import check_values, encode_inputs
from snnc.passes.kept_choices import FILE as CHOICES
from snnc.passes.kept_choices import KeptChoices, read_choices
from snnc.passes.observers import DumpIR, Progress
from snnc.passes.pipeline import integer_pipeline
from snnc.profile import DEFAULT, LOIHI, PROFILES
from snnc.quantization import USUAL, Plan, read_plan
from snnc.storage import dump_graph
from snnc.version import __version__

#: What the target ``lava`` may be.
LAVA_MODES = ("custom", "stock")

#: Called after every stage with its name, what it did, and its seconds.
Report = Callable[[str, str, float], None]


@dataclass(frozen=True)
class Options:
    """What a user can choose.

    Attributes:
        targets: Backends to emit; ``numpy`` is always among them.
        bits: Of a weight, with its sign.
        input_bits: Of an input whose values show no grid.
        method: How integers of weights are chosen, a name of ``snnc.quantization.METHODS``.
        config: TOML file with exceptions by layer (``snnc.quantization``).
        reuse: Artifact of the same model whose choices to follow in place of ``calibration``.
        calibration: Data file whose inputs set the input range, and that methods look at.
        profile: Numeric profile; None: the one that the model is made for, else ``default``, or
            ``loihi`` for Lava's stock processes.
        lava_mode: What the target ``lava`` is: ``custom`` processes or lava-nc's own (``stock``).
        max_steps: Longest sequence that ranges are proven for; None: as long as is possible.
        module: ``file.py:factory`` that makes the network, for a model file of bare weights.
        nir: What a NIR file leaves open, e.g. ``reset=subtract,dt=1e-3``.
        onnx: What an ONNX file leaves open, e.g. ``state=v:v_out``.
        lava_dl: What a lava-dl network leaves open, e.g. ``compare=ge,readout=sum``.
        shape: Of one sample at one step, for a pickled module.
        steps: The number of steps, for a pickled module.
        encode: Encoders of inputs that are read at every step, e.g. ``rate:seed=1``.
        exit: Outputs to add that say how sure the network is: ``confidence``, ``margin``.
        dump_ir: Folder for the graph after every pass.
        force: Whether to replace an older artifact.
    """

    targets: tuple[str, ...] = ("numpy",)
    bits: int = 8
    input_bits: int = 8
    method: str = "mse"
    config: Path | None = None
    reuse: Path | None = None
    calibration: Path | None = None
    profile: str | None = None
    lava_mode: str = "custom"
    max_steps: int | None = None
    module: str | None = None
    nir: str = ""
    onnx: str = ""
    lava_dl: str = ""
    shape: tuple[int, ...] = ()
    steps: int | None = None
    encode: tuple[str, ...] = ()
    exit: tuple[str, ...] = ()
    dump_ir: Path | None = None
    force: bool = False

    def check(self) -> Options:
        """Return the options in normal form, or raise CompileError with all that is wrong."""
        found: list[Diagnostic] = []
        for flag, value in (("--bits", self.bits), ("--input-bits", self.input_bits)):
            if not 2 <= value <= 16:
                why = ("1 bit holds a sign and no value",) if value == 1 else ()
                text = f"{flag} is {value}, possible are 2 to 16"
                found.append(error("E320", text, None, *why, help="8 is usual"))
        found += Plan(self.method).check_method()
        if self.max_steps is not None and self.max_steps < 1:
            text = f"--max-steps is {self.max_steps}, possible are 1 and more"
            found.append(error("E003", text))
        if self.profile is not None and self.profile not in PROFILES:
            text = f"unknown numeric profile {self.profile!r}"
            found.append(error("E325", text, help=f"known: {', '.join(sorted(PROFILES))}"))
        wanted = {"numpy", *self._chosen()}
        try:
            check_names(tuple(sorted(wanted)))
        except CompileError as e:
            found += e.diagnostics
        if self.lava_mode not in LAVA_MODES:
            text = f"--lava-mode is {self.lava_mode!r}, possible are {' and '.join(LAVA_MODES)}"
            found.append(error("E003", text))
        if self.profile not in (None, LOIHI.name) and self._stock(wanted):
            text = f"Lava's stock processes compute in profile 'loihi', not {self.profile!r}"
            found.append(error("E325", text, help="leave --profile out, or --lava-mode custom"))
        if found:
            raise CompileError(found)
        return replace(self, targets=in_order(wanted))

    def _chosen(self) -> tuple[str, ...]:
        """The targets by the names of their backends."""
        stock = {"lava": "lava-stock"} if self.lava_mode == "stock" else {}
        chips = {n: n.replace("lava:", "lava-stock:") for n in self.targets if n[:5] == "lava:"}
        return tuple((chips | stock).get(name, name) for name in self.targets)

    @staticmethod
    def _stock(targets: Iterable[str]) -> bool:
        return any(name.startswith("lava-stock") for name in targets)

    @property
    def stock(self) -> bool:
        """Whether the program must suit Lava's stock processes; of checked options."""
        return self._stock(self.targets)


@dataclass(frozen=True)
class Compiled:
    """The artifact, and what was said while making it."""

    artifact: Artifact
    diagnostics: tuple[Diagnostic, ...]


def compile_model(
    model: Path, out: Path, options: Options, report: Report = lambda *_: None
) -> Compiled:
    """Compile a model file to an artifact folder, which appears whole or not at all.

    Raises:
        CompileError: With every problem that was found; nothing is written then.
    """
    options = options.check()
    with AtomicFolder(out, options.force) as folder:
        start = time.perf_counter()
        opened = (options.nir, options.onnx, options.lava_dl, options.shape, options.steps)
        loaded = load(model, options.module, *opened)
        options = replace(options, profile=_profile(options, loaded))
        earlier = None if options.reuse is None else Artifact.open(options.reuse)
        options = options if earlier is None else _as_earlier(options, earlier, loaded)
        plan = Plan(options.method)
        if options.config is not None:
            plan = read_plan(options.config, options.method)
        if plan != USUAL and PROFILES[options.profile or DEFAULT.name].exact:
            text = f"profile {options.profile!r} has a way of its own to choose integers"
            raise fail("E330", text, help="leave --method and --config out")
        graph, encoders = encode_inputs(loaded.graph, map(parse_encoder, options.encode))
        data = None if options.calibration is None else calibrate(graph, options.calibration)
        reused = None if earlier is None else _reused(earlier, graph)
        stop_on_errors(check_values(graph, encoders))
        graph = run_passes(graph, [AddConfidence(kind) for kind in options.exit])
        report("read", f"{len(graph)} operators", time.perf_counter() - start)
        ctx = Context(list(loaded.diagnostics), calibration=data, reused=reused)
        program, fakequant = lower(graph, options, ctx, report, plan)
        graphs = {MODEL: graph, PROGRAM: program} | ({FAKEQUANT: fakequant} if fakequant else {})
        files: dict[str, Content] = {f"{PROGRAM}/program.txt": f"{program}\n"}
        for name, stored in graphs.items():
            files |= _stored(name, stored)
        if plan.calibrated:
            files[CHOICES] = ctx.choices.dump()
        files |= emit((graph, program, fakequant), options.targets, ctx, report)
        start = time.perf_counter()
        written = {
            path: folder.write(path, parts_of(content)) for path, content in sorted(files.items())
        }
        known = None if earlier is None else earlier.manifest.calibration
        manifest = describe(program, options, ctx, loaded, written, encoders, known, plan)
        folder.write(NAME, dump_manifest(manifest))
        folder.publish()
    size = sum(entry.size for entry in written.values())
    report("write", f"{len(files) + 1} files, {size / 1000:,.0f} kB", time.perf_counter() - start)
    return Compiled(Artifact(out, manifest), tuple(ctx.diagnostics))


def _profile(options: Options, loaded: Loaded) -> str:
    """The profile to compile with; a model in the integers of a chip leaves no choice."""
    if loaded.profile is None or PROFILES[loaded.profile] == DEFAULT:
        return options.profile or (LOIHI if options.stock else DEFAULT).name
    name, own = loaded.source.file, loaded.profile
    if options.profile not in (None, own):
        text = f"{name} holds the integers of profile {own!r}; --profile is {options.profile!r}"
        raise fail("E325", text, help="leave --profile out")
    if options.bits != Options.bits:
        text = f"{name} holds integers, which are kept as they are; --bits is {options.bits}"
        raise fail("E320", text, help="leave --bits out")
    return own


def lower(
    graph: Graph, options: Options, ctx: Context, report: Report, plan: Plan = USUAL
) -> tuple[Graph, Graph | None]:
    """Run the passes; returns the integer program and the float model with its weights."""

    def note(name: str, nodes: int, seconds: float) -> None:
        report(name, f"{nodes} operators", seconds)

    observers: list[Observer] = [Progress(note)]
    if options.dump_ir is not None:
        observers.append(DumpIR(options.dump_ir))
    passes = integer_pipeline(
        bits=options.bits,
        input_bits=options.input_bits,
        profile=options.profile or DEFAULT.name,
        max_steps=options.max_steps or 0,
        stock=options.stock,
        plan=plan,
    )
    program = run_passes(graph, passes, ctx, observers)
    return program, ctx.fake_quantized


def emit(
    graphs: tuple[Graph, Graph, Graph | None],
    targets: Iterable[str],
    ctx: Context,
    report: Report,
) -> dict[str, Content]:
    """Emit all targets after all have checked the network, so that all problems show at once.

    ``graphs`` are the model, its integer program, and the model with quantized weights.
    """
    model, program, quantized = graphs
    backends = {name: load_backend(name) for name in targets}
    found = [d for backend in backends.values() for d in backend.check_model(model, program)]
    stop_on_errors(found)
    for diagnostic in found:
        ctx.emit(diagnostic)
    files: dict[str, Content] = {}
    for name, backend in backends.items():
        start = time.perf_counter()
        emitted = backend.emit_model(model, program, quantized).files
        for path, content in emitted.items():
            files[f"{folder_of(name)}/{path}"] = content
        report(f"emit {name}", f"{len(emitted)} files", time.perf_counter() - start)
    return files


def describe(
    program: Graph,
    options: Options,
    ctx: Context,
    loaded: Loaded,
    files: Mapping[str, FileEntry],
    encoders: tuple[EncoderChoice, ...] = (),
    calibration: CalibrationEntry | None = None,
    plan: Plan = USUAL,
) -> Manifest:
    """The manifest of an artifact with these files; ``calibration`` if it was earlier."""
    return Manifest(
        format=FORMAT,
        snnc=__version__,
        name=program.name,
        source=loaded.source,
        profile=options.profile or DEFAULT.name,
        bits=options.bits,
        steps=program.steps,
        max_steps=program.max_steps,
        fixed_steps=loaded.fixed_steps,
        inputs=input_table(program, loaded.layouts, {e.input: e.text for e in encoders}),
        outputs=output_table(program, loaded.outputs),
        layers=layer_table(program, ctx.layers),
        targets=options.targets,
        warnings=tuple(str(d) for d in ctx.diagnostics if d.severity is Severity.WARNING),
        files=dict(sorted(files.items())),
        method=options.method,
        calibration=calibration or _used(options.calibration, ctx),
        input_bits=options.input_bits,
        choices={name: LayerChoiceEntry(**asdict(c)) for name, c in sorted(plan.layers.items())},
    )


def _as_earlier(options: Options, earlier: Artifact, loaded: Loaded) -> Options:
    """The options with the method and bits that an artifact of the same model has."""
    made = earlier.manifest
    if made.source.sha256 != loaded.source.sha256:
        text = f"the artifact of --reuse was compiled from {made.source.file}, of other content"
        raise fail("E333", text, help="give the same model")
    if CHOICES not in made.files:
        text = f"the artifact of --reuse needed no calibration data: method {made.method!r}"
        raise fail("E333", text, help="compile with the same options; nothing else is needed")
    wanted = {"method": options.method, "bits": options.bits, "calibration": options.calibration}
    for name, value in wanted.items():
        if value not in (getattr(Options, name), getattr(made, name)):
            text = f"--{name} is {value}, but --reuse takes over what the artifact has"
            raise fail("E333", text, help=f"leave --{name} out")
    return replace(options, method=made.method, bits=made.bits)


def _reused(earlier: Artifact, graph: Graph) -> KeptChoices:
    """The choices of an artifact; its inputs' ranges, which are from the data, too."""
    for node in earlier.model().nodes:
        if isinstance(node.op, Input):
            own = graph[node.name].op if node.name in graph else None
            if not isinstance(own, Input) or own.type != node.op.type:
                text = f"the artifact of --reuse has another input {node.name!r}"
                raise fail("E333", text, help="give the same encoders")
            graph.replace(replace(graph[node.name], op=node.op))
    return read_choices(read_regular(earlier.folder, CHOICES), earlier.graph())


def _used(path: Path | None, ctx: Context) -> CalibrationEntry | None:
    """What the manifest says of the calibration data, if integers were chosen with them."""
    if path is None or ctx.calibration is None or not ctx.calibration.used:
        return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return CalibrationEntry(path.name, digest, ctx.calibration.samples)


def _stored(folder: str, graph: Graph) -> dict[str, bytes]:
    text, tensors = dump_graph(graph)
    return {f"{folder}/graph.json": text, f"{folder}/tensors.safetensors": tensors}


def compile(  # the public name is snnc.compile
    model: Path | str,
    out: Path | str,
    *,
    target: str | Iterable[str] = "numpy",
    bits: int = 8,
    input_bits: int = 8,
    method: str = "mse",
    config: Path | str | None = None,
    reuse: Path | str | None = None,
    calibration: Path | str | None = None,
    profile: str | None = None,
    lava_mode: str = "custom",
    max_steps: int | None = None,
    module: str | None = None,
    nir: str = "",
    onnx: str = "",
    lava_dl: str = "",
    shape: Iterable[int] = (),
    steps: int | None = None,
    encode: str | Iterable[str] = (),
    exit: str | Iterable[str] = (),
    dump_ir: Path | str | None = None,
    force: bool = False,
) -> Artifact:
    """Compile a model file, as ``snnc compile`` does; the arguments are its options.

    Raises:
        CompileError: With every problem that was found; nothing is written then.
    """
    options = Options(
        targets=tuple(target.split(",")) if isinstance(target, str) else tuple(target),
        bits=bits,
        input_bits=input_bits,
        method=method,
        config=None if config is None else Path(config),
        reuse=None if reuse is None else Path(reuse),
        calibration=None if calibration is None else Path(calibration),
        profile=profile,
        lava_mode=lava_mode,
        max_steps=max_steps,
        module=module,
        nir=nir,
        onnx=onnx,
        lava_dl=lava_dl,
        shape=tuple(shape),
        steps=steps,
        exit=tuple(filter(None, exit.split(","))) if isinstance(exit, str) else tuple(exit),
        encode=(encode,) if isinstance(encode, str) else tuple(encode),
        dump_ir=None if dump_ir is None else Path(dump_ir),
        force=force,
    )
    return compile_model(Path(model), Path(out), options).artifact
