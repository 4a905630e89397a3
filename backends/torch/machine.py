"""C functions built by the compiler of this computer, if it has one, and called on tensors."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import torch
from torch import Tensor

#: Integer arithmetic wraps as NumPy's does; nothing may set ``errno``.
FLAGS = ("-O3", "-march=native", "-fwrapv", "-fno-math-errno", "-shared", "-fPIC")
_SECONDS = 120
#: Elements for which a thread is worth being woken up.
ELEMENTS = 1 << 17
#: Parts of a batch for every thread, which they take one after the other.
PARTS = 4
#: Called with sizes and pointers.
Function = Callable[[Sequence[int], Sequence[int]], None]


@functools.cache
def build(source: str) -> Function:
    """The function ``run`` of a C source.

    Raises:
        OSError: There is no compiler, or it fails.
    """
    found = [c for c in (os.environ.get("CC", ""), "cc", "gcc", "clang") if c and shutil.which(c)]
    if not found:
        raise OSError("no C compiler: cc, gcc and clang cannot be found")
    with tempfile.TemporaryDirectory(prefix="snnc-torch-") as folder:
        file, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        file.write_text(source, encoding="utf-8")
        command = [found[0], *FLAGS, str(file), "-o", str(library)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as e:
            raise OSError(f"{found[0]} did not finish: {e}") from e
        if done.returncode:
            raise OSError(f"{found[0]} failed: {done.stderr.strip()[:2000]}")
        run = ctypes.CDLL(str(library)).run  # stays mapped without its file
    run.restype = None

    def call(sizes: Sequence[int], pointers: Sequence[int]) -> None:
        run((ctypes.c_int64 * len(sizes))(*sizes), (ctypes.c_void_p * len(pointers))(*pointers))

    return call


@functools.cache
def available() -> bool:
    """Whether a compiler is there, and what it builds runs here."""
    source = "void run(const long long *d, void *const *p) { *(long long *)p[0] = d[0] + d[1]; }"
    found = torch.zeros(1, dtype=torch.int64)
    try:
        build(source)([40, 2], [found.data_ptr()])
    except OSError:
        return False
    return int(found) == 42


def pointers(tensors: Iterable[Tensor | None]) -> list[int]:
    """Where tensors lie; 0 for none."""
    return [0 if x is None else x.data_ptr() for x in tensors]


def parallel(run: Callable[[int, int], None], count: int, work: int) -> None:
    """Call ``run(first, last)`` on parts of ``count``, in as many threads as torch uses.

    Args:
        run: Works on a range; C lets other threads run meanwhile.
        count: The range.
        work: Elements in all; threads pay only for many.
    """
    threads = min(torch.get_num_threads(), count, work // ELEMENTS + 1)
    if threads == 1:
        run(0, count)
        return
    parts = min(count, PARTS * threads)
    ends = [count * i // parts for i in range(parts + 1)]
    rest = list(range(parts))

    def take() -> None:
        while rest:
            try:
                i = rest.pop()
            except IndexError:  # another thread was faster
                return
            run(ends[i], ends[i + 1])

    others = [_pool(threads - 1).submit(take) for _ in range(threads - 1)]
    try:
        take()  # here, too: whoever wakes late finds less to do
    finally:  # what they write to must not be given back before, whatever has happened here
        rest.clear()
        started = [other for other in others if not other.cancel()]
        wait(started)
    for other in started:
        other.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "snnc-torch")
