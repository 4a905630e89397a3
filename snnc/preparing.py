"""From a model file and options to the graph that is lowered, and what goes with it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from snnc.artifact import Artifact, read_regular
from snnc.calibrate import calibrate, examples, unlike_example
from snnc.diagnostics import fail, stop_on_errors
from snnc.encoder_choice import EncoderChoice, parse_encoder
from snnc.graph import Graph
from snnc.loading import Loaded, load
from snnc.manifest import CalibrationEntry, Manifest
from snnc.ops import Input
from snnc.options import Options, Report
from snnc.passes.add_confidence import AddConfidence
from snnc.passes.base import Context, run_passes
from snnc.passes.encode_input import check_values, encode_inputs
from snnc.passes.end_layers import with_ends
from snnc.passes.kept_choices import FILE as CHOICES
from snnc.passes.kept_choices import KeptChoices, read_choices
from snnc.profile import DEFAULT, LOIHI, PROFILES
from snnc.quantization import USUAL, LayerChoice, Plan, read_plan

#: Warnings that follow from calibration data, which --reuse does without.
OF_DATA = ("W332", "W334", "W421", "W339", "W342", "W344")


@dataclass(frozen=True)
class Prepared:
    """A model that is read and encoded.

    Attributes:
        graph: In real numbers, with its encoders.
        loaded: What was read.
        options: With the profile, and what an earlier artifact says.
        plan: How integers of weights are chosen.
        ctx: For the passes.
        encoders: In front of inputs.
        calibration: What an earlier artifact was chosen with.
        said: What it warned of after looking at those data.
    """

    graph: Graph
    loaded: Loaded
    options: Options
    plan: Plan
    ctx: Context
    encoders: tuple[EncoderChoice, ...]
    calibration: CalibrationEntry | None = None
    said: tuple[str, ...] = ()


def prepare(model: Path, options: Options, report: Report = lambda *_: None) -> Prepared:
    """Read a model as checked options say.

    Raises:
        CompileError: With every problem that was found.
    """
    start = time.perf_counter()
    opened = (options.nir, options.onnx, options.lava_dl, options.shape, options.steps)
    loaded = load(model, options.module, *opened)
    options = replace(options, profile=_profile(options, loaded))
    earlier = None if options.reuse is None else Artifact.open(options.reuse)
    options = options if earlier is None else _as_earlier(options, earlier, loaded)
    plan = Plan(options.method, {} if earlier is None else choices_of(earlier.manifest))
    if options.config is not None:
        plan = read_plan(options.config, options.method)
    if plan != USUAL and PROFILES[options.profile or DEFAULT.name].exact:
        text = f"profile {options.profile!r} has a way of its own to choose integers"
        flags = ("--method", "--config") if earlier is None else ("--reuse",)
        raise fail("E330", text, help=f"leave {' and '.join(flags)} out")
    own = examples(loaded.graph)
    graph, encoders = encode_inputs(loaded.graph, map(parse_encoder, options.encode))
    data = None if options.calibration is None else calibrate(graph, options.calibration)
    reused = None if earlier is None else _reused(earlier, graph)
    stop_on_errors(check_values(graph, encoders))
    graph = run_passes(graph, [AddConfidence(kind) for kind in options.exit])
    plan = with_ends(plan, graph)
    report("read", f"{len(graph)} operators", time.perf_counter() - start)
    ctx = Context(list(loaded.diagnostics), calibration=data, reused=reused)
    if data is not None:
        ctx.diagnostics += unlike_example(loaded, own, graph, data)
    if earlier is None:
        return Prepared(graph, loaded, options, plan, ctx, encoders)
    made = earlier.manifest
    said = tuple(w for w in made.warnings if any(f"-{code}]" in w for code in OF_DATA))
    return Prepared(graph, loaded, options, plan, ctx, encoders, made.calibration, said)


def choices_of(manifest: Manifest) -> dict[str, LayerChoice]:
    """The choices by layer that an artifact was compiled with."""
    return {name: LayerChoice(c.method, c.bits, c.guard) for name, c in manifest.choices.items()}


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


def _as_earlier(options: Options, earlier: Artifact, loaded: Loaded) -> Options:
    """The options with the method and bits that an artifact of the same model has."""
    made = earlier.manifest
    if made.source.sha256 != loaded.source.sha256:
        text = f"the artifact of --reuse was compiled from {made.source.file}, of other content"
        raise fail("E333", text, help="give the same model")
    if CHOICES not in made.files:
        text = f"the artifact of --reuse needed no calibration data: method {made.method!r}"
        raise fail("E333", text, help="compile with the same options; nothing else is needed")
    for name in ("method", "bits", "input_bits", "calibration"):
        value = getattr(options, name)
        if value not in (getattr(Options, name), getattr(made, name)):
            flag = f"--{name.replace('_', '-')}"
            text = f"{flag} is {value}, but --reuse takes over what the artifact has"
            raise fail("E333", text, help=f"leave {flag} out")
    options = replace(options, method=made.method, bits=made.bits, input_bits=made.input_bits)
    return replace(options, max_steps=options.max_steps or made.max_steps or None)


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
