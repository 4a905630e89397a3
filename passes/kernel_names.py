"""New names for the lines and constants of a kernel."""

from __future__ import annotations

from snnc.kernel import Kernel


class KernelNames:
    """The names in a kernel, and those that were made beside them."""

    def __init__(self, kernel: Kernel) -> None:
        self._taken = {*kernel.leaves(), *(line.name for line in kernel.body)}

    def fresh(self, base: str) -> str:
        """``base``, or ``base`` with the first free number; it is taken from then on."""
        name, i = base, 0
        while name in self._taken:
            i += 1
            name = f"{base}{i}"
        self._taken.add(name)
        return name
