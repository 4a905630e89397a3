"""The campaign of accuracies: one network is measured and kept, and the goals say what is missed.

All of it, an hour: ``python -m examples.accuracy``.
"""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from examples.accuracy import campaign, data
from examples.accuracy.__main__ import PLANS, goals, table
from examples.accuracy.campaign import Result, results
from examples.accuracy.networks import NETWORKS, Net


def result(bits: int, method: str, loss: float, f1: float = 90.0) -> Result:
    return Result("LIF MLP", 0, bits, method, 97.0, 97.0 - loss, f1, 1.0)


def test_results_are_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = NETWORKS["LIF MLP"]
    train = {"epochs": 4, "lr": 1e-2}
    quick = Net("digits", small.make, small.data, train, {"epochs": 1, "batch": 300})
    monkeypatch.setitem(NETWORKS, "LIF MLP", quick)
    plans = [(8, "mse"), (2, "finetune")]
    assert list(results(["LIF MLP"], 1, plans, tmp_path, known=True)) == []
    found = list(results(["LIF MLP"], 1, plans, tmp_path))
    assert [(r.bits, r.method) for r in found] == plans
    assert abs(found[0].accuracy - found[0].real) < 3
    assert found[0].real > 50
    longer = replace(quick, tune={"epochs": 2})  # tunes with other options
    monkeypatch.setattr(campaign, "_measured", None)
    assert list(results(["LIF MLP"], 1, plans, tmp_path)) == found
    monkeypatch.setitem(NETWORKS, "LIF MLP", longer)
    assert list(results(["LIF MLP"], 1, plans, tmp_path, known=True)) == found[:1]


def test_utterances_are_read_channel_by_channel_and_followed_by_zeros(tmp_path: Path) -> None:
    channels = [f"{c},{c + 0.26},-1" for c in range(12)]
    text = "# comment\n@classLabel true 1 2\n@data\n" + ":".join([*channels, "2"]) + "\n"
    for part in ("TRAIN", "TEST"):
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text(text)
    x, y, x_test, y_test = data.japanese_vowels(tmp_path)
    assert x.shape == x_test.shape == (1, 29, 12)
    assert y.tolist() == y_test.tolist() == [1]
    assert x[0, :4, 3].tolist() == [3.0, 3.25, -1.0, 0.0]


def test_data_that_are_not_there_say_where_they_are_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps aeon"):
        data.japanese_vowels()


def test_goals_are_judged_by_means_and_the_worst() -> None:
    fine = [result(b, m, 0.05, 95.0 if m == "gptq" else 90.0) for b, m in PLANS]
    assert all(ok for _, ok in goals(["LIF MLP"], fine))
    worse = [*fine, *(result(8, m, 0.6) for m in ("mse", "gptq", "auto"))]
    missed = [text for text, ok in goals(["LIF MLP"], worse) if not ok]
    assert [text[:13] for text in missed] == ["8 bits, auto:"] * 2
    behind = [r if r.method != "auto" else result(r.bits, "auto", 0.3) for r in fine]
    assert sum(not ok for _, ok in goals(["LIF MLP"], behind)) == 5
    assert "| 8 | mse | -0.05 (-0.0) F1 90.0 |" in table(["LIF MLP"], fine, 1)


def test_goals_and_tables_say_of_how_much_they_are() -> None:
    some = [result(8, m, 0.05) for m in ("mse", "gptq", "auto")]
    some += [replace(r, seed=1) for r in some if r.method == "mse"]
    lines = [text for text, _ in goals(["LIF MLP", "ASN"], some)]
    assert lines[0] == "8 bits, auto: mean loss +0.05 points, at most 0.1 (1 of 2 networks)"
    assert len(lines) == 3
    text = table(["LIF MLP", "ASN"], some, 2)
    assert "| 8 | auto | -0.05 (-0.0) F1 90.0 n=1 |  |" in text
    assert "n=2" not in text
    assert "| 4 |" not in text
