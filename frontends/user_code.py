"""Which source lines are the user's own: what a message points to."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import torch

from snnc.diagnostics import Loc
from snnc.frontends.dag import Source

#: Files that are never the user's: torch, installed packages, the standard library, and snnc.
_FOREIGN = (
    *(sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib")),
    str(Path(__file__).resolve().parent),
    str(Path(torch.__file__).parent),
)


def user_frame(e: BaseException) -> Loc | None:
    """The innermost frame of the user's code in the traceback."""
    chain: list[BaseException] = [e]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    for error in reversed(chain):
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if is_user_file(frame.filename):
                return Loc(frame.name, display(frame.filename), frame.lineno)
    return None


def is_user_file(path: str) -> bool:
    """Whether the file is the user's own code."""
    foreign = ("site-packages", "dist-packages", "<")
    if any(part in path for part in foreign):
        return False
    return not str(Path(path).resolve()).startswith(_FOREIGN)


def display(path: str) -> str:
    """The file relative to the working directory, or its name alone."""
    try:
        return Path(path).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return Path(path).name


_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def source_of(meta: dict[str, Any]) -> Source:
    """Module path and line of the innermost user frame of a traced call."""
    stack = list((meta.get("nn_module_stack") or {}).values())
    path, owned = "", False
    if stack:
        raw, kind = stack[-1][0], str(stack[-1][1])
        path = re.sub(r"@\d+", "", raw).removeprefix("model").removeprefix(".")
        owned = bool(path) and (
            kind.startswith("torch.nn.modules.")
            or (kind.startswith("spikingjelly.") and ".layer" in kind.rpartition(".")[0])
        )
    frames = _FRAME.findall(meta.get("stack_trace") or "")
    for file, line in reversed(frames):
        if is_user_file(file):
            return Source(Loc(path, display(file), int(line)), owned)
    return Source(Loc(path), owned)
