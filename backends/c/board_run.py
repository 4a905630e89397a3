"""Build and run a board project with the cross compiler and the emulator of its machine."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from snnc.backends.c.machines import Machine
from snnc.diagnostics import fail

_BUILD_SECONDS = 900
_RUN_SECONDS = 300
#: Debian packages of the commands.
_PACKAGES = {
    "make": "make",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
}


def missing_tools(machine: Machine) -> list[str]:
    """Commands that a machine's projects need and that are not installed."""
    return [c for c in ("make", machine.compiler, machine.emulator[0]) if shutil.which(c) is None]


def build(folder: Path, machine: Machine, *variables: str) -> Path:
    """Make ``firmware.elf``; CompileError E621 without a tool, E622 if it fails."""
    if missing := missing_tools(machine):
        packages = " ".join(_PACKAGES[c] for c in missing)
        help = f"install {packages}, or leave --run out: the project can be built elsewhere"
        raise fail("E621", f"{missing[0]} cannot be found", help=help)
    line = ["make", "-s", *variables, "firmware.elf"]
    try:
        done = subprocess.run(
            line, cwd=folder, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise fail("E622", f"the project for {machine.name} could not be built: {e}") from e
    if done.returncode:
        text = f"the project for {machine.name} could not be built"
        raise fail("E622", text, None, done.stderr.strip()[-2000:])
    return folder / "firmware.elf"


def emulate(elf: Path, machine: Machine, *options: str) -> tuple[bool, str]:
    """Run a program; whether it ended well, and what it printed."""
    line = [*machine.emulator[:-1], *options, machine.emulator[-1], str(elf)]
    try:
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise fail("E623", f"{machine.emulator[0]} did not finish: {e}") from e
    return done.returncode == 0, done.stdout + done.stderr


def section_sizes(elf: Path) -> dict[str, int]:
    """Sizes of the sections of a 32-bit little-endian ELF file that take memory."""
    raw = elf.read_bytes()
    (table,) = struct.unpack_from("<I", raw, 32)
    size, count, names = struct.unpack_from("<HHH", raw, 46)
    headers = [struct.unpack_from("<10I", raw, table + i * size) for i in range(count)]
    start = headers[names][4]
    found = {}
    for name, _, flags, _, _, bytes_, *_ in headers:
        if flags & 2:  # SHF_ALLOC
            end = raw.index(b"\0", start + name)
            found[raw[start + name : end].decode()] = bytes_
    return found
