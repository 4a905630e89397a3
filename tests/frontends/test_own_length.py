"""Networks that hold for their own number of steps: tables per step, and T in the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snnc import ops
from snnc.backends.float_sim import FloatSimulator
from snnc.container import read_model
from snnc.diagnostics import CompileError
from snnc.exporting import Report, export
from snnc.frontends.dag import Dag
from snnc.frontends.peel import Simplifier
from snnc.frontends.plan import Wish, resolve
from snnc.frontends.recover_loop import recover_proven
from snnc.frontends.step import State, StepProgram
from snnc.frontends.unroll import proves, unroll
from tests.marks import quick_first

STEPS = 6


class Net(nn.Module):
    """A layer of neurons whose current is changed by ``change(net, t, current)``."""

    def __init__(self, change: Callable[[Any, int, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.fc, self.change = nn.Linear(5, 7), change
        with torch.no_grad():
            self.fc.weight.mul_(4)
        self.scale = nn.Parameter(torch.rand(STEPS, 1) + 0.5)
        self.norms = nn.ModuleList(nn.BatchNorm1d(7) for _ in range(STEPS))
        for norm in self.norms:
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros(x.shape[0], 7), []
        for t in range(x.shape[1]):
            v = 0.8 * v + self.change(self, t, self.fc(x[:, t]))
            s = (v >= 1).float()
            v = v - s
            out.append(s)
        return torch.stack(out, 1)


def example() -> torch.Tensor:
    return torch.randn(4, STEPS, 5, generator=torch.Generator().manual_seed(0))


CHANGES: dict[str, Callable[[Any, int, torch.Tensor], torch.Tensor]] = {
    "table": lambda net, t, i: i * net.scale[t],
    "expression of a table": lambda net, t, i: i * torch.sigmoid(net.scale[t]) + net.scale[t],
    "norm": lambda net, t, i: net.norms[t](i),
    "number": lambda net, t, i: i * 0.9**t,
    "summand": lambda net, t, i: i + 0.2 * t,
    "step function": lambda net, t, i: i * (0.5 if t < 3 else 0.25),
}


def exported(net: nn.Module, x: torch.Tensor, **options: Any) -> Report:
    report = export(net, x, **options)
    assert set(report.checks["proof"].values()) <= {"identical", "up to zeros"}
    assert report.checks["numeric"]["exact"]
    assert min(report.checks["numeric"]["active"].values()) > 0
    assert report.checks["states"]
    return report


@pytest.mark.parametrize("name", quick_first(CHANGES, "table", "norm", "number"))
def test_constants_that_change_from_step_to_step_are_tables(name: str, tmp_path: Path) -> None:
    net, x = Net(CHANGES[name]), example()
    report = exported(net, x, time_axis=1)
    tables = [n.op for n in report.graph if isinstance(n.op, ops.StepTable)]
    assert tables
    assert {t.values.shape[0] for t in tables} == {STEPS}
    assert report.graph.max_steps == STEPS
    assert report.model.meta["fixed_steps"] is False
    # both executions, and a shorter sequence: the table is read from its start
    export(net, x, tmp_path / "model.pt", time_axis=1)
    simulator = FloatSimulator(read_model(tmp_path / "model.pt").graph, np.float32)
    for steps in (STEPS, STEPS - 2):
        have = simulator.run(x[:, :steps].numpy())[0]["out"]
        with torch.no_grad():
            assert np.array_equal(have, net(x[:, :steps]).numpy())
    with pytest.raises(ValueError, match="holds for 6 steps at most, got 7"):
        simulator.run(np.zeros((1, 7, 5)))


def test_a_table_in_another_order_is_not_proven() -> None:
    recipe, _, steps = resolve(Net(CHANGES["table"]), example(), Wish(time_axis=1))
    found = recover_proven(recipe, steps)
    dag, program = found.dag, found.program
    traced = unroll(dag, program, steps)
    (table,) = (x for s in program.states for x in dag.cone([s.next]) if dag.kind(x) == "table")
    entries = dag[table].args
    assert len(set(entries)) == steps
    for wrong in (entries[::-1], (*entries[:-1], entries[0]), (*entries[:-2], *entries[:-3:-1])):
        other = with_term(dag, program, table, dag.table(wrong))
        assert proves(dag, other, steps, traced, Simplifier(dag)) is None


def with_term(dag: Dag, program: StepProgram, old: int, new: int) -> StepProgram:
    memo = {old: new}
    states = tuple(
        State(s.initial, dag.rewrite(s.next, memo, lambda _: None)) for s in program.states
    )
    outputs = tuple(dag.rewrite(x, memo, lambda _: None) for x in program.outputs)
    return replace(program, states=states, outputs=outputs)


def test_other_weights_at_every_step_are_refused() -> None:
    net = Net(lambda net, t, i: net.layers[t](i))
    net.layers = nn.ModuleList(nn.Linear(7, 7) for _ in range(STEPS))
    with pytest.raises(CompileError) as caught:
        export(net, example(), time_axis=1)
    (one,) = caught.value.diagnostics
    assert one.code == "E132"
    assert "layers.0" in one.message


class WholeSequence(nn.Module):
    """Scales of all steps, multiplied at once: only T = 6 runs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.fc, self.scale = nn.Linear(5, 7), nn.Parameter(torch.rand(STEPS, 1, 1) * 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        currents = self.fc(x.transpose(0, 1)) * self.scale
        v, total = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 7)
        for i in currents:
            v = 0.8 * v + i
            s = (v >= 1).float()
            v = v - s
            total = total + s
        return total / STEPS


def test_a_parameter_along_time_fixes_the_number_of_steps() -> None:
    report = exported(WholeSequence(), example(), time_axis=1)
    assert report.model.meta["fixed_steps"] is True
    assert report.graph.max_steps == STEPS
    assert list(report.checks["proof"]) == ["5", "6"]


class Literal(nn.Module):
    """The number of steps is in the code: over a static input, or over a sequence."""

    def __init__(self, static: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc, self.static = nn.Linear(5, 7), static
        with torch.no_grad():
            self.fc.weight.mul_(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, total = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 7)
        for t in range(6):
            v = 0.8 * v + self.fc(x if self.static else x[:, t])
            s = (v >= 1).float()
            v = v - s
            total = total + s
        return total


def test_steps_written_into_the_code() -> None:
    x = example()
    report = exported(Literal(False), x, time_axis=1)
    assert report.model.meta["fixed_steps"] is True
    report = exported(Literal(True), x[:, 0], steps=STEPS, static=True)
    assert report.model.meta["fixed_steps"] is True
    assert any(isinstance(n.op, ops.Repeat) for n in report.graph)


def test_steps_written_into_the_code_and_not_told() -> None:
    with pytest.raises(CompileError) as caught:
        export(Literal(True), example()[:, 0])
    (one,) = caught.value.diagnostics
    assert one.code == "E139"
    assert "steps=16" in str(one.help)
