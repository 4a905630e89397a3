"""Ways of writing a time loop: odd but valid ones, and ones that are not one repeated step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.frontends.zoo.case import BATCH, STEPS, Case, loud, sequence, spike


class Loop(nn.Module):
    """A linear layer of 8 neurons and a readout; ``body`` is the loop."""

    def __init__(self, body: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.fc, self.out, self.body = nn.Linear(6, 8), nn.Linear(8, 3), body
        self.num_steps = STEPS
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.body(self, x)

    def zeros(self, x: Tensor) -> Tensor:
        return torch.zeros(x.shape[0], 8)


def fire(v: Tensor) -> tuple[Tensor, Tensor]:
    s = spike(v - 1)
    return v - s, s


def lif(
    net: Any,
    x: Tensor,
    change: Callable[[int, Tensor], Tensor] = lambda t, i: i,
    layer: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    v, out, layer = net.zeros(x), [], layer or net.fc
    for t in range(x.shape[1]):
        v, s = fire(0.8 * v + change(t, layer(x[:, t])))
        out.append(s)
    return torch.stack(out, 1)


def fifo(net: Any, x: Tensor) -> Tensor:
    v, queue, total = net.zeros(x), [net.zeros(x)] * 3, 0
    for t in range(x.shape[1]):
        v, s = fire(0.8 * v + net.fc(x[:, t]))
        total = total + net.out(queue[-3])
        queue.append(s)
    return total


def warm_up(net: Any, x: Tensor) -> Tensor:
    return lif(net, x)[:, 2:].sum(1)


def warm_up_list(net: Any, x: Tensor) -> Tensor:
    return torch.stack(list(lif(net, x).unbind(1))[2:], 1).sum(1)


def final_only(net: Any, x: Tensor) -> Tensor:
    y: Tensor = net.out(lif(net, x)[:, -1])
    return y


def running_max(net: Any, x: Tensor) -> Tensor:
    v, best = net.zeros(x), torch.full((x.shape[0], 3), -1e9)
    for t in range(x.shape[1]):
        v, s = fire(0.8 * v + net.fc(x[:, t]))
        best = torch.maximum(best, net.out(s))
    return best


def sub_steps(net: Any, x: Tensor) -> Tensor:
    v, out = net.zeros(x), []
    for t in range(x.shape[1]):
        i = net.fc(x[:, t])
        for _ in range(3):
            v = v + 0.3 * (i - v)
        s = spike(v - 1)
        v = v * (1 - s)
        out.append(s)
    return torch.stack(out, 1)


def repeated_image(net: Any, x: Tensor) -> Tensor:
    def layer(currents: Tensor) -> Tensor:
        v, out = torch.zeros_like(currents[0]), []
        for i in currents:
            v = v + (i - v) / 2
            s = spike(v - 0.5)
            v = v * (1 - s)
            out.append(s)
        return torch.stack(out)

    x = x.unsqueeze(0).repeat(net.num_steps, 1, 1, 1, 1)
    steps, batch = x.shape[:2]
    y = layer(net.bn(net.conv(x.flatten(0, 1))).view(steps, batch, 3, 6, 6))
    y = functional.avg_pool2d(y.flatten(0, 1), 2).reshape(steps, batch, -1)
    return layer(net.head(y)).mean(0)


def buffer_state(net: Any, x: Tensor) -> Tensor:
    net.v = net.start.expand(x.shape[0], -1)
    out = []
    for t in range(x.shape[1]):
        net.v, s = fire(0.8 * net.v + net.fc(x[:, t]))
        out.append(s)
    return torch.stack(out, 1)


def in_place(net: Any, x: Tensor) -> Tensor:
    v, out = net.zeros(x), []
    for t in range(x.shape[1]):
        v.mul_(0.8).add_(net.fc(x[:, t]))
        s = spike(v - 1)
        v.sub_(s)
        out.append(s)
    return torch.stack(out, 1)


def two_loops(net: Any, x: Tensor) -> Tensor:
    first = lif(net, x)
    v, out = net.zeros(x), []
    for s in first.unbind(1):
        v, y = fire(0.9 * v + net.hidden(s))
        out.append(y)
    y = torch.stack(out, 1).mean(1)
    return functional.linear(y, net.out.weight, net.out.bias)


def rates_then_loop(net: Any, x: Tensor) -> Tensor:
    """A block that averages over its own time, then a block that repeats the mean."""
    rate, v, out = lif(net, x).mean(1), net.zeros(x), []
    for _ in range(x.shape[1]):
        v, s = fire(0.9 * v + net.hidden(rate))
        out.append(s)
    return torch.stack(out, 1).mean(1)


def hard_coded(net: Any, x: Tensor) -> Tensor:
    v, w = net.zeros(x), torch.zeros(x.shape[0], 3)
    for _ in range(6):
        v, s = fire(0.8 * v + net.fc(x))
        w = 0.9 * w + net.out(s)
    return w


def hard_coded_input(net: Any, x: Tensor) -> Tensor:
    v, out = net.zeros(x), []
    for t in range(9):
        v, s = fire(0.8 * v + net.fc(x[:, t]))
        out.append(s)
    return torch.stack(out, 1)


def scales(net: Any, x: Tensor) -> Tensor:
    """A parameter with one entry per step meets the whole sequence."""
    y: Tensor = lif(net, net.fc(x) * net.scale, layer=lambda i: i)
    return y


def early_exit(net: Any, x: Tensor) -> Tensor:
    v, out = net.zeros(x), []
    for t in range(x.shape[1]):
        v, s = fire(0.8 * v + net.fc(x[:, t]))
        out.append(s)
        if s.sum() > 5:
            break
    return torch.stack(out, 1).sum(1)


def parallel(net: Any, x: Tensor) -> Tensor:
    """A neuron that mixes all steps with a learned matrix."""
    return torch.einsum("ts,bsn->btn", net.mix, net.fc(x)).ge(0.5).float().mean(1)


def both_ways(net: Any, x: Tensor) -> Tensor:
    y: Tensor = net.out((lif(net, x) + lif(net, x.flip(1)).flip(1)).mean(1))
    return y


def decoder(net: Any, x: Tensor) -> Tensor:
    """A second loop starts from where the first one ends."""
    v, out = net.zeros(x), []
    for t in range(x.shape[1]):
        v, _ = fire(0.8 * v + net.fc(x[:, t]))
    for _ in range(x.shape[1]):
        v, s = fire(0.7 * v + 0.1)
        out.append(s)
    return torch.stack(out, 1)


def _case(name: str, body: Any, refused: str = "", **parts: Any) -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        built = {k: v() if callable(v) else v for k, v in parts.items()}
        return loud(Loop(body, **built)), sequence(6)

    return Case(f"loops/{name}", make, {"time_axis": 1}, refused)


def _table() -> nn.Parameter:
    return nn.Parameter(torch.rand(20, 1) + 0.5)


def _norms() -> nn.ModuleList:
    norms = nn.ModuleList(nn.BatchNorm1d(8) for _ in range(20))
    for norm in norms:
        for value in (norm.running_mean, norm.bias.data):
            value.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 1.5)
    return norms


def _static(name: str, body: Any, options: dict[str, Any], refused: str = "") -> Case:
    def make() -> tuple[nn.Module, Tensor]:
        return loud(Loop(body)), torch.randn(BATCH, 6) * 2

    return Case(f"loops/{name}", make, options, refused)


def _image_case() -> tuple[nn.Module, Tensor]:
    parts = {"conv": nn.Conv2d(1, 3, 3), "bn": nn.BatchNorm2d(3), "head": nn.Linear(27, 4)}
    return loud(Loop(repeated_image, **parts), 12.0), torch.rand(BATCH, 1, 8, 8) * 3


CASES = [
    _case("queue of three steps", fifo),
    _case("warm-up by slice", warm_up),
    _case("warm-up by list", warm_up_list),
    _case("last step only", final_only),
    _case("running maximum", running_max),
    _case("sub-steps", sub_steps),
    _case("state in an attribute, learned start", buffer_state, start=lambda: torch.rand(8)),
    _case("in place", in_place),
    _case("two loops", two_loops, hidden=lambda: nn.Linear(8, 8)),
    Case("loops/repeated image", _image_case),
    _static("hard-coded steps", hard_coded, {"steps": 6, "static": True}),
    _case("hard-coded steps over the input", hard_coded_input),
    _case("rates, then another loop", rates_then_loop, hidden=lambda: nn.Linear(8, 8)),
    _case("table per step", lambda n, x: lif(n, x, lambda t, i: i * n.table[t]), table=_table),
    _case("scales of all steps", scales, scale=lambda: torch.rand(STEPS, 1) + 0.5),
    _case("norm per step", lambda n, x: lif(n, x, lambda t, i: n.norms[t](i)), norms=_norms),
    _case("number per step", lambda n, x: lif(n, x, lambda t, i: i * 0.9**t)),
    _case("even and odd", lambda n, x: lif(n, x, lambda t, i: i.relu() if t % 2 else i), "E133"),
    _case("early exit", early_exit, "E130"),
    _case("parallel neuron", parallel, mix=lambda: nn.Parameter(torch.rand(9, 9))),
    _case("both ways", both_ways),
    _case("encoder and decoder", decoder, "E131"),
    _case("random encoder", lambda n, x: lif(n, (torch.rand_like(x) < x).float()), "E134"),
    _case("mean removed", lambda n, x: spike(lif(n, x) - lif(n, x).mean(1, True))),
    _case("cumulated", lambda n, x: spike(lif(n, x).cumsum(1) - 2)),
]
