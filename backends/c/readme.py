"""``README.txt`` of an emitted folder."""

from __future__ import annotations

from importlib import resources
from math import prod

from snnc.backends.c import names
from snnc.backends.c.memory import memory_text, total_memory
from snnc.backends.c.network import Network


def host_readme(net: Network) -> str:
    """For the flat folder with a host program."""
    return _filled(net, "README.txt").replace("@BLOCKS@", _blocks(net))


def board_readme(net: Network) -> str:
    """For the library of a microcontroller."""
    text = _filled(net, "README-board.txt").replace("@MACHINE@", net.machine.summary)
    return text.replace("@MEMORY@", memory_text(net))


def _blocks(net: Network) -> str:
    """What ``snn_run`` does."""
    stages = net.blocks.stages
    if not stages.steps:
        return (
            "snn_run takes step after step, since no dense layer here is both large\n"
            "enough and outside of feedback."
        )
    return (
        f"snn_run takes blocks of {stages.steps} steps, layer after layer. Each of the\n"
        f"{len(stages.dense)} dense layer(s) outside of feedback adds the spikes of a whole block\n"
        "while its weights are in the cache; what has feedback runs step by step."
    )


def _filled(net: Network, name: str) -> str:
    folder = resources.files("snnc.backends.c") / "runtime"
    text = (folder / name).read_text(encoding="utf-8")
    ports = []
    for kind, nodes in (("in ", net.inputs), ("out", net.outputs)):
        for n in nodes:
            shape = "x".join(map(str, n.type.shape)) or "1"
            ctype = net.plan.value(n.name).ctype
            what = f"{ctype}[{prod(n.type.shape)}]  {shape}  {n.type}"
            ports.append(f"  {kind} {net.plan.label(n)}: {what}  {names.escaped(n.name)}")
    return (
        text.replace("@NAME@", names.escaped(net.graph.name))
        .replace("@PORTS@", "\n".join(ports))
        .replace("@STATIC@", str(total_memory(net).bss))
        .replace("@CONSTANT@", str(total_memory(net).rodata))
    )
