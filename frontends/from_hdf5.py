"""Read an HDF5 model: NIR or lava-dl, as its contents say. Both in a child process."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from snnc.container import LoadedModel
from snnc.diagnostics import fail
from snnc.frontends import from_lava_dl, from_nir
from snnc.frontends.isolated import read_isolated
from snnc.frontends.lava_dl_file import is_lava_dl
from snnc.frontends.lava_dl_options import LavaDlOptions
from snnc.frontends.nir_options import NirOptions


def read_hdf5(
    path: str | Path, nir: NirOptions | None = None, lava_dl: LavaDlOptions | None = None
) -> LoadedModel:
    """Read a NIR graph or a lava-dl network; nothing in it is executed.

    Args:
        path: The file; no other one is opened.
        nir: What a NIR file leaves open.
        lava_dl: What a lava-dl file leaves open.

    Raises:
        CompileError: E641 without h5py, E178 and E148 for options of the other format, else what
            ``from_nir`` and ``from_lava_dl`` find.
    """
    if importlib.util.find_spec("h5py") is None:
        hint = "pip install 'snnc[nir]'"
        raise fail("E641", "reading HDF5 files needs h5py, which is not installed", help=hint)
    options = {
        "nir": None if nir is None else asdict(nir.check()),
        "lava_dl": None if lava_dl is None else asdict(lava_dl.check()),
    }
    return read_isolated("snnc.frontends.from_hdf5:read_bytes", Path(path), options)


def read_bytes(data: bytes, name: str, options: Mapping[str, Any]) -> LoadedModel:
    """Read a file from its bytes, in this process: for the child, and for tests."""
    nir, lava_dl = options.get("nir"), options.get("lava_dl")
    if is_lava_dl(data):
        if nir is not None:
            hint = "use --lava-dl"
            raise fail("E148", f"{name} is a lava-dl network, --nir does not apply", help=hint)
        return from_lava_dl.read_bytes(data, name, lava_dl or {})
    if lava_dl is not None:
        raise fail("E178", f"{name} is no lava-dl network, --lava-dl does not apply")
    return from_nir.read_bytes(data, name, nir or {})
