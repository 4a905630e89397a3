"""Machines that C is written for: what differs in the code, and what a board project needs.

``c`` and ``c:host`` mean a processor with vectors and a library: pairs of weights in 16-bit words,
spike lists from a table.  The others are microcontrollers: four weights in a 32-bit word, sums in
registers, small code, and nothing of the C library.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.diagnostics import fail


@dataclass(frozen=True, slots=True)
class Machine:
    """A target of the C backend.

    Attributes:
        name: As in ``--target c:NAME``.
        summary: What it is, in a line.
        columns: Words of four weights whose sums the inner loop keeps in registers; 0: pairs of
            weights in 16-bit words, for vector units.
        compiler: Command of a cross compiler for boards; empty for the host.
        flags: Its options that select the processor.
        emulator: Command that runs an ELF file, but for the file's name.
        flash: Origin and bytes of read-only memory of the emulated board.
        ram: Origin and bytes of its memory for variables.
    """

    name: str
    summary: str
    columns: int = 0
    compiler: str = ""
    flags: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    flash: tuple[int, int] = (0, 0)
    ram: tuple[int, int] = (0, 0)

    @property
    def is_host(self) -> bool:
        """Whether it has a C library and a vector unit."""
        return self.columns == 0


_ARM = ("qemu-system-arm", "-nographic", "-monitor", "none", "-serial", "none")
_SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")
HOST = Machine("host", "a processor with a C library; gcc and clang use its vectors")

#: Machines by name.  Boards: BBC micro:bit (nRF51822), Arm MPS2 with AN386, RISC-V ``virt``.
MACHINES: dict[str, Machine] = {
    m.name: m
    for m in (
        HOST,
        Machine(
            "cortex-m0",
            "Arm Cortex-M0 and M0+: no library, few registers",
            columns=1,
            compiler="arm-none-eabi-gcc",
            flags=("-mcpu=cortex-m0", "-mthumb"),
            emulator=(*_ARM, "-M", "microbit", *_SEMIHOSTING, "-kernel"),
            flash=(0x0000_0000, 256 << 10),
            ram=(0x2000_0000, 16 << 10),
        ),
        Machine(
            "cortex-m4",
            "Arm Cortex-M3, M4, M7, M33: no library",
            columns=4,
            compiler="arm-none-eabi-gcc",
            flags=("-mcpu=cortex-m4", "-mthumb"),
            emulator=(*_ARM, "-M", "mps2-an386", *_SEMIHOSTING, "-kernel"),
            flash=(0x0000_0000, 4 << 20),
            ram=(0x2000_0000, 4 << 20),
        ),
        Machine(
            "riscv32",
            "RISC-V RV32IMAC: no library",
            columns=4,
            compiler="riscv64-unknown-elf-gcc",
            flags=("-march=rv32imac", "-mabi=ilp32", "-mcmodel=medany"),
            emulator=(
                *("qemu-system-riscv32", "-nographic", "-monitor", "none", "-serial", "stdio"),
                *("-M", "virt", "-bios", "none", "-kernel"),
            ),
            flash=(0x8000_0000, 4 << 20),
            ram=(0x8040_0000, 4 << 20),
        ),
    )
}


def find_machine(name: str) -> Machine:
    """The machine of a name; CompileError E002 if there is none."""
    if name not in MACHINES:
        text = f"the C backend knows no machine {name!r}"
        raise fail("E002", text, help=f"machines are {', '.join(MACHINES)}")
    return MACHINES[name]
