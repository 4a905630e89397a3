"""What ``import snnc`` promises, and what it must not cost."""

import subprocess
import sys

import pytest

import snnc


def modules_after(statement: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded after ``statement``."""
    program = f"import sys; {statement}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return set(done.stdout.decode().split())


def test_every_public_name_is_there_and_documented() -> None:
    assert {"export", "compile", "CompileError"} <= set(snnc.__all__)
    for name in snnc.__all__:
        thing = getattr(snnc, name)
        assert thing.__doc__ or isinstance(thing, str), f"snnc.{name} has no docstring"


def test_all_is_sorted_and_complete() -> None:
    assert sorted(snnc.__all__) == sorted(set(snnc.__all__))
    assert set(snnc.__all__) <= set(dir(snnc))


@pytest.mark.parametrize("statement", ["import snnc", "import snnc.cli"])
def test_import_is_light(statement: str) -> None:
    heavy = {"torch", "lava", "networkx", "sklearn", "matplotlib", "scipy", "pandas"}
    assert not heavy & modules_after(statement)
