"""A project for a bare board: the network with samples of data, to be run by an emulator.

``main.c`` feeds the samples and compares every output with those of the definition; built with
``-DSNN_TRACE`` it also hashes every spike and every state after every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnc.backends.base import Arrays
from snnc.backends.c.layout import Files, library_files, runtime
from snnc.backends.c.machines import Machine
from snnc.backends.c.network import Network
from snnc.backends.c.tables import definition
from snnc.backends.c.words import index_type
from snnc.backends.c.writer import CWriter
from snnc.graph import Graph, Node

Ints = npt.NDArray[Any]


@dataclass(frozen=True)
class Samples:
    """What the definition says.

    Attributes:
        inputs: Integers by name, (N, T, …) or (N, …).
        outputs: By name, as ``Simulator.run`` gives them.
        words: Likewise; all spikes and states.
        steps: T.
    """

    inputs: Arrays
    outputs: Arrays
    words: Arrays
    steps: int

    @property
    def count(self) -> int:
        """N."""
        return len(next(iter(self.outputs.values())))


def board_project(graph: Graph, machine: Machine, samples: Samples) -> Files:
    """Files of the project; the network lies in ``snn/``."""
    net = Network(graph, machine)
    files: Files = {f"snn/{name}": text for name, text in library_files(net).items()}
    is_arm = machine.compiler.startswith("arm")
    files["board.c"] = runtime("board_arm.c" if is_arm else "board_riscv.c")
    files["board.h"] = runtime("board.h")
    values = {
        "FLASH_ORIGIN": hex(machine.flash[0]),
        "FLASH_LENGTH": hex(machine.flash[1]),
        "RAM_ORIGIN": hex(machine.ram[0]),
        "RAM_LENGTH": hex(machine.ram[1]),
        "ENTRY": "reset" if is_arm else "board_start",
        "COMPILER": machine.compiler,
        "FLAGS": " ".join(machine.flags),
        "EMULATOR": " ".join(machine.emulator),
    }
    files["board.ld"] = _filled(runtime("board.ld"), values)
    files["Makefile"] = _filled(runtime("board.mk"), values)
    files["main.c"] = runtime("board_main.c").replace("@PLAY@", _play(net, samples))
    files["samples.h"], files["samples.c"] = _samples(net, samples)
    return dict(sorted(files.items()))


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _events(net: Network) -> Node | None:
    """The input whose samples are stored as events."""
    node = net.calls.event_input
    return node if node is not None and net.plan.value(node.name).is_spikes else None


def _samples(net: Network, samples: Samples) -> tuple[str, str]:
    """``samples.h`` and ``samples.c``."""
    arrays: list[tuple[str, str, Ints]] = []
    events = _events(net)
    for i, node in enumerate(net.inputs):
        x = np.asarray(samples.inputs[node.name], np.int64)
        if node is events:
            flat = x.reshape(-1, node.type.size)
            first = np.concatenate([[0], np.cumsum(flat.sum(1))])
            arrays.append((f"input_{i}_first", "uint32_t", first))
            ids = np.append(np.nonzero(flat)[1], 0)  # C has no empty arrays
            arrays.append((f"input_{i}_ids", index_type(node.type.size), ids))
        else:
            arrays.append((f"input_{i}", net.plan.value(node.name).ctype, x))
    for i, node in enumerate(net.outputs):
        y = np.asarray(samples.outputs[node.name], np.int64)
        arrays.append((f"output_{i}", net.plan.value(node.name).ctype, y))
    arrays.append(("word_hash", "uint32_t", _hashes(net, samples)))
    head = ["#ifndef SAMPLES_H", "#define SAMPLES_H", "", "#include <stdint.h>", ""]
    head += [f"#define SAMPLES {samples.count}u", f"#define STEPS {samples.steps}u", ""]
    head += [f"extern const {ctype} {name}[{a.size}];" for name, ctype, a in arrays]
    body = ['#include "samples.h"\n', *(definition(name, c, a) for name, c, a in arrays)]
    return "\n".join([*head, "", "#endif", ""]), "\n".join(body)


def _hashes(net: Network, samples: Samples) -> Ints:
    """FNV-1a over the low 32 bits of all words: loop by loop, step by step, word by word."""
    found = []
    for n in range(samples.count):
        seen = 2166136261
        for loop in range(1, net.graph.phases + 1):
            rows = [
                samples.words[w.name][n].reshape(-1, w.buffer.size)
                for w in net.words
                if w.loop == loop
            ]
            if rows:
                for value in np.concatenate(rows, 1).reshape(-1).tolist():
                    seen = ((seen ^ (value & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
        found.append(seen)
    return np.array(found, np.int64)


def _play(net: Network, samples: Samples) -> str:
    """Arrays for outputs, and ``play``: feed one sample, compare its outputs."""
    w, events = CWriter(), _events(net)
    lengths = {n.name: samples.outputs[n.name][0].size for n in net.outputs}
    for i, node in enumerate(net.outputs):
        size = node.type.size if node in net.sequences else lengths[node.name]
        w(f"static {net.plan.value(node.name).ctype} y{i}[{size}];")
    w("")
    with w.block("static int play(uint32_t s)"):
        listed = ", ".join(
            f"input_{net.inputs.index(n)} + s * {n.type.size}u" for n in net.static_inputs
        )
        w(f"if (snn_begin({listed}) != SNN_OK) {{ return 2; }}")
        with w.block("for (uint32_t t = 0u; t < STEPS; t++)"):
            w("const uint32_t k = s * STEPS + t;", "(void)k;")
            if events is not None:
                i = net.inputs.index(events)
                at = f"input_{i}_ids + input_{i}_first[k]"
                w(f"const uint32_t count = input_{i}_first[k + 1u] - input_{i}_first[k];")
                w(f"if (snn_step_events({at}, count) != SNN_OK) {{ return 3; }}")
            else:
                frames = ", ".join(
                    f"input_{net.inputs.index(n)} + k * {n.type.size}u" for n in net.step_inputs
                )
                w(f"if (snn_step({frames}) != SNN_OK) {{ return 3; }}")
            w("#ifdef SNN_TRACE", "hash_words(1u, t);", "#endif")
            if net.sequences:
                _sequences(w, net)
        w(f"if (snn_finish({_names(net, net.finals)}) != SNN_OK) {{ return 5; }}")
        for node in net.finals:
            i, size = net.outputs.index(node), lengths[node.name]
            w(_compare(i, size, f"s * {size}u"))
        w("return 0;")
    return w.text


def _sequences(w: CWriter, net: Network) -> None:
    w(f"if (snn_sequence({_names(net, net.sequences)}) != SNN_OK) {{ return 4; }}")
    for node in net.sequences:
        i, size, start = net.outputs.index(node), node.type.size, net.start_of(node)
        late = f"if (t >= {start}u) " if start else ""
        w(late + _compare(i, size, f"(s * (STEPS - {start}u) + t - {start}u) * {size}u"))


def _names(net: Network, nodes: list[Node]) -> str:
    return ", ".join(f"y{net.outputs.index(n)}" for n in nodes)


def _compare(i: int, size: int, at: str) -> str:
    loop = f"for (uint32_t i = 0u; i < {size}u; i++)"
    return f"{loop} {{ if (y{i}[i] != output_{i}[{at} + i]) {{ return 1; }} }}"
