"""The catalogue of diagnostics: what each code means and what to do. A code is never reused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from snnc.diagnostics import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class Code:
    """An entry: ``exit`` replaces the exit code of the family."""

    title: str
    why: str
    fix: str
    exit: int | None = None


#: What the first digit of a code means, and the exit code of its errors.
FAMILIES: dict[str, tuple[str, int]] = {
    "0": ("use of the command", 2),
    "1": ("reading and tracing a model", 3),
    "2": ("operators and neuron kernels", 4),
    "3": ("numbers", 5),
    "4": ("artifacts, data and verification", 3),
    "5": ("limits of a target", 6),
    "6": ("missing tools", 8),
    "9": ("bugs of snnc", 1),
}

CODES: dict[str, Code] = {
    # use of the command
    "E001": Code(
        "the command line is wrong",
        "An option or argument is missing, unknown or has a value of the wrong kind.",
        "Read `snnc COMMAND --help`.",
    ),
    "E002": Code(
        "unknown target",
        "Each target has a name by which --target and --backend call it.",
        "`snnc targets` lists them.",
    ),
    "E003": Code(
        "number of steps out of range",
        "A sequence has at least one step.",
        "Choose --max-steps 1 or more, or leave it out to prove as many as possible.",
    ),
    "E006": Code(
        "unknown layer or word",
        "--record takes layers of the artifact, or single words such as `lif1.v`.",
        "`snnc inspect DIR` lists the layers.",
    ),
    "E007": Code(
        "the artifact lacks this backend",
        "An artifact holds the targets it was compiled for.",
        "Compile again with --target and the name added.",
    ),
    "E009": Code(
        "stopped by the user",
        "Ctrl-C or a termination signal. Unfinished output was removed.",
        "Run the command again.",
        exit=130,
    ),
    # operators and kernels
    "E201": Code(
        "two nodes have one name",
        "Names of nodes are unique; words, records and diagnostics use them.",
        "This should not happen: please report it.",
    ),
    "E202": Code(
        "operands do not fit",
        "The shapes, clocks or element types of an operator's inputs contradict its parameters.",
        "Compare the layer named in the message with the shape of what feeds it.",
    ),
    "E203": Code(
        "a loop without a delay",
        "In one time step every operator runs once, so a loop must carry the value of an earlier "
        "step: a state, or an edge with a delay.",
        "Feed back the previous step's value.",
    ),
    "E204": Code(
        "a type contradicts its operator",
        "The graph is inconsistent: a pass or a file gave a node a type that its operator does "
        "not have.",
        "If the model file is intact, please report it.",
    ),
    # numbers
    "E320": Code(
        "width out of range",
        "Weights are symmetric integers of 2 to 16 bits with their sign; 2 bits are ternary "
        "(-1, 0, 1), and one bit would hold a sign and no value.",
        "Choose 2 to 16; 8 is usual.",
        exit=2,
    ),
    "E325": Code(
        "unknown numeric profile",
        "A profile fixes the arithmetic: precision of decays, rounding, compare and reset.",
        "Use `default`.",
        exit=2,
    ),
    # artifacts, data and verification
    "E401": Code(
        "not an artifact",
        "An artifact is a folder with a manifest.json that `snnc compile` wrote.",
        "Check the path, or compile the model.",
    ),
    "E402": Code(
        "the manifest is damaged",
        "manifest.json is not what snnc writes, so nothing else in the folder can be trusted.",
        "Compile the model again.",
    ),
    "E403": Code(
        "another artifact format",
        "The artifact was made by another version of snnc.",
        "Compile again with this version, or use the version that made it.",
    ),
    "E404": Code(
        "unsafe file name in the manifest",
        "A manifest lists plain names inside its folder; this one could reach outside.",
        "Do not use this artifact; ask where it came from.",
    ),
    "E405": Code(
        "a file is missing or does not belong",
        "The files of the folder are not those that the manifest lists.",
        "Compile again, and keep other files out of the folder.",
    ),
    "E406": Code(
        "not a regular file",
        "An artifact holds regular files only: no links, devices or pipes.",
        "Compile again, or copy the artifact with links resolved.",
    ),
    "E407": Code(
        "a file was changed",
        "Its size or SHA-256 is not that of the manifest: damage in transfer, or an edit.",
        "Compile again, or copy the artifact again.",
    ),
    "E410": Code(
        "a backend differs from the definition",
        "The backend gave another integer than the NumPy simulator, which defines the arithmetic. "
        "The first differing word names sample, step, layer and neuron.",
        "Report it: this is a fault of snnc or of the target's tools, not of your model.",
        exit=7,
    ),
    "E411": Code(
        "results that cannot be compared",
        "A backend left out a word or output, or gave it another shape or no integers.",
        "Report it: this is a fault of snnc or of the target's tools, not of your model.",
        exit=7,
    ),
    "E420": Code(
        "the data file cannot be read",
        "Data is a NumPy file: .npy with x, or .npz with x and perhaps labels y.",
        'Save it with np.savez("data.npz", x=x, y=y).',
    ),
    "E421": Code(
        "data of the wrong shape",
        "x is (N, T, ...) for a network that reads an input at every step and (N, ...) for one "
        "that reads one input per sample; batch first, time second.",
        "Move the axes to this order; `snnc inspect DIR` shows the shape of one sample.",
    ),
    "E422": Code(
        "data that are not numbers",
        "x holds real numbers. Python objects would need pickle, which can run code and is never "
        "used.",
        "Convert x to a numeric array before saving it.",
    ),
    "E423": Code(
        "labels do not fit",
        "y holds one integer class per sample, counted from 0.",
        "Check the shape, type and range of y.",
    ),
    "E424": Code(
        "NaN or infinity in the data",
        "Such values have no integer.",
        "Remove or replace them.",
    ),
    "W424": Code(
        "inputs were clipped",
        "The network was compiled for a range of inputs; values outside take its nearest end. "
        "Results are still exact integers, but not those of the float model.",
        "Scale the data as in training, or compile with --calibration DATA.",
    ),
    "E430": Code(
        "the output exists",
        "snnc never overwrites an artifact unasked.",
        "Use --force to replace it in one step, or another folder.",
        exit=9,
    ),
    "E431": Code(
        "the output is not an artifact",
        "--force replaces artifacts only, so that it can never delete other work.",
        "Choose another folder.",
        exit=9,
    ),
    "E432": Code(
        "cannot write",
        "The disk is full, permissions are missing, or the path cannot exist.",
        "Free space, change the permissions or choose another place.",
        exit=9,
    ),
    # bugs of snnc
    "E901": Code(
        "internal error",
        "snnc met a situation that its authors did not foresee.",
        "Please report it with the output of the same command and --debug.",
    ),
}


def exit_of(code: str) -> int:
    """Exit code of an error.

    >>> exit_of("E201"), exit_of("E410"), exit_of("E320")
    (4, 7, 2)
    """
    entry = CODES.get(code)
    if entry is not None and entry.exit is not None:
        return entry.exit
    return FAMILIES.get(code[1:2], ("", 1))[1]


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """Exit code of a command: that of its first error, 0 if there is none."""
    errors = (d for d in diagnostics if d.severity is Severity.ERROR)
    first = next(errors, None)
    return 0 if first is None else exit_of(first.code)
