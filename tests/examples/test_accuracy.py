"""The campaign of accuracies: one network is measured and kept, and the goals say what is missed.

All of it, an hour: ``python -m examples.accuracy``.
"""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from examples.accuracy import campaign
from examples.accuracy.__main__ import PLANS, goals, table
from examples.accuracy.campaign import Result, results
from examples.accuracy.networks import NETWORKS, Net


def result(bits: int, method: str, loss: float, f1: float = 90.0) -> Result:
    return Result("LIF MLP", 0, bits, method, 97.0, 97.0 - loss, f1, 1.0)


def test_results_are_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = NETWORKS["LIF MLP"]
    quick = Net(small.make, small.data, {"epochs": 4, "lr": 1e-2}, {"epochs": 1, "batch": 300})
    monkeypatch.setitem(NETWORKS, "LIF MLP", quick)
    monkeypatch.setattr(campaign, "PLANS", [(8, "mse"), (2, "finetune")])
    found = list(results(["LIF MLP"], 1, tmp_path))
    assert [(r.bits, r.method) for r in found] == [(8, "mse"), (2, "finetune")]
    assert abs(found[0].accuracy - found[0].real) < 3
    assert found[0].real > 50
    monkeypatch.setattr(campaign, "_measured", None)
    assert list(results(["LIF MLP"], 1, tmp_path)) == found


def test_goals_are_judged_by_means_and_the_worst() -> None:
    fine = [result(b, m, 0.05, 95.0 if m == "gptq" else 90.0) for b, m in PLANS]
    assert all(ok for _, ok in goals(["LIF MLP"], fine))
    worse = [*fine, *(result(8, m, 0.6) for m in ("mse", "gptq", "auto"))]
    missed = [text for text, ok in goals(["LIF MLP"], worse) if not ok]
    assert [text[:13] for text in missed] == ["8 bits, auto:"] * 2
    behind = [r if r.method != "auto" else result(r.bits, "auto", 0.3) for r in fine]
    assert sum(not ok for _, ok in goals(["LIF MLP"], behind)) == 5
    assert "| 8 | mse | -0.05 (-0.0) F1 90.0 |" in table(["LIF MLP"], fine)
