"""Runs a loop over time layer by layer, each over all steps at once where no past value leads back.

Products over all steps and samples are fewer and larger, and a population's state stays close to
the processor while its steps run.  Layers that wait for each other take turns in every step, but
for a compiled population that waits for itself alone.  Each word is that of running all of it
step by step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from snnc.backends.torch.collectors import Collector, Sequence, Stack
from snnc.backends.torch.layers import DelayLinear, Weighted
from snnc.backends.torch.native import NativePopulation
from snnc.backends.torch.neuron import Neuron
from snnc.backends.torch.operator import Function, StepFunction
from snnc.backends.torch.phases import Key, Part, Run
from snnc.backends.torch.program import Program, Record

#: Sums that are computed at a time: 8 MiB, whose memory is used again and again.  Larger pieces
#: leave the cache, and are given back to the system and come anew page by page.
CHUNK = 1 << 21


def is_straight(program: Program) -> bool:
    """Whether every node of the first loop reads nodes before it alone, also late ones."""
    place = {n["name"]: i for i, n in enumerate(program.nodes)}
    return all(
        place[e["src"]] < i or program.clock[node["name"]] != "step"
        for i, node in enumerate(program.nodes)
        for e in node["inputs"]
    )


def run_whole(run: Run, steps: int) -> None:
    """Evaluate the first loop; its values are (T, N, ...) meanwhile."""
    groups = [(group, _waits(group)) for group in run.network.groups]
    folded = run.natives.folded if run.natives else {}
    closed = {
        i: part
        for i, (group, waits) in enumerate(groups)
        if waits and (part := _closed(run, group))
    }
    free = {node["name"] for group, waits in groups if not waits for node, _, _ in group}
    free |= {node["name"] for node, _, _ in closed.values()}
    for i, (group, waits) in enumerate(groups):
        if i in closed:
            _at_once(run, closed[i], steps)
            continue
        if waits:
            _in_turns(run, group, steps)
            continue
        ((node, module, own),) = group
        if folded.get(node["name"]) in free and isinstance(module, Weighted):
            run.deferred[node["name"]] = module, operands(run, node, module, steps)
        else:
            _at_once(run, (node, module, own), steps)
    run.done["step"] = steps


def _waits(group: list[Part]) -> bool:
    """Whether nodes of a group read each other or themselves."""
    names = {node["name"] for node, _, _ in group}
    return any(edge["src"] in names for node, _, _ in group for edge in node["inputs"])


def _closed(run: Run, group: list[Part]) -> Part | None:
    """The neuron of a group whose other layers are its own: compiled, it runs by itself.

    It must read nothing else of the group, such as its own spikes without a layer.
    """
    neurons = [part for part in group if isinstance(part[1], Neuron)]
    if run.natives is None or len(neurons) != 1:
        return None
    (node, _, _), names = neurons[0], {node["name"] for node, _, _ in group}
    native = run.natives.populations.get(node["name"])
    inside = {i for i, edge in enumerate(node["inputs"]) if edge["src"] in names}
    if native is None or inside != native.own or len(inside) != len(group) - 1:
        return None
    return neurons[0]


def _at_once(run: Run, part: Part, steps: int) -> None:
    node, module, own = part
    name = node["name"]
    if isinstance(module, Neuron):
        _neuron(run, node, module, steps)
    elif isinstance(module, Function):
        flat = [_flat(x) for x in operands(run, node, module, steps)]
        y = run.function(name, module)(*flat)
        run.values[name, 0] = y.reshape(steps, run.batch, *y.shape[1:])
    elif isinstance(module, StepFunction):
        late = [sequence(run, e, steps) for e in node["inputs"]]
        found = [module.forward(t, *(x[t] for x in late)) for t in range(steps)]
        shape = (run.batch, *module.shape)
        empty = run.like.new_zeros((0, *shape))
        run.values[name, 0] = torch.stack([y.expand(shape) for y in found]) if found else empty
    elif isinstance(module, Collector | Sequence | Stack):
        assert not own, "a value of the first loop comes from no earlier loop"
        if isinstance(module, Collector) and f"{name}.acc" not in run.records:
            taken = sequence(run, node["inputs"][0], steps)[module.start :]
            if len(taken):
                run.kept[name] = module.whole(taken)
        else:
            collect(run, node, module, steps)
    else:
        run.values[name, 0] = run.sequences[name]


def _in_turns(run: Run, parts: list[Part], steps: int) -> None:
    """Layers that read each other's past: all of one step, then all of the next."""
    clocks, types = run.program.clock, run.program.types
    shapes = {
        (n["name"], i): t["shape"] for n, _, _ in parts for i, t in enumerate(types[n["name"]])
    }
    found: dict[Key, Tensor] = {}
    read = {(e["src"], e["out"]) for n, _, _ in parts for e in n["inputs"]} - shapes.keys()
    given = {key: run.values[key] for key in read if clocks[key[0]] == "step"}
    late = [key for key in run.network.longest if key in shapes or key in given]
    names = {node["name"] for node, _, _ in parts}
    wanted = {
        (e["src"], e["out"])
        for node in run.program.nodes
        if node["name"] not in names
        for e in node["inputs"]
    }
    for t in range(steps):
        run.values |= {key: x[t] for key, x in given.items()}
        run.evaluate(parts, t, {})
        for key in shapes.keys() & wanted:
            value = run.values[key]
            if not t:
                found[key] = value.new_empty((steps, *value.shape))
            found[key][t] = value
        run.keep(late)
    for key, shape in shapes.items():
        none = run.like.new_zeros((0, run.batch, *shape))
        run.values[key] = found.get(key, none)
    run.values |= given
    for key in late:
        run.history.pop(key, None)  # others read the whole sequence


def operands(run: Run, node: Record, module: Function, steps: int) -> list[Tensor]:
    """What a function reads at every step, (T, N, ...)."""
    if not isinstance(module, DelayLinear):
        return [sequence(run, e, steps) for e in node["inputs"]]
    (edge,) = node["inputs"]
    past = [sequence(run, {**edge, "delay": edge["delay"] + lag}, steps) for lag in module.lags]
    columns = module.columns([_flat(x) for x in past])
    return [columns.reshape(steps, run.batch, columns.shape[1])]


def _flat(x: Tensor) -> Tensor:
    """All steps of all samples as one batch."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def sequence(run: Run, edge: Record, steps: int) -> Tensor:
    """An operand at every step, (T, N, ...)."""
    key, delay = (edge["src"], edge["out"]), min(edge["delay"], steps)
    x = run.values[key]
    if run.program.clock[edge["src"]] != "step":
        return x.expand(steps, *x.shape)
    if not delay:
        return x
    first = run.before(edge).to(x.dtype if edge["init"] is None else torch.int64)
    late = x[: steps - delay].to(first.dtype)
    return torch.cat([first.expand(delay, *first.shape), late])


def _neuron(run: Run, node: Record, module: Neuron, steps: int) -> None:
    name = node["name"]
    wanted = [i for i, s in enumerate(module.states) if f"{name}.{s}" in run.records]
    if run.natives and (native := run.natives.populations.get(name)):
        outputs, kept = _compiled(run, node, native, wanted, steps)
    else:
        arriving = [sequence(run, e, steps) for e in node["inputs"]]
        outputs, kept = _by_lines(run, module, arriving, wanted, steps)
    for i, whole in enumerate(outputs):
        run.values[name, i] = whole
    words = dict(zip(module.outputs, outputs, strict=True))
    words |= {module.states[i]: whole for i, whole in kept.items()}
    for word, whole in words.items():
        for value in whole if f"{name}.{word}" in run.records else ():
            run.note(f"{name}.{word}", value)


def _by_lines(
    run: Run, module: Neuron, arriving: list[Tensor], wanted: list[int], steps: int
) -> tuple[list[Tensor], dict[int, Tensor]]:
    """Outputs and wanted states of all steps, line by line as tensors."""
    states = module.start(run.batch)
    shape = (steps, run.batch, *module.shape)
    like = next((x for x in arriving if x.shape == shape), run.like.new_empty(shape))
    outputs = [torch.empty_like(like, dtype=w) for w in module.words]
    kept = {i: torch.empty_like(like, dtype=module.kept[i]) for i in wanted}
    for t in range(steps):
        found, states = module.step([x[t] for x in arriving], states)
        for whole, value in zip(outputs, found, strict=True):
            whole[t] = value
        for i, whole in kept.items():
            whole[t] = states[i]
    return outputs, kept


def _compiled(
    run: Run, node: Record, native: NativePopulation, wanted: list[int], steps: int
) -> tuple[list[Tensor], dict[int, Tensor]]:
    """The same by its compiled form: a few steps at a time, whose sums are still in the cache."""
    edges = node["inputs"]
    late = {i: run.deferred.pop(e["src"]) for i, e in enumerate(edges) if e["src"] in run.deferred}
    added = native.own | {i for i, (_, given) in late.items() if native.sparse(i, given[0])}
    known = {
        i: sequence(run, e, steps) for i, e in enumerate(edges) if i not in {*late, *native.own}
    }
    known |= {i: late.pop(i)[1][0] for i in added - native.own}
    known |= dict.fromkeys(native.own, run.like.new_zeros(()).expand(steps, 1))
    size = max(1, CHUNK // (run.batch * native.size)) if late else steps
    states = native.neuron.start(run.batch)
    room = None
    for t in range(0, steps, size):
        now = slice(t, min(t + size, steps))
        arriving = [_sums(*late[i], now) if i in late else known[i][now] for i in range(len(edges))]
        if room is None:
            order = native.order([] if added else arriving)
            room = native.room(order, steps, run.batch, wanted)
        outputs, kept = [y[now] for y in room[0]], {i: y[now] for i, y in room[1].items()}
        states = native.advance(order, arriving, states, outputs, kept, added, t > 0)
    assert room is not None, "only runs of some steps are compiled"
    return room


def _sums(layer: Weighted, inputs: list[Tensor], now: slice) -> Tensor:
    """The sums of a layer at some steps."""
    given = [x[now] for x in inputs]
    y = layer.sums(*map(_flat, given))
    return y.reshape(*given[0].shape[:2], *y.shape[1:])


def collect(run: Run, node: Record, module: Collector | Sequence | Stack, steps: int) -> None:
    """Take the values of all steps."""
    x = sequence(run, node["inputs"][0], steps)
    start = 0 if isinstance(module, Sequence) else module.start
    if not isinstance(module, Collector):
        run.stacks[node["name"]] = list(x[start:])
        return
    for t in range(steps):
        if t >= start:
            run.kept[node["name"]] = module.forward(run.kept.get(node["name"]), x[t])
        run.note_collected(node, module)
