"""The proof rejects a step that is not the network's, and the pieces it rests on."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from snnc.diagnostics import CompileError
from snnc.frontends.admissibility import inadmissible
from snnc.frontends.dag import Dag, Form
from snnc.frontends.layout import BATCH, TIME, Extents
from snnc.frontends.peel import Simplifier
from snnc.frontends.plan import Wish, resolve
from snnc.frontends.recover_loop import recover_proven
from snnc.frontends.step import State, StepProgram
from snnc.frontends.tracer import Tracer
from snnc.frontends.two_traces import recover
from snnc.frontends.unroll import proves


class Lif(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v, out = torch.zeros(x.shape[0], 4), []
        for t in range(x.shape[1]):
            v = 0.9 * v + self.fc(x[:, t])
            s = (v >= 0.3).float()
            v = v - 0.3 * s
            out.append(s)
        return torch.stack(out, 1)


@functools.cache
def traced() -> tuple[Dag, StepProgram, list[int], list[int]]:
    recipe, _, _ = resolve(Lif(), torch.rand(2, 9, 3), Wish(time_axis=1))
    tracer = Tracer(recipe, 11)
    shorter, _ = tracer.roots(6)
    longer, _ = tracer.roots(7)
    program, _ = recover(tracer.dag, longer, shorter, 6)
    unseen, _ = tracer.roots(9)
    return tracer.dag, program, longer, unseen


def test_proof_holds_at_traced_and_unseen_lengths() -> None:
    dag, program, longer, unseen = traced()
    simplify = Simplifier(dag)
    assert proves(dag, program, 7, longer, simplify) == "identical"
    assert proves(dag, program, 9, unseen, simplify) == "identical"


@pytest.mark.parametrize("mutation", ["sub", "mul", "ge", "initial"])
def test_mutated_step_is_rejected(mutation: str) -> None:
    dag, program, _, unseen = traced()
    other = {"sub": "add", "mul": "add", "ge": "gt"}.get(mutation)
    memo: dict[int, int] = {}
    changed = 0

    def replace(x: int) -> int | None:
        nonlocal changed
        term = dag[x]
        if term.form == Form("pointwise", (mutation,)) and other and not changed:
            changed += 1
            return dag.pointwise(other, *term.args)
        return None

    states = tuple(State(s.initial, dag.rewrite(s.next, memo, replace)) for s in program.states)
    outputs = tuple(dag.rewrite(x, memo, replace) for x in program.outputs)
    if mutation == "initial":
        one = dag.fill(1.0, (4,))
        states, changed = tuple(State(one, s.next) for s in program.states), 1
    assert changed == 1
    assert proves(dag, StepProgram(states, outputs), 9, unseen, Simplifier(dag)) is None


def test_whole_sequence_inside_a_step_is_inadmissible() -> None:
    dag = Dag()
    x = dag.input(0, -1, (4,))
    total = dag.make(Form("time_sum"), (x,), (4,))
    spike = dag.pointwise("ge", total, dag.literal(1.0))
    late = StepProgram((State(dag.fill(0.0, (4,)), spike),), (total,))
    assert {d.code for d in inadmissible(dag, late)} == {"E133"}
    leak = StepProgram((), (dag.pointwise("add", total, x),))
    assert {d.code for d in inadmissible(dag, leak)} == {"E133"}
    fine = StepProgram((), (dag.pointwise("ge", total, dag.literal(1.0)),))
    assert inadmissible(dag, fine) == []


def test_hidden_size_equal_to_a_traced_length() -> None:
    """Four hidden neurons, traced at four steps: told apart, or traced at other lengths."""
    recipe, _, _ = resolve(Lif(), torch.rand(2, 9, 3), Wish(time_axis=1))
    found = recover_proven(recipe, 9)
    program, proof, layouts = found.program, found.proof, found.layouts
    assert set(proof.values()) == {"identical"}
    assert len(program.states) == 1
    assert layouts == [((BATCH,), (TIME,), (4,))]


def test_axes_survive_flatten_and_view() -> None:
    extents = Extents(steps=5, batch=11)
    axes = ((TIME,), (BATCH,), (6,))
    flat = extents.regroup(axes, (55, 6))
    assert flat == ((TIME, BATCH), (6,))
    assert flat is not None
    assert extents.regroup(flat, (5, 11, 2, 3)) == ((TIME,), (BATCH,), (2,), (3,))
    assert extents.regroup(flat, (11, 5, 6)) is None
    assert extents.regroup(((BATCH,), (TIME,), (6,)), (11, 30)) == ((BATCH,), (TIME, 6))


def test_equal_computations_are_one_term() -> None:
    dag = Dag()
    x, b = dag.input(0, None, (3,)), dag.param("b", (1, 3))
    assert dag.pointwise("add", x, dag.reshape(b, (3,))) == dag.pointwise(
        "add", x, dag.param("b", (3,))
    )
    assert dag.pointwise("add", x, dag.literal(0.0)) == x
    zero = dag.fill(0.0, (3,))
    assert dag.pointwise("add", x, zero) != x  # a state may start as zeros
    assert Simplifier(dag)([dag.pointwise("add", x, zero)]) == [x]
    assert dag.reshape(dag.reshape(x, (3, 1)), (3,)) == x


def test_numeric_check_catches_a_wrong_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnc.exporting import export
    from snnc.frontends import evaluate

    broken = {**evaluate.FUNCTIONS, "ge": evaluate.FUNCTIONS["le"]}
    monkeypatch.setattr(evaluate, "FUNCTIONS", broken)
    with pytest.raises(CompileError, match="E138"):
        export(Lif(), torch.rand(2, 9, 3), time_axis=1)


def test_silent_neurons_are_reported() -> None:
    from snnc.exporting import export

    report = export(Lif(), torch.zeros(2, 9, 3) - 100, time_axis=1)
    silent = [d for d in report.diagnostics if d.code == "R138"]
    assert silent
    assert "fires" in str(silent[0]) or "fire" in str(silent[0])
