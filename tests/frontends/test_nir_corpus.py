"""Real NIR files of all ages, which nobody here made, good and broken.

The data are not in the repository; see ``tests/nirfiles.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError, Severity
from tests.hostile.attacks import Stopwatch
from tests.nirfiles import library_reads, read
from tests.realdata import real_files

#: Files that no reading makes sense of, and what is wrong with them.
BROKEN = {
    "braille__c381ba29.nir": ("E202", "lif1 (CubaLIF): adds values of different shapes"),
    "nirviz_srnn.nir": ("E322", "cu1: tau_mem is -1.27593"),  # random numbers for time constants
    "braille_noDelay_bias_zero_subgraph.nir": ("E146", "names 'lif', and there is no such node"),
    "braille_noDelay_noBias_subtract_subgraph.nir": ("E146", "names 'lif', and there is no"),
}


def every_file() -> list[Path]:
    found = sorted(real_files("nir_corpus").glob("*.nir"))
    return [*found, *sorted(real_files("nir_paper").rglob("*.nir"))]


def test_every_valid_file_is_read_and_every_broken_one_refused_with_a_reason() -> None:
    read_ones = []
    for path in every_file():
        watch = Stopwatch()
        if path.name in BROKEN:
            code, text = BROKEN[path.name]
            with pytest.raises(CompileError) as caught:
                read(path)
            errors = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
            assert code in {d.code for d in errors}
            assert text in str(caught.value)
        else:
            read(path).graph.verify()
            read_ones.append(path.name)
        assert watch.in_time()
    assert len(read_ones) == 17  # nir 1.0.8 reads 10 of the 21 files, one of them broken


def test_old_files_mean_what_their_successors_mean() -> None:
    """Ages of one network differ in metadata, a batch axis and Flatten; the arithmetic is one."""
    old = [real_files("nir_corpus", f"scnn_mnist__{age}.nir") for age in ("669fbfad", "e5ac8325")]
    new = real_files("nir_paper", "02_cnn", "cnn_sinabs.nir")
    x = (np.random.default_rng(0).random((1, 12, 2, 34, 34)) < 0.05).astype(float)
    out = [FloatSimulator(read(p, "readout=sum").graph).run(x)[0]["output"] for p in (*old, new)]
    np.testing.assert_array_equal(out[0], out[2])
    np.testing.assert_array_equal(out[1], out[2])


def test_more_is_read_than_by_the_library_of_nir() -> None:
    nir: Any = pytest.importorskip("nir", reason="the library of NIR is not installed")
    valid = {path for path in every_file() if path.name not in BROKEN}
    theirs = {path for path in valid if library_reads(nir, path)}
    assert theirs < valid  # all of which are read here
