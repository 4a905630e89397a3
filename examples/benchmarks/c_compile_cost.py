"""What it costs to compile a large network to C: processor seconds and peak memory of every stage.

The network is an MLP of three layers with random weights, one of them three quarters of all; with
``--deep`` of ten equal ones.  ``quantize + emit`` are all passes from the real graph to C text;
``emit`` alone starts from the integer program, as it lies in an artifact; ``gcc`` compiles
weights.c, in which large tables are string literals.  With ``--file``, a model file of float32
weights is compiled as ``snnc compile`` does it: ``read`` makes the real graph of the file, ``passes
+ emit`` all that follows but ``write``, which hashes and stores the artifact: the model, its
integers, and the model with quantized weights.  With ``--route``, that file is what a torch module
is exported to.  Every stage runs in a process of its own, so that peaks do not add up; that of
the last line is of all stages of ``snnc compile``.

Usage:
    python -m examples.benchmarks.c_compile_cost              10 million weights
    python -m examples.benchmarks.c_compile_cost 100 --emit   100 million, only from integers on
    python -m examples.benchmarks.c_compile_cost 100 --file   from a model file to an artifact
    python -m examples.benchmarks.c_compile_cost --route      from a torch module to an artifact
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from snnc.backends.c.backend import CBackend
from snnc.container import LoadedModel, write_model
from snnc.graph import Graph
from snnc.intops import IntInput, IntLinear, IntNeuron, IntOutput, IntTimeSum
from snnc.kernel import Const, Kernel, Line, State
from snnc.ops import Input, Linear, Neuron, Output, TimeSum
from snnc.params import Param
from snnc.passes.base import Context, run_passes
from snnc.passes.pipeline import integer_pipeline
from snnc.passes.prove_ranges import ProveRanges
from snnc.types import FLOAT32, Clock, TensorType


def sizes(millions: float, deep: bool = False) -> list[int]:
    """Widths of an MLP with so many weights."""
    if deep:
        return [int((millions * 1e5) ** 0.5)] * 11 + [10]
    n = int((millions * 1e6) ** 0.5)
    return [n // 4, n, n - n // 4, 10]


def leaky(decay: str, theta: Param, *scaled: Line) -> Kernel:
    """A neuron with leak and reset by subtraction; ``scaled`` are the lines of ``decay``."""
    body = (
        *scaled,
        Line("u", "add", (decay, "i")),
        Line("s", "ge", ("u", "theta")),
        Line("r", "mul", ("s", "theta")),
        Line("w", "sub", ("u", "r")),
    )
    half = Param(np.array(0.5) if theta.data.dtype.kind == "f" else np.array(1 << 15))
    zero = Param(np.array(0, theta.data.dtype))
    consts = (Const("a", half), Const("theta", theta))
    return Kernel(("i",), (State("v", "w", zero),), consts, body, ("s",))


def real(widths: list[int]) -> Graph:
    """The network in real numbers."""
    rng, g = np.random.default_rng(0), Graph("large", 16)
    kernel = leaky("d", Param(np.array(1.0)), Line("d", "mul", ("a", "v")))
    value = g.add("x", Input(TensorType((widths[0],), FLOAT32, Clock.STEP), 0.0, 1.0, 1.0)).name
    for i, (fan_in, out) in enumerate(pairwise(widths)):
        w = rng.standard_normal((out, fan_in), np.float32) / np.float32(fan_in**0.5)
        value = g.add(f"fc{i}", Linear(Param.taking(w), None), value).name
        value = g.add(f"lif{i}", Neuron(kernel, (out,)), value).name
    g.add("count", TimeSum(), value)
    g.add("out", Output(), "count")
    return g


def integer(widths: list[int]) -> Graph:
    """The network in integers, with proven ranges."""
    rng, g = np.random.default_rng(0), Graph("large", 16)
    lines = (Line("m", "mul", ("a", "v")), Line("d", "rsh", ("m",), 16, "half_away"))
    kernel = leaky("d", Param(np.array(500)), *lines)
    value = g.add("x", IntInput((widths[0],), Clock.STEP, 0, 1, 1.0)).name
    for i, (fan_in, out) in enumerate(pairwise(widths)):
        w = rng.integers(-127, 128, (out, fan_in), np.int8)
        value = g.add(f"fc{i}", IntLinear(Param(w)), value).name
        del w
        value = g.add(f"lif{i}", IntNeuron(kernel, (out,)), value).name
    g.add("count", IntTimeSum(), value)
    g.add("out", IntOutput(Param(np.array(1.0))), "count")
    return run_passes(g, [ProveRanges(64)], Context())


def stage(name: str, widths: list[int], folder: Path) -> None:
    """Run a stage in this process and print what it took."""
    if name == "file":
        write_model(folder / "model.pt", LoadedModel(real(widths), {}))
        return
    graph = real(widths) if name == "quantize" else integer(widths)
    start = time.process_time()
    if name == "quantize":
        graph = run_passes(graph, integer_pipeline(), Context())
    CBackend().compile(graph).write(folder)
    show("quantize + emit" if name == "quantize" else name, start)


def route(name: str, widths: list[int], folder: Path) -> None:
    """Export a torch module, or compile what was exported, and print what that took."""
    start = time.process_time()
    if name == "export":
        exported(widths, folder / "model.pt")
        show("export", start, "torch included")
        return
    from snnc.atomic import AtomicFolder
    from snnc.driver import write
    from snnc.options import Options
    from snnc.preparing import prepare

    show("import", start)
    start = time.process_time()
    prepared = prepare(folder / "model.pt", Options(targets=("c",)).check())
    show("read", start, f"{(folder / 'model.pt').stat().st_size / 1e6:.0f} MB")
    emitted = 0.0

    def report(stage: str, *_: object) -> None:
        nonlocal emitted
        if stage.startswith("emit"):
            show(f"passes + {stage}", start)
            emitted = time.process_time()

    start = time.process_time()
    with AtomicFolder(folder / "net", force=False) as target:
        write(prepared, target, report)
    show("write", emitted)


def exported(widths: list[int], path: Path) -> None:
    """Write a torch module with so many weights."""
    import torch
    from torch import Tensor, nn

    import snnc

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))

        def forward(self, x: Tensor) -> Tensor:
            v = [torch.zeros(len(x), n) for n in widths[1:]]
            count = torch.zeros(len(x), widths[-1])
            for t in range(x.shape[1]):
                s = x[:, t]
                for i, layer in enumerate(self.layers):
                    v[i] = 0.5 * v[i] + layer(s)
                    s = (v[i] >= 1.0).float()
                    v[i] = v[i] - s
                count = count + s
            return count

    torch.manual_seed(0)
    example = (torch.rand(1, 4, widths[0]) < 0.1).float()
    snnc.export(Large().eval(), example, path, time_axis=1)


def show(name: str, start: float, note: str = "") -> None:
    """Print the processor seconds since ``start`` and the peak of memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    text = f"{name:16} {time.process_time() - start:6.2f} s  {peak:6.0f} MiB"
    print(f"{text}  ({note})" if note else text, flush=True)


def gcc(folder: Path) -> None:
    """Compile the tables."""
    line = ["gcc", "-std=c99", "-O2", "-c", "weights.c", "-o", "weights.o"]
    process = subprocess.Popen(line, cwd=folder)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, "gcc failed"
    seconds = used.ru_utime + used.ru_stime
    size = (folder / "weights.c").stat().st_size / 1e6
    print(
        f"{'gcc weights.c':16} {seconds:6.2f} s  {used.ru_maxrss / 1024:6.0f} MiB  ({size:.0f} MB)"
    )


def main() -> None:
    """Print a line for every stage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("millions", type=float, nargs="?", default=10)
    parser.add_argument("--emit", action="store_true", help="only from the integer program on")
    parser.add_argument("--file", action="store_true", help="from a model file to an artifact")
    parser.add_argument("--route", action="store_true", help="from a torch module to an artifact")
    parser.add_argument("--deep", action="store_true", help="ten equal layers")
    parser.add_argument("--stage", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        name, folder = args.stage
        run = route if name in ("export", "compile") else stage
        run(name, sizes(args.millions, args.deep), Path(folder))
        return
    groups = [("quantize",), ("emit",)]
    if args.emit:
        groups = [("emit",)]
    if args.file or args.route:
        groups = [("file" if args.file else "export", "compile")]
    line = [sys.executable, "-m", "examples.benchmarks.c_compile_cost", str(args.millions)]
    for group in groups:
        with tempfile.TemporaryDirectory() as folder:
            for name in group:
                gcc_after([*line, *(["--deep"] if args.deep else [])], name, folder)


def gcc_after(line: list[str], name: str, folder: str) -> None:
    """A stage in a process of its own, then the compiler; gcc only once, after ``emit``."""
    subprocess.run([*line, "--stage", name, folder], check=True)
    if name == "emit":
        gcc(Path(folder))


if __name__ == "__main__":
    main()
