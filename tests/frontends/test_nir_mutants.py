"""Damaged NIR files: a graph or coded diagnostics, never a traceback.

Bytes are changed at random, and nodes of good networks: what is read then must run and compile, or
be refused.  The mutants of bytes run one after the other in a process with a limit on processor
time for each, as the reader's own child has; the process is started again behind a mutant on which
libhdf5 loops.
"""

from __future__ import annotations

import copy
import json
import math
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError, Severity
from snnc.frontends.from_nir import read_bytes
from snnc.frontends.nir_options import NirOptions
from snnc.ops import Input
from snnc.passes.base import run_passes
from snnc.passes.pipeline import integer_pipeline
from tests.nirfiles import chain_of, read, write_nir
from tests.nirstyles import VALID, Style, write

#: What a damaged parameter may be.
VALUES: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 1 << 31, 1 << 62, -(1 << 62), 0.5, 1e-300, 1e308, -1e308, float("nan"),
    "", "same", "x", True, False, np.zeros(0), np.zeros((0, 4)), np.ones(7), np.ones((2, 3)),
    np.ones((1, 1, 1, 1)), np.full(4, 1e30), np.arange(-2, 2), np.ones((4, 4, 4)),
    np.array([1e-3, 2e-3, 0, -1]), np.ones((1,) * 9),
)  # fmt: skip
FIELDS = ("padding", "stride", "groups", "start_dim", "delay", "bias", "tau", "r", "shape", "spare")
KINDS = (
    "LIF", "LI", "CubaLIF", "IF", "I", "Conv1d", "Conv2d", "Affine", "Linear", "Scale", "Delay",
    "Flatten", "SumPool2d", "Threshold", "Input", "Output", "NIRNode",
)  # fmt: skip

ROOT = Path(__file__).parents[2]
_RUN = "import sys; from tests.frontends.test_nir_mutants import work; work(*sys.argv[1:])"


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, set bytes and words, copy runs, cut."""
    d = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        i = rng.randrange(len(d) if rng.random() < 0.5 else min(len(d), 4000))
        match rng.randrange(5):
            case 0:
                d[i] ^= 1 << rng.randrange(8)
            case 1:
                d[i] = rng.choice((0, 255, 127, 128, 1))
            case 2:
                d[i : i + 4] = b"\xff\xff\xff\x7f"
            case 3:
                d[i : i + 8] = bytes(8)
            case _:
                j = rng.randrange(len(d))
                d[i : i + 16] = d[j : j + 16]
    return bytes(d[: rng.randrange(len(d))] if rng.random() < 0.1 else d)


def work(folder: str, first: str, last: str) -> None:
    """Read mutants ``first`` to ``last`` - 1, with one line for each."""
    files = [p.read_bytes() for p in sorted(Path(folder).glob("*.nir"))]
    options = asdict(NirOptions())
    for seed in range(int(first), int(last)):
        rng = random.Random(seed)
        data = mutate(rng.choice(files), rng)
        print(seed, end=" ", flush=True)  # noqa: T201
        signal.setitimer(signal.ITIMER_VIRTUAL, 2.0)
        try:
            read_bytes(data, "mutant.nir", options)
            word = "read"
        except CompileError as e:
            found = {d.code for d in e.diagnostics if d.severity is Severity.ERROR}
            word = "+".join(sorted(found))
        except MemoryError:
            word = "memory"
        except Exception as e:  # what the campaign is after
            word = json.dumps(f"!{type(e).__name__}: {e}")
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        print(word, flush=True)  # noqa: T201


def campaign(folder: Path, count: int) -> Counter[str]:
    """What became of so many mutants of the files in ``folder``."""
    found: Counter[str] = Counter()
    seed = 0
    while seed < count:
        line = [sys.executable, "-c", _RUN, str(folder), str(seed), str(count)]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        finished = [entry for entry in lines if " " in entry.rstrip()]
        found.update(entry.partition(" ")[2] for entry in finished)
        seed += len(finished)
        if seed < count:
            assert done.returncode in (-signal.SIGVTALRM, -signal.SIGSEGV, -signal.SIGBUS), done
            found[signal.Signals(-done.returncode).name] += 1
            seed += 1
    return found


def samples(folder: Path) -> Path:
    """Small files of several shapes."""
    rng = np.random.default_rng(0)
    lif = {"type": "LIF", "tau": np.full(3, 0.02), "v_threshold": np.ones(3), "v_leak": 0.0}
    affine = {"type": "Affine", "weight": rng.normal(size=(3, 4)), "bias": np.zeros(3)}
    conv = {"type": "Conv2d", "weight": rng.normal(size=(2, 1, 3, 3)), "bias": np.zeros(2)}
    flat = {"type": "Flatten", "start_dim": 0, "end_dim": -1}
    write_nir(folder / "a.nir", *chain_of((4,), affine, lif, out=(3,)))
    write_nir(folder / "b.nir", *chain_of((1, 5, 5), conv, flat, out=(18,)))
    cuba = {"type": "CubaLIF", "tau_mem": 0.02, "tau_syn": 0.01, "v_threshold": 1.0}
    ports = {"in": {"type": "Input", "shape": [3]}, "out": {"type": "Output", "shape": [3]}}
    loop = {**ports, "lif": cuba, "rec": {"type": "Linear", "weight": np.eye(3)}}
    edges = [("in", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "out")]
    hidden = {"type": "NIRGraph", "nodes": loop, "edges": edges}
    write_nir(folder / "c.nir", *chain_of((3,), hidden, out=(3,)))
    return folder


def check(found: Counter[str], count: int) -> None:
    assert sum(found.values()) == count
    assert not [word for word in found if word.startswith('"!')], found
    assert found["read"] < count  # some damage was found
    assert found["SIGVTALRM"] < count // 20


def changed(style: Style, rng: random.Random) -> Style:
    """Other parameters, kinds and edges, and fewer of them."""
    nodes, edges = copy.deepcopy(dict(style.nodes)), list(style.edges)
    for _ in range(rng.choice((1, 1, 2, 3))):
        node = nodes[rng.choice(list(nodes))]
        if node["type"] == "NIRGraph":
            node = node["nodes"][rng.choice(list(node["nodes"]))]
        names = [k for k in node if k not in ("type", "nodes", "edges")]
        match rng.choices(range(6), (5, 9, 1, 2, 2, 1))[0]:
            case 0 if names:
                del node[rng.choice(names)]
            case 1 if names:
                node[rng.choice(names)] = rng.choice(VALUES)
            case 2 if node["type"] != "NIRGraph":
                node["type"] = rng.choice(KINDS)
            case 3:
                edges.append((rng.choice(list(nodes)), rng.choice(list(nodes))))
            case 4 if edges:
                edges.pop(rng.randrange(len(edges)))
            case _:
                node[rng.choice(FIELDS)] = rng.choice(VALUES)
    return replace(style, nodes=nodes, edges=edges)


def used(path: Path, options: str) -> str:
    """Read a file, run and compile what it holds."""
    try:
        graph = read(path, options).graph
    except CompileError:
        return "refused"
    if max(math.prod(n.type.shape) for n in graph) < 1 << 16:
        inputs = {n.name: n.type.shape for n in graph if isinstance(n.op, Input)}
        with np.errstate(all="ignore"):  # large weights are the user's business
            FloatSimulator(graph).run({k: np.zeros((1, 2, *s)) for k, s in inputs.items()})
    try:
        run_passes(graph, integer_pipeline())
    except CompileError:
        return "not compiled"
    return "compiled"


def structural(folder: Path, seeds: range) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in seeds:
        rng = random.Random(seed)
        style = VALID[rng.choice(list(VALID))]
        found[used(write(folder / "m.nir", changed(style, rng)), style.options)] += 1
    return found


def test_changed_networks_are_refused_or_run(tmp_path: Path) -> None:
    found = structural(tmp_path, range(100))
    assert min(found["refused"], found["compiled"]) > 10


@pytest.mark.slow
def test_many_changed_networks(tmp_path: Path) -> None:
    found = structural(tmp_path, range(1_000_000, 1_003_000))
    assert min(found["refused"], found["compiled"]) > 300


def test_mutants(tmp_path: Path) -> None:
    check(campaign(samples(tmp_path), 60), 60)


@pytest.mark.slow
def test_many_mutants(tmp_path: Path) -> None:
    check(campaign(samples(tmp_path), 20_000), 20_000)
