"""Operators of ONNX with bodies: loops run as often as their bound says, with the state as values.

The body of a ``Scan`` or ``Loop`` is executed once for every step, on the operators of one step.
The recovery of the time loop then finds the body again, whatever else the graph does around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from snnc.diagnostics import fail
from snnc.frontends.onnx_axes import ROUNDS
from snnc.frontends.onnx_call import Call
from snnc.frontends.onnx_file import OnnxGraph
from snnc.frontends.onnx_fold import Const


def _body(c: Call, name: str) -> OnnxGraph:
    body = c.attr(name)
    if not isinstance(body, OnnxGraph):
        raise TypeError(f"{name} is missing")
    return body


def _run(c: Call, body: OnnxGraph, values: list[Any]) -> list[Any]:
    """Results of a body; what it defines is forgotten afterwards."""
    if len(values) != len(body.inputs):
        raise ValueError(f"the body takes {len(body.inputs)} values, not {len(values)}")
    env = c.env | {x.name: v for x, v in zip(body.inputs, values, strict=True)}
    c.module.run(body, env)
    return [env[name] for name in body.outputs]


def _scan(c: Call) -> tuple[Any, ...]:
    body, count = _body(c, "body"), c.attr("num_scan_inputs")
    first = len(c.values) - count
    states, scanned = list(c.values[:first]), [c.x(first + i) for i in range(count)]
    axes = [
        a % x.dim() for a, x in zip(c.attr("scan_input_axes", [0] * count), scanned, strict=True)
    ]
    back = c.attr("scan_input_directions", [0] * count)
    steps = {int(x.shape[a]) for a, x in zip(axes, scanned, strict=True)}
    if len(steps) != 1 or not 1 <= max(steps) <= ROUNDS:
        raise ValueError(f"the inputs have {sorted(steps)} steps")
    (rounds,) = steps
    collected: list[list[torch.Tensor]] = [[] for _ in body.outputs[first:]]
    for t in range(rounds):
        now = [
            x.select(a, rounds - 1 - t if b else t)
            for x, a, b in zip(scanned, axes, back, strict=True)
        ]
        results = _run(c, body, [*states, *now])
        states = results[:first]
        for items, y in zip(collected, results[first:], strict=True):
            items.append(c.module.whole(y))
    places = c.attr("scan_output_axes", [0] * len(collected))
    turned = c.attr("scan_output_directions", [0] * len(collected))
    stacked = [
        torch.stack(items[::-1] if b else items, a)
        for items, a, b in zip(collected, places, turned, strict=True)
    ]
    return (*states, *stacked)


def _loop(c: Call) -> tuple[Any, ...]:
    body = _body(c, "body")
    rounds = _rounds(c)
    states = list(c.values[2:])
    collected: list[list[torch.Tensor]] = [[] for _ in body.outputs[1 + len(states) :]]
    going = not c.has(1) or bool(c.const(1).array.all())
    for t in range(rounds if going else 0):
        index = Const(np.array(t, np.int64), live=True)
        on, *results = _run(c, body, [index, Const(np.array(True)), *states])
        if not isinstance(on, Const):
            text = "how often a loop runs depends on the values of a tensor"
            raise fail("E130", text, c.node.loc, help="use a loop with a fixed number of steps")
        states = results[: len(states)]
        for items, y in zip(collected, results[len(states) :], strict=True):
            items.append(c.module.whole(y))
        if not on.array.all():
            break
    if any(not items for items in collected):
        raise ValueError("the loop never runs")
    return (*states, *(torch.stack(items) for items in collected))


def _rounds(c: Call) -> int:
    """How often the loop runs; what is written into the file may be the number of steps."""
    if not c.has(0):
        text = "a loop without a number of rounds depends on the values of a tensor"
        raise fail("E130", text, c.node.loc, help="use a loop with a fixed number of steps")
    bound = c.const(0)
    rounds = int(bound.array.reshape(-1)[0])
    module = c.module
    if not bound.live and rounds == module.own_steps and module.steps:
        rounds = module.steps
    if rounds > ROUNDS:
        text = f"a loop runs {rounds:,} times"
        raise fail("E143", text, c.node.loc, help="export the model again")
    return rounds


def _if(c: Call) -> tuple[Any, ...]:
    if not isinstance(c.values[0], Const):
        text = "a branch is chosen by the values of a tensor"
        raise fail("E130", text, c.node.loc, help="write the choice with Where")
    chosen = "then_branch" if c.const(0).array.all() else "else_branch"
    return tuple(_run(c, _body(c, chosen), []))


CONTROL_RULES = {"Scan": _scan, "Loop": _loop, "If": _if}
