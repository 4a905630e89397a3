import io
import sys

import pytest

from snnc.progress import progress, stage


def test_stages_are_lines_if_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=0.0):
        stage("trace 4 steps")
        with progress(quiet=100.0):
            stage("prove")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["trace 4 steps", "prove"]
    assert all(line.startswith("snnc: ") for line in lines)


def test_short_jobs_and_no_job_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stage("trace 4 steps")
    with progress():
        stage("trace 5 steps")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_spinner(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress(quiet=0.0):
        stage("trace 4 steps")
        stage("prove")
    assert "trace 4 steps" in terminal.getvalue() or "prove" in terminal.getvalue()
