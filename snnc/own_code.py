"""Call a function of the user's, which the user names as ``file.py:function``.

It is the only code of others that ever runs.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snnc.diagnostics import CompileError, Loc, fail


def is_source(text: str) -> bool:
    """Whether a text names a function rather than a file.

    >>> is_source("data.py:samples"), is_source("C:/data.npz"), is_source("data.py")
    (True, False, False)
    """
    file, _, name = text.rpartition(":")
    return file.endswith(".py") and name.isidentifier()


def file_of(path: Path) -> Path:
    """The file itself, also of ``file.py:function``."""
    text = str(path)
    return Path(text.rpartition(":")[0]) if is_source(text) else path


def call(
    source: str, flag: str, contract: str, use: Callable[[Any], Any] = lambda made: made
) -> Any:
    """Import the file, call the function without arguments, and use what it gives.

    Args:
        source: ``file.py:function``.
        flag: Of the command line, for messages.
        contract: What the function should give, for messages.
        use: Runs inside, so that a generator's own errors are the user's, too.

    Raises:
        CompileError: E112 if there is no such function, or it fails.
    """
    file, _, name = source.rpartition(":")
    path = Path(file)
    if not file or not name or not path.is_file():
        text = f"{flag} {source}: there is no such file or function"
        raise fail("E112", text, help="the form is file.py:function")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    code = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, code)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(code)
        function = getattr(code, name, None)
        made = use(function()) if callable(function) else None
    except (Exception, SystemExit) as e:
        if isinstance(e, CompileError):
            raise
        raise _failed(path, e) from e
    finally:
        sys.path.remove(str(path.resolve().parent))
    if not callable(function):
        raise fail("E112", f"{path.name} defines no function {name!r}", help=contract)
    return made


def _failed(path: Path, e: BaseException) -> CompileError:
    """The user's own code failed: where, in the last line of theirs, and how."""
    frames = [
        f
        for f in traceback.extract_tb(e.__traceback__)
        if Path(f.filename).resolve() == path.resolve()
    ]
    line = frames[-1].lineno if frames else getattr(e, "lineno", None)
    loc = Loc(path.name, path.name, line) if line else Loc(path.name)
    return fail("E112", f"the code in {path.name} failed: {type(e).__name__}: {e}", loc)
