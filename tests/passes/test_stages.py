"""What the graph looks like after every pass, and what the user reads when it fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.passes import run_passes
from snnc.passes.observers import DumpIR
from snnc.passes.pipeline import integer_pipeline
from tests.kerneltext import LIF, kernel, population
from tests.realgraphs import mlp, recurrent, residual_conv

Golden = Callable[[str, str], None]


@pytest.mark.parametrize("make", [mlp, residual_conv, recurrent], ids=lambda make: make.__name__)
def test_every_stage(make: Callable[[], Graph], golden: Golden, tmp_path: Path) -> None:
    run_passes(make(), integer_pipeline(), observers=[DumpIR(tmp_path)])
    for path in sorted(tmp_path.iterdir()):
        golden(f"{make.__name__}/{path.name}", path.read_text(encoding="utf-8"))


ERRORS = {
    "threshold": lambda: mlp((4, 3), theta=[1.0, -0.5, 0.0]),
    "decay": lambda: mlp((4, 3), beta=[1.5, 0.5, -0.1]),
    "tau_too_long": lambda: mlp((4, 3), beta=1 - 2.0**-20),
    "no_integer_form": lambda: population(
        kernel(LIF.replace("v1 >= theta", "eq(v1, theta)"), a=0.9, theta=1.0), 4
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str, golden: Golden) -> None:
    with pytest.raises(CompileError) as e:
        run_passes(ERRORS[name](), integer_pipeline())
    golden(f"errors/{name}.txt", f"{e.value}\n")
