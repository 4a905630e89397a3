"""``snnc report``: one page that holds everything, fetches nothing and escapes every name."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from snnc.cli import run
from snnc.diagnostics import Loc
from tests.cli.conftest import Snnc
from tests.hostile.test_attacks_names import HARMLESS, renamed
from tests.models import model_file
from tests.realgraphs import mlp

#: Tags that have no end.
VOID = {"meta", "link", "br"}
#: Tags whose end HTML leaves out.
OPEN = {"tr", "td", "th"}
EVIL = [
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "<svg/onload=alert(1)>",
    "a\0b\x1b]0;pwn\x07\u202e",
    "x" * 3000,
    "&lt;b&gt;",
    "javascript:alert(1)",
]


def test_a_page_that_cannot_be_written_costs_no_time(
    snnc: Snnc, artifact: Path, data: Path, tmp_path: Path
) -> None:
    for place in (tmp_path, tmp_path / "none" / "page.html"):
        result = snnc("report", artifact, "--data", data, "-o", place)
        assert result.code == 9
        assert "SNNC-E432" in result.err
        assert "verify" not in result.err


class Page(HTMLParser):
    """Tags, attributes and text of a page; every tag must be closed by its own end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID | OPEN:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in OPEN:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words += data


@pytest.fixture(scope="module")
def page(artifact: Path, data: Path) -> str:
    out = artifact.parent / "page.html"
    assert run(["report", str(artifact), "--data", str(data), "-o", str(out), "--quiet"]) == 0
    return out.read_text()


def harmless(text: str) -> Page:
    """The page, if nothing on it runs or is fetched."""
    found = Page(text)
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    links = [v for name, v in found.attributes if name in ("href", "src", "action", "xlink:href")]
    assert [v for v in links if not v.startswith("#") and v != "data:,"] == []
    assert not re.search(r"url\(|@import|https?:", re.sub(r"<td class=\"wrap\">[^<]*", "", text))
    assert found.tags.count("style") == 1
    return found


def test_the_page_holds_every_part(page: str, artifact: Path, data: Path, snnc: Snnc) -> None:
    found = harmless(page)
    ids = {value for name, value in found.attributes if name == "id"}
    parts = {"pipeline", "layers", "ranges", "weights", "spikes", "why", "classes", "energy"}
    assert ids == parts | {"sizes", "mapping", "origin"}
    assert {v[1:] for name, v in found.attributes if name == "href" and v[:1] == "#"} == ids
    verified = snnc("verify", artifact, "--data", data, "--json").document
    assert f"{100 * verified['integer']['accuracy']:.2f} %" in found.words
    for layer, d in verified["divergence"].items():
        assert layer in found.words
        assert f"{100 * d['f1']:.2f} %" in found.words
    assert "Horowitz" in found.words  # a source of the energies


def test_the_confusion_matrix_counts_every_sample(page: str) -> None:
    table = page[page.index('<table class="heat">') :]
    table = table[: table.index("</table>")]
    cells = re.findall(r'<td class="[^"]*" style="--v:[^"]*">([^<]+)', table)
    assert sum(int(c) for c in cells if c.strip() != "·") == 8


def test_equal_artifacts_give_equal_bytes(
    page: str, artifact: Path, data: Path, tmp_path: Path, snnc: Snnc
) -> None:
    assert snnc("report", artifact, "--data", data, "-o", tmp_path / "again.html").code == 0
    assert (tmp_path / "again.html").read_text() == page


def test_without_data_there_is_no_behaviour(artifact: Path, tmp_path: Path, snnc: Snnc) -> None:
    assert snnc("report", artifact, "-o", tmp_path / "page.html").code == 0
    found = harmless((tmp_path / "page.html").read_text())
    ids = {value for name, value in found.attributes if name == "id"}
    assert ids == {"pipeline", "layers", "ranges", "weights", "sizes", "mapping", "origin"}


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory, data: Path) -> str:
    """The page of a network whose names try to break out."""
    folder = tmp_path_factory.mktemp("evil")
    graph = mlp()
    names = [" ".join((*EVIL[i:], *EVIL[:i])) for i in range(len(EVIL))]
    names = [*names, *HARMLESS][: len(graph)]
    loc = Loc("</td><script>alert(2)</script>", "<b>evil.py", 3)
    model = model_file(folder, renamed(graph, names, loc))
    assert run(["compile", str(model), "-o", str(folder / "net"), "--quiet"]) == 0
    with np.load(data) as arrays:
        np.savez(folder / "data.npz", x=arrays["x"], y=arrays["y"])
    args = ["report", str(folder / "net"), "--data", str(folder / "data.npz"), "--quiet"]
    assert run([*args, "-o", str(folder / "page.html")]) == 0
    return (folder / "page.html").read_text()


def test_hostile_names_are_text(evil: str) -> None:
    found = harmless(evil)
    assert "<script>alert(1)</script>" in found.words
    assert "{{ 7 * 7 }}" in found.words
    assert "49{%" not in found.words
    assert "\x1b" not in evil
    assert "\u202e" not in evil


@pytest.mark.parametrize("kind", ["page", "evil"])
def test_a_browser_has_nothing_to_say_and_nothing_overflows(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    text = request.getfixturevalue(kind)
    frames = "".join(
        f'<iframe style="width:{w}px;height:900px" srcdoc="{html.escape(text)}"></iframe>'
        for w in (400, 1600)
    )
    look = """onload = () => { for (const f of document.querySelectorAll('iframe')) {
        const root = f.contentDocument.documentElement, p = document.createElement('p');
        p.textContent = `${root.clientWidth} holds ${root.scrollWidth}`;
        document.body.append(p); } }"""
    outer = tmp_path / "frames.html"
    outer.write_text(f"<!doctype html><body>{frames}<script>{look}</script>")
    switches = "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync"
    switches += " disable-background-networking disable-component-update enable-logging=stderr"
    done = subprocess.run(
        [
            browser,
            *(f"--{s}" for s in switches.split()),
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=2100,1000",
            "--dump-dom",
            outer.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    widths = re.findall(r"<p>(\d+) holds (\d+)", done.stdout)
    assert len(widths) == 2
    for inner, needed in widths:
        assert int(needed) <= int(inner)
