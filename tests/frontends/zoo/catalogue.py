"""All networks of the zoo whose library is installed."""

from __future__ import annotations

import importlib
import importlib.util
import warnings

from tests.frontends.zoo.case import Case

#: File of the zoo → library it needs.
FILES = {
    "adaptive": "torch",
    "adversarial": "torch",
    "attention": "torch",
    "blocks": "torch",
    "learned": "torch",
    "family": "torch",
    "loops": "torch",
    "snntorch_nets": "snntorch",
    "spikingjelly_nets": "spikingjelly",
    "spikingjelly_models": "spikingjelly",
    "norse_nets": "norse",
    "sinabs_nets": "sinabs",
    "parametric_nets": "spikingjelly",
    "slayer_nets": "torch",
    "rockpool_nets": "rockpool",
    "spatial": "torch",
}


def cases(prefix: str = "") -> list[Case]:
    """Those whose name begins with ``prefix``."""
    found: list[Case] = []
    for file, library in FILES.items():
        if importlib.util.find_spec(library) is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the libraries' own, at import
                found += importlib.import_module(f"tests.frontends.zoo.{file}").CASES
    return [c for c in found if c.name.startswith(prefix)]
