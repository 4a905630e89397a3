"""C programs as contenders: the emitted network, and others with the same function ``bench``.

All of them are shared libraries with ``int bench(x, samples, steps, scores)``; scores are as the
program has them, of the type that ``bench_type`` says.
"""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples.benchmarks.c_speed.case import Array, Run

SOURCES = ("snn.c", "weights.c", "info.c")
DRIVER = Path(__file__).parent / "driver.c"


@dataclass(frozen=True)
class Build:
    """A way to compile C."""

    title: str
    flags: tuple[str, ...]
    compiler: str = "gcc"


PORTABLE = Build("snnc -O2", ("-std=c99", "-O2"))
NATIVE = Build("snnc -O3 native", ("-std=c99", "-O3", "-march=native", "-DSNN_SIMD=0"))
VECTORS = Build("snnc vectors", ("-std=c99", "-O3", "-march=native", "-mprefer-vector-width=512"))
#: All steps of a sample in one call, ``snn_run``, instead of step after step.
PORTABLE_RUN = Build("snnc -O2 run", (*PORTABLE.flags, "-DRUN"))
VECTORS_RUN = Build("snnc vectors run", (*VECTORS.flags, "-DRUN"))


def compile_library(
    place: Path, build: Build, sources: list[Path], name: str, headers: Path | None = None
) -> ctypes.CDLL:
    """Compile and load a shared library ``name``."""
    target = place / f"{name}.so"
    line = [build.compiler, *build.flags, "-fPIC", "-shared", f"-I{headers or place}"]
    subprocess.run([*line, *map(str, sources), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def library_run(
    library: ctypes.CDLL,
    x: npt.NDArray[np.uint8],
    outputs: int,
    steps: int,
    dtype: type | str = np.int64,
) -> Run:
    """Samples through ``bench``; every call of the result writes to the same memory."""
    library.bench.restype = ctypes.c_int
    frames, scores = np.ascontiguousarray(x), np.zeros((len(x), outputs), dtype)

    def run(first: int, count: int) -> Array:
        status = library.bench(
            frames[first : first + count].ctypes.data_as(ctypes.c_void_p),
            ctypes.c_uint32(count),
            ctypes.c_uint32(steps),
            scores[first:].ctypes.data_as(ctypes.c_void_p),
        )
        if status:
            raise RuntimeError("the emitted network refused a frame")
        return scores[first : first + count]

    return run


def emitted_run(
    folder: Path, build: Build, x: npt.NDArray[np.uint8], outputs: int, steps: int, place: Path
) -> Run:
    """The folder that ``snnc compile`` wrote, as it is; what gcc makes of it goes to ``place``."""
    name = "bench-" + build.title.replace(" ", "-")
    sources = [*(folder / n for n in SOURCES), DRIVER]
    library = compile_library(place, build, sources, name, folder)
    kind = library.bench_type()
    return library_run(library, x, outputs, steps, f"{'u' if kind > 0 else 'i'}{abs(kind)}")
