"""What a user chooses for a compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from snnc.backends import check_names, in_order
from snnc.budget import parse_budget
from snnc.diagnostics import CompileError, Diagnostic, error
from snnc.profile import LOIHI, PROFILES
from snnc.quantization import TRAINED, Plan

#: What the target ``lava`` may be.
LAVA_MODES = ("custom", "stock")

#: Called after every stage with its name, what it did, and its seconds.
Report = Callable[[str, str, float], None]


@dataclass(frozen=True)
class Options:
    """What a user can choose.

    Attributes:
        targets: Backends to emit; ``numpy`` is always among them.
        bits: Of a weight, with its sign.
        input_bits: Of an input whose values show no grid.
        method: How integers of weights are chosen, a name of ``snnc.quantization.METHODS``.
        config: TOML file with exceptions by layer (``snnc.quantization``).
        reuse: Artifact of the same model whose choices to follow in place of ``calibration``.
        calibration: Data file, or ``file.py:generator``, whose inputs set the input range, and
            that methods look at.
        profile: Numeric profile; None: the one that the model is made for, else ``default``, or
            ``loihi`` for Lava's stock processes.
        budget: Most bytes or bit operations, e.g. ``64KiB``: bits by layer follow from it.
        lava_mode: What the target ``lava`` is: ``custom`` processes or lava-nc's own (``stock``).
        max_steps: Longest sequence that ranges are proven for; None: as long as is possible.
        module: ``file.py:factory`` that makes the network, for a model file of bare weights.
        nir: What a NIR file leaves open, e.g. ``reset=subtract,dt=1e-3``.
        onnx: What an ONNX file leaves open, e.g. ``state=v:v_out``.
        lava_dl: What a lava-dl network leaves open, e.g. ``compare=ge,readout=sum``.
        shape: Of one sample at one step, for a pickled module.
        steps: The number of steps, for a pickled module.
        encode: Encoders of inputs that are read at every step, e.g. ``rate:seed=1``.
        exit: Outputs to add that say how sure the network is: ``confidence``, ``margin``.
        dump_ir: Folder for the graph after every pass.
        force: Whether to replace an older artifact.
    """

    targets: tuple[str, ...] = ("numpy",)
    bits: int = 8
    input_bits: int = 8
    method: str = "mse"
    config: Path | None = None
    reuse: Path | None = None
    calibration: Path | None = None
    profile: str | None = None
    budget: str | None = None
    lava_mode: str = "custom"
    max_steps: int | None = None
    module: str | None = None
    nir: str = ""
    onnx: str = ""
    lava_dl: str = ""
    shape: tuple[int, ...] = ()
    steps: int | None = None
    encode: tuple[str, ...] = ()
    exit: tuple[str, ...] = ()
    dump_ir: Path | None = None
    force: bool = False

    def check(self) -> Options:
        """Return the options in normal form, or raise CompileError with all that is wrong."""
        found: list[Diagnostic] = []
        for flag, value in (("--bits", self.bits), ("--input-bits", self.input_bits)):
            if not 2 <= value <= 16:
                why = ("1 bit holds a sign and no value",) if value == 1 else ()
                text = f"{flag} is {value}, possible are 2 to 16"
                found.append(error("E320", text, None, *why, help="8 is usual"))
        found += Plan(self.method).check_method()
        if self.method == TRAINED:
            hint = "train with snnc finetune; --reuse follows what it wrote"
            found.append(error("E330", f"--method {TRAINED} needs training", help=hint))
        if self.budget is not None:
            try:
                parse_budget(self.budget)
            except CompileError as e:
                found += e.diagnostics
            if self.reuse is not None:
                text = "--budget chooses bits, but --reuse takes over what the artifact has"
                found.append(error("E333", text, help="leave --budget out"))
        if self.max_steps is not None and self.max_steps < 1:
            text = f"--max-steps is {self.max_steps}, possible are 1 and more"
            found.append(error("E003", text))
        if self.profile is not None and self.profile not in PROFILES:
            text = f"unknown numeric profile {self.profile!r}"
            found.append(error("E325", text, help=f"known: {', '.join(sorted(PROFILES))}"))
        wanted = {"numpy", *self._chosen()}
        try:
            check_names(tuple(sorted(wanted)))
        except CompileError as e:
            found += e.diagnostics
        if self.lava_mode not in LAVA_MODES:
            text = f"--lava-mode is {self.lava_mode!r}, possible are {' and '.join(LAVA_MODES)}"
            found.append(error("E003", text))
        if self.profile not in (None, LOIHI.name) and self._stock(wanted):
            text = f"Lava's stock processes compute in profile 'loihi', not {self.profile!r}"
            found.append(error("E325", text, help="leave --profile out, or --lava-mode custom"))
        if found:
            raise CompileError(found)
        return replace(self, targets=in_order(wanted))

    def _chosen(self) -> tuple[str, ...]:
        """The targets by the names of their backends."""
        stock = {"lava": "lava-stock"} if self.lava_mode == "stock" else {}
        chips = {n: n.replace("lava:", "lava-stock:") for n in self.targets if n[:5] == "lava:"}
        return tuple((chips | stock).get(name, name) for name in self.targets)

    @staticmethod
    def _stock(targets: Iterable[str]) -> bool:
        return any(name.startswith("lava-stock") for name in targets)

    @property
    def stock(self) -> bool:
        """Whether the program must suit Lava's stock processes; of checked options."""
        return self._stock(self.targets)
