"""Compile: read a model, run the passes, let every backend print, and publish the artifact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from snnc.artifact import FAKEQUANT, MODEL, PROGRAM, Artifact
from snnc.atomic import AtomicFolder
from snnc.backends import folder_of, load_backend
from snnc.budget import parse_budget
from snnc.content import Content, parts_of
from snnc.diagnostics import Diagnostic, Severity, stop_on_errors
from snnc.few_bits import losses
from snnc.graph import Graph
from snnc.layers import input_table, layer_table, output_table
from snnc.manifest import (
    FORMAT,
    NAME,
    CalibrationEntry,
    FileEntry,
    LayerChoiceEntry,
    Manifest,
    dump_manifest,
)
from snnc.options import Options, Report
from snnc.passes.base import Context, Observer, run_passes
from snnc.passes.kept_choices import FILE as CHOICES
from snnc.passes.observers import DumpIR, Progress
from snnc.passes.pipeline import integer_pipeline
from snnc.preparing import OF_DATA, Prepared, prepare
from snnc.profile import DEFAULT
from snnc.quantization import USUAL, Plan
from snnc.storage import stored_graph
from snnc.version import __version__

Warn = Callable[[Diagnostic], None]


@dataclass(frozen=True)
class Compiled:
    """The artifact, and what was said while making it."""

    artifact: Artifact
    diagnostics: tuple[Diagnostic, ...]


def compile_model(
    model: Path,
    out: Path,
    options: Options,
    report: Report = lambda *_: None,
    warn: Warn = lambda _: None,
) -> Compiled:
    """Compile a model file to an artifact folder, which appears whole or not at all.

    ``warn`` is told what few bits lose, before anything is written.

    Raises:
        CompileError: With every problem that was found; nothing is written then.
    """
    options = options.check()
    with AtomicFolder(out, options.force) as folder:
        prepared = prepare(model, options, report)
        if options.budget is not None:
            from snnc.mixed_precision import within  # it lowers, too: avoid the cycle

            prepared = within(prepared, parse_budget(options.budget), report)
        return write(prepared, folder, report, warn=warn)


def write(
    prepared: Prepared,
    folder: AtomicFolder,
    report: Report,
    check: Callable[[Graph], None] = lambda _: None,
    warn: Warn = lambda _: None,
) -> Compiled:
    """Lower a prepared model, emit its targets and publish the artifact.

    ``check`` sees the program, and ``warn`` what its bits lose, before anything is written.
    """
    graph, ctx, options, plan = prepared.graph, prepared.ctx, prepared.options, prepared.plan
    program, fakequant = lower(graph, options, ctx, report, plan)
    check(program)
    for diagnostic in losses(program, prepared):
        ctx.emit(diagnostic)
        warn(diagnostic)
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
    manifest = describe(program, prepared, written)
    folder.write(NAME, dump_manifest(manifest))
    folder.publish()
    size = sum(entry.size for entry in written.values())
    report("write", f"{len(files) + 1} files, {size / 1000:,.0f} kB", time.perf_counter() - start)
    return Compiled(Artifact(folder.target, manifest), tuple(ctx.diagnostics))


def lower(
    graph: Graph,
    options: Options,
    ctx: Context,
    report: Report,
    plan: Plan = USUAL,
    watching: Iterable[Observer] = (),
) -> tuple[Graph, Graph | None]:
    """Run the passes; returns the integer program and the float model with its weights."""

    def note(name: str, nodes: int, seconds: float) -> None:
        report(name, f"{nodes} operators", seconds)

    observers: list[Observer] = [Progress(note), *watching]
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


def describe(program: Graph, prepared: Prepared, files: Mapping[str, FileEntry]) -> Manifest:
    """The manifest of an artifact with these files."""
    options, ctx, loaded = prepared.options, prepared.ctx, prepared.loaded
    encoders = prepared.encoders
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
        warnings=_warnings(prepared),
        files=dict(sorted(files.items())),
        method=options.method,
        calibration=prepared.calibration or _used(ctx),
        input_bits=options.input_bits,
        choices={
            name: LayerChoiceEntry(**asdict(c)) for name, c in sorted(prepared.plan.layers.items())
        },
    )


def _warnings(prepared: Prepared) -> tuple[str, ...]:
    """What was warned of; what data have shown comes first, also if that was earlier."""
    found = [d for d in prepared.ctx.diagnostics if d.severity is Severity.WARNING]
    seen = [str(d) for d in found if d.code in OF_DATA]
    return (*prepared.said, *seen, *(str(d) for d in found if d.code not in OF_DATA))


def _used(ctx: Context) -> CalibrationEntry | None:
    """What the manifest says of the calibration data, if integers were chosen with them."""
    if ctx.calibration is None or not ctx.calibration.used:
        return None
    return CalibrationEntry(*ctx.calibration.source, ctx.calibration.samples)


def _stored(folder: str, graph: Graph) -> dict[str, Content]:
    text, tensors = stored_graph(graph)
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
    budget: str | None = None,
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
        budget=budget,
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
