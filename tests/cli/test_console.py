import json

import pytest

from snnc.console import Console, visible
from snnc.diagnostics import Loc, error

NASTY = "fc\x1b[31m1\x07\r\n\u202e[bold]x[/bold]\ud800\x9b2J"


def test_control_characters_become_visible() -> None:
    shown = visible(NASTY)
    assert shown.isprintable()
    assert shown == r"fc\x1b[31m1\x07\r\n\u202e[bold]x[/bold]\ud800\x9b2J"
    assert visible("äöü √ 漢字 🙂") == "äöü √ 漢字 🙂"


def test_names_from_models_cannot_draw_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.report(error("E201", NASTY, Loc(NASTY, NASTY, 1), NASTY, help=NASTY))
    console.table(("layer",), [(NASTY,)])
    console.stage(NASTY, NASTY, 0.1)
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[bold]" in text


def test_a_pipe_gets_plain_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("layer", "bits"), [("a", "8"), ("long name", "16")])
    assert capsys.readouterr().out == ("  layer      bits\n  a             8\n  long name    16\n")


def test_json_prints_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(json=True, command="compile")
    console.say("text")
    console.note("progress")
    console.stage("read", "x", 0.1)
    console.table(("a",), [("b",)])
    console.report(error("E201", NASTY, Loc("fc", "m.py", 3), "why", help="what"))
    console.result = {"value": 1}
    console.finish(4)
    captured = capsys.readouterr()
    assert captured.err == ""
    document = json.loads(captured.out)
    assert document["schema"] == "snnc.result/1"
    assert (document["status"], document["exit"], document["value"]) == ("error", 4, 1)
    assert document["diagnostics"] == [
        {
            "severity": "error",
            "code": "SNNC-E201",
            "message": NASTY,
            "loc": {"path": "fc", "file": "m.py", "line": 3},
            "notes": ["why"],
            "help": "what",
        }
    ]


def test_quiet_leaves_results_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(quiet=True)
    console.note("progress")
    console.say("result")
    console.report(error("E201", "text"))
    captured = capsys.readouterr()
    assert captured.out == "result\n"
    assert captured.err == "error[SNNC-E201]: text\n"
