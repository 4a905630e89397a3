"""Lower the model of an artifact once more, to know what its integers stand for.

An artifact holds integers; what each was rounded from is known only while they are chosen.  The
same choices give the same program, which is compared with the artifact's.
"""

from __future__ import annotations

from snnc.artifact import Artifact, read_regular
from snnc.diagnostics import CompileError
from snnc.driver import lower
from snnc.manifest import Manifest
from snnc.options import Options
from snnc.passes.base import Context
from snnc.passes.kept_choices import FILE as CHOICES
from snnc.passes.kept_choices import read_choices
from snnc.preparing import choices_of
from snnc.profile import PROFILES
from snnc.quantization import Plan
from snnc.storage import dump_graph


def options_of(manifest: Manifest) -> Options:
    """The options of an artifact that decide about integers."""
    return Options(
        targets=manifest.targets,
        bits=manifest.bits,
        input_bits=manifest.input_bits,
        method=manifest.method,
        profile=manifest.profile,
        max_steps=manifest.max_steps or None,
    )


def plan_of(manifest: Manifest) -> Plan:
    """How an artifact's integers of weights were chosen."""
    return Plan(manifest.method, choices_of(manifest))


def relower(artifact: Artifact) -> Context | None:
    """What passes learned when the artifact was compiled.

    None if that cannot be repeated: a profile that is exact by itself, integers that were trained.
    """
    manifest = artifact.manifest
    if PROFILES[manifest.profile].exact:
        return None
    ctx = Context()
    if CHOICES in manifest.files:
        ctx.reused = read_choices(read_regular(artifact.folder, CHOICES), artifact.graph())
    try:
        program, _ = lower(
            artifact.model(), options_of(manifest), ctx, lambda *_: None, plan_of(manifest)
        )
    except CompileError:
        return None
    return ctx if dump_graph(program) == dump_graph(artifact.graph()) else None
