"""``snn_any.c``: the network for several kinds of vectors in one program, chosen where it runs.

The file is compiled once for every kind, with the functions of snn.h under a name of their own
(``SNN_VARIANT``), and once more for the functions of snn.h themselves, which ask the processor and
call those of the best kind.  Constant tables are there once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from snnc.backends.c.network import Network
from snnc.backends.c.writer import CWriter

#: A prototype of snn.h: what it returns, its name, its parameters.
_PROTOTYPE = re.compile(r"^(void|int|snn_status) (snn_\w+)\((.*)\);$", re.MULTILINE)


@dataclass(frozen=True)
class Variant:
    """A kind of vectors: end of its names, features of the processor as gcc and clang call them."""

    name: str
    features: tuple[str, ...]


#: The best first; the last one runs everywhere.
VARIANTS = (
    Variant("vnni", ("avx512f", "avx512bw", "avx512vl", "avx512vbmi2", "avx512vnni", "popcnt")),
    Variant("avx512", ("avx512f", "avx512bw", "avx512vl", "popcnt")),
    Variant("avx2", ("avx2", "popcnt")),
    Variant("portable", ()),
)


def dispatch_source(net: Network) -> str:
    """Return ``snn_any.c``."""
    functions = _PROTOTYPE.findall(net.header().split("#ifdef SNN_TRACE")[0])
    w = CWriter()
    w("/* One program for all x86-64 processors (make any): this file is compiled with")
    w(" * -DSNN_VARIANT=_vnni and so on, once for every kind of vectors, and once without. */")
    w("#ifdef SNN_VARIANT", "#define SNN_GLUED(a, b) a##b")
    w("#define SNN_GLUE(a, b) SNN_GLUED(a, b)")
    w(*(f"#define {name} SNN_GLUE({name}, SNN_VARIANT)" for _, name, _ in functions))
    w('#include "snn.c"', "#else", '#include "snn.h"', "")
    for variant in VARIANTS:
        for kind, name, parameters in functions:
            w(f"{kind} {name}_{variant.name}({parameters});")
    for variant in VARIANTS[:-1]:
        has = " &&\n           ".join(f'__builtin_cpu_supports("{f}")' for f in variant.features)
        w("")
        with w.block(f"static int has_{variant.name}(void)"):
            w(f"return {has};")
    for kind, name, parameters in functions:
        w("")
        _choose(w, kind, name, parameters)
    w("#endif")
    return w.text


def _choose(w: CWriter, kind: str, name: str, parameters: str) -> None:
    values = [] if parameters == "void" else [p.split()[-1] for p in parameters.split(", ")]
    given = ", ".join(v.lstrip("*") for v in values)
    with w.block(f"{kind} {name}({parameters})"):
        for variant in VARIANTS:
            call = f"{name}_{variant.name}({given});"
            call = f"{call} return;" if kind == "void" else f"return {call}"
            w(f"if (has_{variant.name}()) {{ {call} }}" if variant.features else call)
