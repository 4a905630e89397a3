"""Files of a stand-alone artifact: the network's inputs, and its results as an ``.npz``.

This file is part of the compiler and is copied, unchanged, into the artifacts that run on NumPy.
"""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

#: Before the names of recorded words in a result file; outputs stand there under their own name.
RECORD = "record:"


def parser(description: str) -> argparse.ArgumentParser:
    """The command line that all NumPy-based artifacts share."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument(
        "inputs",
        metavar="IN.npy",
        type=Path,
        help="integers, (N, T, ...) for a per-step input or (N, ...) for a static one; "
        "an .npz by input name if there are several",
    )
    p.add_argument("results", metavar="OUT.npz", type=Path, help="outputs by name, raw integers")
    p.add_argument("--steps", type=int, metavar="T", help="time steps, for static inputs only")
    p.add_argument(
        "--record",
        metavar="WORDS",
        default="",
        help="'all', or spikes and states to keep, as neuron.word,neuron.word; "
        f"each becomes {RECORD}neuron.word of shape (N, T, ...)",
    )
    return p


def read_inputs(path: Path, names: Iterable[str]) -> dict[str, Array]:
    """Read one ``.npy``, or an ``.npz`` whose names are the inputs' names.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    names = sorted(names)
    try:
        data = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as e:
        raise ValueError(f"{path} is not an .npy or .npz file of integers: {e}") from None
    if isinstance(data, np.ndarray):
        if len(names) != 1:
            raise ValueError(f"the network has inputs {names}: give an .npz with these names")
        return {names[0]: data}
    with data:
        return {name: data[name] for name in data.files}


def chosen_words(option: str, words: list[str]) -> list[str]:
    """The words that ``--record`` asks for; ValueError for an unknown one."""
    if option == "all":
        return words
    chosen = [word for word in option.split(",") if word]
    for word in chosen:
        if word not in words:
            raise ValueError(f"no word is named {word!r}; there are {', '.join(words) or 'none'}")
    return chosen


def write_results(path: Path, outputs: dict[str, Array], records: dict[str, Array]) -> None:
    """Write an ``.npz``, complete or not at all; equal results give equal bytes."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name, array in {**outputs, **{RECORD + k: v for k, v in records.items()}}.items():
                # a fixed date: the time of day is no result
                member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
                with archive.open(member, "w", force_zip64=True) as file:
                    data = np.ascontiguousarray(array).reshape(np.shape(array))
                    np.lib.format.write_array(file, data, allow_pickle=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_results(path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """Outputs and records of a file that ``write_results`` wrote."""
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    outputs = {k: a for k, a in arrays.items() if not k.startswith(RECORD)}
    return outputs, {k[len(RECORD) :]: a for k, a in arrays.items() if k.startswith(RECORD)}


def run_files(
    options: argparse.Namespace,
    inputs: Iterable[str],
    words: list[str],
    run: Callable[[Arrays, int | None, list[str]], tuple[Arrays, Arrays]],
) -> int:
    """Do what the command line of ``parser`` asks for.

    Args:
        options: As parsed.
        inputs: Names of the network's inputs.
        words: Names of all that can be recorded.
        run: Gives outputs and records of inputs, steps and chosen words.

    Returns:
        The exit code: 0, or 2 with one line on stderr if the inputs do not fit.
    """
    try:
        given = read_inputs(options.inputs, inputs)
        chosen = chosen_words(options.record, words)
        outputs, records = run(given, options.steps, chosen)
        write_results(options.results, outputs, records)
    except (OSError, TypeError, ValueError) as e:
        sys.stderr.write(f"error: {e}\n")
        return 2
    return 0
