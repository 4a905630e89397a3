"""Names from a model that try to break out of C, Python, paths, markup and the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnc.artifact import Artifact
from snnc.cli import run
from snnc.diagnostics import Loc
from snnc.graph import Edge, Graph
from tests.models import model_file
from tests.realgraphs import mlp

HARMLESS = [
    "l1 \\", "l1 ??/", "%s%s%s%n", "..", "-rf", "CON", "<script>alert(1)</script>",
    '" onmouseover="alert(1)', "[bold red]ok[/] [link=file:///etc/passwd]x[/link]", "bad\rOK  ",
    "\x1b]0;pwn\x07\x1b[2J\x1b[31mERROR", "l1\u202e\u2066 evil\u2069", "fс1", "l\u200b1",
    "e\u0301", "int", "lambda", "__FILE__", "0", "🔥", " ", "__init__", "printf", "a\0b",
    "x" * 5000, "a.b", "a_b", "A.B", "a b", "\n", "'", '"', "{0}", "{{x}}", "#{x}",
    "*/", "/*", "//",
]  # fmt: skip


def breakouts(canary: Path) -> list[str]:
    path = str(canary)
    start = f'__attribute__((constructor)) static void z(void){{ FILE *f=fopen("{path}","w"); }}'
    return [
        f"l1 */ {start} /*",
        f'l1"; {start} static const char *q="',
        f"l1\n{start}\n//",
        '1\n#include "/etc/hostname"\n',
        f"l1'); open({path!r},'w').close(); ('",
        f'l1"""\nopen({path!r},"w").close()\n"""',
        f"{{open({path!r},'w').close()}}",
        f"$(shell touch {path})",
        f"$(touch {path})",
        f"; touch {path} #",
        "{{ cycler.__init__.__globals__.os.system('touch " + path + "') }}",
        "<svg/onload=alert(1)>",
        "",
        "../../canary",
        path,
    ]


def renamed(graph: Graph, names: list[str], loc: Loc) -> Graph:
    """The graph with other names for its nodes, in order, all from one place."""
    new = {node.name: name for node, name in zip(graph, names, strict=True)}
    out = Graph(names[0], graph.steps, graph.max_steps)
    for node in graph:
        out.declare(new[node.name], node.op, node.types, loc)
    for e in graph.edges:
        out.connect(Edge(new[e.src], new[e.dst], e.port, e.out, e.delay, e.init))
    return out


def clean(text: str) -> bool:
    """Whether nothing in it steers a terminal or hides."""
    return not any((ord(c) < 32 and c not in "\n\t") or c in "\x7f\u202e\u2066\u200b" for c in text)


@pytest.mark.parametrize("kind", ["breakouts", "harmless", "harmless from the end"])
def test_names_reach_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str) -> None:
    graph, canary = mlp(), tmp_path / "canary"
    names = breakouts(canary) if kind == "breakouts" else HARMLESS
    names = names[::-1] if kind.endswith("end") else names
    names = [*names, *(f"{names[i % len(names)]} {i}" for i in range(len(graph)))][: len(graph)]
    loc = Loc(names[1], names[2] if "\0" not in names[2] else "x", 7)
    model = model_file(tmp_path, renamed(graph, names, loc))
    plain = model_file(tmp_path, mlp(), "plain.pt")
    for path, out in ((model, "net"), (plain, "same")):
        args = ["compile", str(path), "-o", str(tmp_path / out), "--target", "numpy,c"]
        assert run(args) == 0
    shown = "".join(capsys.readouterr())
    assert clean(shown)
    assert run(["inspect", str(tmp_path / "net")]) == 0
    assert clean("".join(capsys.readouterr()))

    entries = Artifact.open(tmp_path / "net").manifest.inputs
    rng = np.random.default_rng(1)
    x = rng.integers(entries[0].lo, entries[0].hi + 1, (3, 5, *entries[0].shape))
    np.save(tmp_path / "x.npy", x)
    subprocess.run(["make", "-s", "-C", tmp_path / "net/c"], check=True, capture_output=True)
    results = {}
    for which in ("net", "same"):
        command = [sys.executable, "-I", tmp_path / which / "numpy/run.py"]
        out = tmp_path / f"{which}.npz"
        subprocess.run([*command, tmp_path / "x.npy", out], check=True, capture_output=True)
        with np.load(out) as arrays:
            results[which] = [arrays[name] for name in arrays.files]
    subprocess.run([tmp_path / "net/c/run", tmp_path / "x.npy", tmp_path / "c.npy"], check=True)
    assert np.array_equal(results["net"][0], results["same"][0])
    assert np.array_equal(np.load(tmp_path / "c.npy"), results["same"][0])
    assert results["same"][0].any()

    assert not canary.exists()
    assert not (tmp_path.parent / "canary").exists()
    files = {p.relative_to(tmp_path / "net").as_posix() for p in (tmp_path / "net").rglob("*")}
    assert all(f.isascii() and f.isprintable() and len(Path(f).name) < 40 for f in files)


def test_text_that_is_no_unicode_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    graph = mlp()
    names = ["\udcff" + str(i) for i in range(len(graph))]
    model = model_file(tmp_path, renamed(graph, names, Loc("\ud800")))
    assert run(["compile", str(model), "-o", str(tmp_path / "net")]) == 3
    assert "E120" in "".join(capsys.readouterr())
    whole = [f"\U0001f525{i}" for i in range(len(graph))]
    model = model_file(tmp_path, renamed(graph, whole, Loc("\U0001f525")))
    assert run(["compile", str(model), "-o", str(tmp_path / "net")]) == 0
