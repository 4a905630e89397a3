"""``snnc board``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from snnc.artifact import Artifact
from snnc.atomic import AtomicFolder
from snnc.commands.options import binning_of, common, event_options, pass_console
from snnc.console import Console, visible
from snnc.data import load_data
from snnc.diagnostics import fail


@click.command("board")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--backend", required=True, metavar="c:MACHINE", help="Which, e.g. c:cortex-m4.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help=".npy or .npz: x.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="New folder.")
@click.option("--samples", type=click.IntRange(1), default=3, show_default=True, help="How many.")
@click.option("--steps", type=click.IntRange(1), help="Time steps, if the input is static.")
@click.option("--run", is_flag=True, help="Build it, compare its memory, and run it in QEMU.")
@event_options
@common
@pass_console
def board_command(
    console: Console,
    /,
    folder: Path,
    backend: str,
    data: Path,
    out: Path,
    samples: int,
    steps: int | None,
    run: bool,
    **events: Any,
) -> None:
    """Write a project for a bare board: network, start-up code, linker script, samples of data.

    Its program compares every output with the definition: in QEMU by `make run`, or on a board
    whose addresses are put into board.ld.
    """
    from snnc.backends.c.board import Samples, board_project
    from snnc.backends.c.machines import find_machine
    from snnc.content import parts_of

    artifact = Artifact.open(folder)
    family, _, name = backend.partition(":")
    if family != "c" or name in ("", "host"):
        text = f"{backend} is no target with a board"
        raise fail("E002", text, help="say c:cortex-m0, c:cortex-m4 or c:riscv32")
    machine = find_machine(name)
    artifact.check_backend(backend)
    loaded = load_data(data, artifact.manifest.inputs, binning=binning_of(**events)).first(samples)
    encoded, found = artifact.encode_data(loaded)
    count = artifact.steps_of(encoded, steps)
    console.report(*loaded.diagnostics, *found, *artifact.check_steps(count))
    outputs, words = artifact.simulator.run(encoded, count, artifact.simulator.words())
    files = board_project(artifact.graph(), machine, Samples(encoded, outputs, words, count))
    with AtomicFolder(out) as target:
        for path, content in files.items():
            target.write(path, parts_of(content))
        target.publish()
    predicted = json.loads(b"".join(parts_of(files["snn/memory.json"])))["sections"]
    console.say(f"{visible(str(out))}: {len(loaded)} samples of {count} steps for {machine.name}")
    console.result = {"project": str(out), "machine": name, "samples": len(loaded), "steps": count}
    console.result["predicted"] = predicted
    if run:
        _run(console, out, name, predicted)
    else:
        console.say(f"  predicted  flash {predicted['.rodata']:,} B of tables and the code")
        console.say(f"             RAM {predicted['.bss']:,} B and the stack")
        console.say(f"  next       make -C {visible(str(out))} run")


def _run(console: Console, out: Path, name: str, predicted: dict[str, int]) -> None:
    from snnc.backends.c.board_run import build, emulate, section_sizes
    from snnc.backends.c.machines import MACHINES

    sizes = section_sizes(build(out, MACHINES[name]))
    rows = [
        ("code", "flash", "", f"{sizes['.snn.text']:,}"),
        ("tables", "flash", f"{predicted['.rodata']:,}", f"{sizes['.snn.rodata']:,}"),
        ("variables", "RAM", f"{predicted['.bss']:,}", f"{sizes['.snn.bss']:,}"),
    ]
    console.table(("network", "where", "predicted", "linked"), rows)
    equal, text = emulate(out / "firmware.elf", MACHINES[name])
    console.say(f"  in QEMU    {visible(text.strip())}")
    console.result |= {"linked": sizes, "equal": equal}
    for section in (".rodata", ".bss"):
        if sizes[f".snn{section}"] != predicted[section]:
            text = f"{section} has {sizes[f'.snn{section}']} bytes, not {predicted[section]}"
            raise fail("E413", text, help="report it: the prediction is a fault of snnc")
    if not equal:
        why = f"it printed: {text.strip()[-300:]}"
        raise fail("E413", f"the program on {name} differs from the definition", None, why)
