"""``snnc.finetune``: train the integers of a model, and write the artifact that has them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnc.artifact import Artifact
from snnc.atomic import AtomicFolder, check_place
from snnc.data import Data, load_data
from snnc.diagnostics import fail, stop_on_errors, warning
from snnc.driver import Compiled, write
from snnc.encode import encode_input
from snnc.finetuning.forms import Forms, check_words
from snnc.finetuning.goals import Goals, UserLoss
from snnc.finetuning.network import TrainableNetwork
from snnc.finetuning.training import Loss, Schedule, Training
from snnc.graph import Graph
from snnc.layers import input_table, output_table
from snnc.manifest import CalibrationEntry, InputEntry
from snnc.options import Options, Report
from snnc.preparing import Prepared, prepare
from snnc.progress import progress, stage

Array = npt.NDArray[Any]
Arrays = Array | Mapping[str, Array]

#: Samples of which every word of the artifact is compared with the trained network.
COMPARED = 64


def finetune_model(
    model: Path,
    out: Path,
    options: Options,
    data: Path,
    *,
    targets: Array | None = None,
    schedule: Schedule | None = None,
    loss: UserLoss | None = None,
    checkpoint: Path | None = None,
    report: Report = lambda *_: None,
) -> Compiled:
    """Train the integers that a compilation would choose, and write the artifact with them.

    The forward pass of training computes the words of the artifact; those of the trained network
    are compared with it before it is written.

    Args:
        model: The model file.
        out: Artifact folder, which appears whole or not at all.
        options: As for a compilation; ``method`` chooses what training starts from.
        data: Samples ``x``, and labels ``y``; without those, the network learns its own outputs
            in real numbers.
        targets: (N, …) in place of ``y``, for ``loss``.
        schedule: How to train.
        loss: Of real outputs and targets; if None, how far the first output's scores are from those
            in real numbers and from the labels, or without labels all outputs from real ones.
        checkpoint: File to continue from, written up to ten times and removed at the end.
        report: Called after every stage and epoch.

    Raises:
        CompileError: With every problem that was found; nothing is written then.
    """
    schedule = schedule or Schedule()
    stop_on_errors(schedule.check())
    if checkpoint is not None:
        check_place(checkpoint, model, data)
    options = replace(options.check(), calibration=options.calibration or data)
    with AtomicFolder(out, options.force) as folder:
        prepared = prepare(model, options, report)
        forms = Forms(prepared, report)
        entries = input_table(forms.proven, prepared.loaded.layouts, {})
        samples = load_data(data, entries)
        if not len(samples):
            raise fail("E421", f"{data.name} holds no samples to train with")
        inputs, steps = _integers(samples, entries, forms.proven)

        goals = Goals(prepared.graph, samples, targets, loss, steps)

        def goal() -> Loss:
            return goals.of(output_table(forms.proven, prepared.loaded.outputs))

        def renew(network: TrainableNetwork) -> tuple[TrainableNetwork, Loss]:
            return forms.renewed(network, steps), goal()

        key = _key(prepared, samples, targets, schedule, loss)
        training = Training(
            forms.network(steps), inputs, steps, goal(), schedule, renew, checkpoint, key
        )
        before, after = training.run(
            lambda e: report(f"epoch {e.number:.4g}/{e.of}", f"loss {e.loss:.4g}", e.seconds)
        )
        network = training.network
        trained = forms.with_integers(network)
        if after >= before:
            text = f"no epoch has a smaller loss than the start, {before:.4g}"
            why = "the integers are those that training started from"
            hint = "lower the rate, train longer, or give more data"
            trained.ctx.emit(warning("W339", text, None, why, help=hint))
        if training.frozen:
            text = "scales and constants of neurons stopped being trained before the end"
            why = "the model could not be lowered with what they had become; weights went on"
            trained.ctx.emit(warning("W344", text, None, why, help="lower the rate"))
        digest = hashlib.sha256(data.read_bytes()).hexdigest()
        entry = CalibrationEntry(data.name, digest, len(samples))
        some = {name: x[:COMPARED] for name, x in inputs.items()}
        check = partial(check_words, network, some, steps)
        compiled = write(replace(trained, calibration=entry), folder, report, check)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return compiled


def finetune(
    model: Path | str,
    out: Path | str,
    data: Path | str | tuple[Arrays, Array | None],
    *,
    bits: int = 8,
    target: str | Iterable[str] = "numpy",
    method: str = "gptq",
    config: Path | str | None = None,
    epochs: int = Schedule.epochs,
    batch: int = Schedule.batch,
    rate: float = Schedule.rate,
    seed: int = Schedule.seed,
    loss: UserLoss | None = None,
    checkpoint: Path | str | None = None,
    input_bits: int = 8,
    module: str | None = None,
    nir: str = "",
    onnx: str = "",
    shape: Iterable[int] = (),
    steps: int | None = None,
    encode: str | Iterable[str] = (),
    force: bool = False,
) -> Artifact:
    """Train the integers of a model file and compile it with them: see ``finetune_model``.

    ``snnc.compile(model, other, reuse=out, target=…)`` emits the same integers for other targets.

    Args:
        model: Of ``snnc.export``.
        out: Artifact to write.
        data: File with ``x`` and perhaps labels ``y``, or a pair of arrays; None for no labels.
        bits: Of a weight.
        target: Backends to emit.
        method: What chooses the integers that training starts from.
        config: ``snnc.toml``.
        epochs: How often each sample is seen.
        batch: Samples per step.
        rate: Most that a step changes a weight by, relative to the weights of its layer.
        seed: Of the order of samples.
        loss: Of real outputs by name, and the second array of ``data``; if None, how far the first
            output's scores are from those in real numbers and from the labels, or without labels
            all outputs from real ones.
        checkpoint: File to continue from after an interruption.
        input_bits: Of an input whose values show no grid.
        module: As for ``snnc.compile``, like ``nir``, ``onnx``, ``shape`` and ``steps``.
        nir: What a NIR file leaves open.
        onnx: What an ONNX file leaves open.
        shape: Of the input of a pickled module.
        steps: Time steps of a pickled module or ``.pt2`` file.
        encode: Encoders.
        force: Whether to replace an older artifact.

    Raises:
        CompileError: With every problem that was found; nothing is written then.
    """
    options = Options(
        targets=tuple(target.split(",")) if isinstance(target, str) else tuple(target),
        bits=bits,
        input_bits=input_bits,
        method=method,
        config=None if config is None else Path(config),
        module=module,
        nir=nir,
        onnx=onnx,
        shape=tuple(shape),
        steps=steps,
        encode=(encode,) if isinstance(encode, str) else tuple(encode),
        force=force,
    )

    def report(what: str, text: str, seconds: float) -> None:
        if what.startswith("epoch"):
            stage(f"{what}: {text}")

    with tempfile.TemporaryDirectory() as scratch, progress(0.0):
        targets = None
        if not isinstance(data, str | Path):
            if not isinstance(data, tuple | list) or len(data) != 2:
                hint = "give (x, y), or (x, None) without labels"
                raise fail("E421", "data are no file and no pair of arrays", help=hint)
            x, targets = data[0], None if data[1] is None else np.asarray(data[1])
            data = Path(scratch) / "samples.npz"
            arrays: dict[str, Any] = dict(x) if isinstance(x, Mapping) else {"x": np.asarray(x)}
            np.savez(data, **arrays)
        return finetune_model(
            Path(model),
            Path(out),
            options,
            Path(data),
            targets=targets,
            schedule=Schedule(epochs, batch, rate, seed),
            loss=loss,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            report=report,
        ).artifact


def _integers(
    samples: Data, entries: tuple[InputEntry, ...], program: Graph
) -> tuple[dict[str, Tensor], int]:
    """The integers of all samples, and T."""
    found = {e.name: encode_input(samples.dense[e.name], e)[0] for e in entries}
    counts = [found[e.name].shape[1] for e in entries if e.clock == "step"]
    steps = counts[0] if counts else program.steps
    if program.max_steps and steps > program.max_steps:
        text = f"ranges are proven for {program.max_steps} steps at most, the data have {steps}"
        raise fail("E421", text, help="train with shorter sequences")
    return {name: torch.from_numpy(x) for name, x in found.items()}, steps


def _key(
    prepared: Prepared,
    samples: Data,
    targets: Array | None,
    schedule: Schedule,
    loss: UserLoss | None,
) -> str:
    """What a checkpoint must have in common with the training that continues it."""
    options = replace(prepared.options, targets=(), calibration=None, config=None, force=False)
    told = (prepared.loaded.source.sha256, options, prepared.plan, schedule)
    digest = hashlib.sha256(repr(told).encode())
    digest.update(getattr(loss, "__qualname__", repr(type(loss))).encode())
    wanted = samples.labels if targets is None else targets
    for x in (*samples.dense.values(), *(() if wanted is None else (wanted,))):
        digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()
