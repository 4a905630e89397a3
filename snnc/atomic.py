"""Folders and files that appear whole or not at all.

A folder grows beside its target under a hidden name, is synced to disk, and is renamed (or, to
replace an older one, exchanged in one step).  A killed run leaves the hidden folder only; the
next run for the same target removes it.  Whether its owner still lives is told by a lock on the
folder, which the kernel drops with the process, whatever kills it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from snnc.diagnostics import CompileError, fail
from snnc.manifest import NAME, FileEntry, load_manifest, read_format

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_PERMISSION = "choose another place with -o, or change the permissions"


class AtomicFolder:
    """``with AtomicFolder(Path("out")) as folder: folder.write({...}); folder.publish()``.

    Entering creates the hidden folder, so that a place where nothing can be written is reported
    before any work.  Leaving without ``publish`` removes every trace, also new parent folders.

    Args:
        target: Where the folder shall appear.
        force: Whether it may replace an older artifact (and nothing else).
    """

    def __init__(self, target: Path, force: bool = False) -> None:
        self.target = Path(os.path.abspath(target))  # noqa: PTH100 - resolve follows links
        self.force = force
        self._made_parents: list[Path] = []
        self._lock: int | None = None
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The hidden folder, while the ``with`` block runs."""
        assert self._path is not None, "the folder is used outside its with block"
        return self._path

    def __enter__(self) -> Self:
        check_replaceable(self.target, self.force)
        try:
            self._make_parents()
            sweep(self.target)
            self._path = self._make_hidden()
        except OSError as e:
            self._remove_traces()
            raise cannot_write(self.target, e) from e
        except BaseException:
            self._remove_traces()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove_traces()

    def write(self, name: str, content: bytes | Iterable[bytes | memoryview]) -> FileEntry:
        """Write one file, synced to disk; raises CompileError E432 if that fails.

        Returns:
            Its hash and size, for the manifest.
        """
        parts = [content] if isinstance(content, bytes) else content
        path, digest, size = self.path / name, hashlib.sha256(), 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as f:
                for part in parts:
                    f.write(part)
                    digest.update(part)
                    size += len(part)
                f.flush()
                os.fsync(f.fileno())
        except OSError as e:
            raise cannot_write(self.target, e) from e
        return FileEntry(digest.hexdigest(), size)

    def publish(self) -> None:
        """Make the folder appear at its target; raises CompileError E430 to E432 if it cannot."""
        try:
            for folder, _, _ in os.walk(self.path):
                _sync_folder(Path(folder))
            while not self._moved():
                pass
            self._made_parents = []
            _sync_folder(self.target.parent)
        except OSError as e:
            raise cannot_write(self.target, e) from e

    def _moved(self) -> bool:
        """Try to move into place; False if another run was faster and it is worth a new look."""
        check_replaceable(self.target, self.force)
        try:
            if self.target.is_dir():
                if not _exchange(self.path, self.target):
                    self._rename_aside()
            else:
                self.path.rename(self.target)
                self._path = None
        except OSError as e:
            if e.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT) and self.path.exists():
                return False
            raise
        return True

    def _rename_aside(self) -> None:
        aside = self.path.with_name(_hidden_name(self.target))
        self.target.rename(aside)
        try:
            self.path.rename(self.target)
        except BaseException:
            aside.rename(self.target)
            raise
        self._path = aside

    def _make_parents(self) -> None:
        missing = []
        for parent in self.target.parents:
            if parent.exists():
                break
            missing.append(parent)
        for parent in reversed(missing):
            parent.mkdir(exist_ok=True)
            self._made_parents.append(parent)

    def _make_hidden(self) -> Path:
        while True:
            path = self.target.with_name(_hidden_name(self.target))
            path.mkdir()
            try:
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            fcntl.flock(lock, fcntl.LOCK_SH)
            # Another run may have swept the folder between mkdir and flock.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(lock)):
                self._lock = lock
                return path
            os.close(lock)

    def _remove_traces(self) -> None:
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        for parent in reversed(self._made_parents):
            with contextlib.suppress(OSError):
                parent.rmdir()
        self._made_parents = []


def write_file(path: Path, content: bytes) -> None:
    """Write one file that appears whole or not at all, replacing an older one.

    Raises:
        CompileError: E432 if it cannot be written.
    """
    hidden = path.with_name(_hidden_name(path))
    try:
        try:
            with hidden.open("xb") as f:
                f.write(content)
                f.flush()
                os.fsync(f.fileno())
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)
    except OSError as e:
        raise cannot_write(path, e) from e


def check_place(path: Path, *read: Path | None) -> None:
    """Make sure, before what takes long, that a file may appear at ``path``.

    Args:
        path: Of the file.
        read: Files that are read, which it must not replace.

    Raises:
        CompileError: E432 if nothing can be written there, E435 if that would replace what is read
            or change an artifact.
    """
    if path.is_dir():
        raise cannot_write(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    if not path.parent.is_dir():
        raise cannot_write(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise cannot_write(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    if not path.exists():
        return
    if any(p is not None and p.exists() and path.samefile(p) for p in read):
        raise fail("E435", f"{path} is read, and would be overwritten", help="name another file")
    for folder in path.resolve().parents:
        if str(path.resolve().relative_to(folder)) in _files(folder):
            text = f"{path} is a file of the artifact {folder}, and would be overwritten"
            raise fail("E435", text, help="name another file")


def _files(folder: Path) -> set[str]:
    """The files of an artifact; none if the folder is something else."""
    try:
        return {NAME, *load_manifest((folder / NAME).read_bytes()).files}
    except (OSError, CompileError):
        return set()


def check_replaceable(target: Path, force: bool) -> None:
    """Raise CompileError E430 or E431 unless an artifact may appear at ``target``."""
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        text = f"{target} exists and is not a folder"
        raise fail("E431", text, help="choose another output folder with -o")
    manifest = target / NAME
    ours = False
    with contextlib.suppress(OSError):
        ours = not manifest.is_symlink() and read_format(manifest.read_bytes()) is not None
    if not ours:
        text = f"{target} exists and is not an artifact of snnc"
        why = "--force replaces artifacts only, so that it can never delete other work"
        raise fail("E431", text, None, why, help="choose another output folder with -o")
    if not force:
        hint = "replace it with --force, or choose another folder with -o"
        raise fail("E430", f"{target} exists", help=hint)


def cannot_write(target: Path, cause: OSError) -> CompileError:
    """The error for a full disk, missing permissions and the like."""
    reason = cause.strerror or str(cause)
    full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "free space, or choose another place with -o" if full else _NO_PERMISSION
    return fail("E432", f"cannot write {target}: {reason}", help=hint)


def sweep(target: Path) -> None:
    """Remove what killed runs for the same target left behind."""
    pattern = re.compile(re.escape(f".{target.name}.") + r"[0-9a-f]{12}\.snnc-tmp")
    for path in target.parent.iterdir():
        if not pattern.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _hidden_name(target: Path) -> str:
    return f".{target.name}.{secrets.token_hex(6)}.snnc-tmp"


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS):  # this kernel or file system cannot exchange
        return False
    raise OSError(code, os.strerror(code))
