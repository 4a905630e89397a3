"""Every operator of PyTorch that has a rule, in a small network that computes with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as f

from snnc.exporting import Report, export
from snnc.graph import Graph

Function = Callable[..., Tensor]
Layer = Callable[[], nn.Module]
Part = tuple[Function, list[nn.Module]]


class Through(nn.Module):
    """Operators on the spikes and the membrane of a leaky population, at every step."""

    def __init__(
        self, shape: tuple[int, ...], parts: list[tuple[Function, list[nn.Module]]]
    ) -> None:
        super().__init__()
        self.shape, self.parts = shape, [fn for fn, _ in parts]
        self.layers = nn.ModuleList(nn.ModuleList(layers) for _, layers in parts)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        v = torch.zeros(x.shape[0], *self.shape)
        rows = []
        for t in range(x.shape[1]):
            v = 0.75 * v + x[:, t]
            s = (v >= 1.0).float()
            sides = zip(self.parts, self.layers, strict=True)
            rows.append([fn(s, v, *layers) for fn, layers in sides])
            v = v - s
        return tuple(torch.stack(column, 1) for column in zip(*rows, strict=True))


def exported(shape: tuple[int, ...], parts: list[Part], names: list[str]) -> Report:
    torch.manual_seed(1)
    net = Through(shape, parts)
    x = torch.rand(3, 6, *shape) * 1.5
    return export(net, x, time_axis=1, outputs=names)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(2)
    return make()


Case = tuple[tuple[int, ...], Function, tuple[Layer, ...], str]

#: Shape of the population, the operator, its layers, and an operator of the graph it becomes.
CASES: dict[str, Case] = {
    "transpose": (
        (3, 4),
        lambda s, v, a: a(s.transpose(1, 2)),
        (lambda: nn.Linear(3, 2),),
        "Transpose",
    ),
    "permute": ((2, 3, 4), lambda s, v: s.permute(0, 3, 1, 2) * 2, (), "Transpose"),
    "slice": ((8,), lambda s, v: s[:, 1:7:2] * v[:, :3], (), "Slice"),
    "select": ((3, 4), lambda s, v: s[:, 1] + v[:, -1], (), "Slice"),
    "split": ((6,), lambda s, v: sum(s.split([1, 2, 3], 1)[1:2]) + v.chunk(3, 1)[0], (), "Slice"),
    "unbind": ((3, 4), lambda s, v: s.unbind(1)[0] * v.unbind(1)[2], (), "Slice"),
    "concat": ((4,), lambda s, v: torch.cat([s, v, s], 1), (), "Concat"),
    "stack": ((4,), lambda s, v: torch.stack([s, v], 2).sum(2), (), "Concat"),
    "expand": ((4,), lambda s, v: s[:, :, None].expand(-1, -1, 3) + 1, (), "Expand"),
    "outer": ((4,), lambda s, v: s[:, :, None] * v[:, None, :], (), "Pointwise"),
    "repeat": ((2, 3), lambda s, v: s.repeat(1, 2, 2), (), "Expand"),
    "repeat each": ((4,), lambda s, v: s.repeat_interleave(3, 1), (), "Expand"),
    "tile": ((4,), lambda s, v: s.tile(3), (), "Expand"),
    "index": ((5,), lambda s, v: s[:, torch.tensor([4, 0, 4])], (), "Take"),
    "index_select": ((5,), lambda s, v: s.index_select(1, torch.tensor([3, 1])), (), "Take"),
    "gather": (
        (2, 3),
        lambda s, v: s.gather(2, torch.tensor([[2, 2], [0, 1]]).expand(s.shape[0], 2, 2)),
        (),
        "Take",
    ),
    "roll": ((5,), lambda s, v: s.roll(2, 1), (), "Concat"),
    "flip": ((5,), lambda s, v: s.flip(1), (), "Take"),
    "shuffle": ((4, 2, 2), lambda s, v: f.channel_shuffle(s, 2) * 1.5, (), "Transpose"),
    "pixels": ((4, 2, 2), lambda s, v: f.pixel_shuffle(s, 2), (), "Transpose"),
    "assign slice": ((5,), lambda s, v: assigned(s, v), (), "Concat"),
    "sum": ((3, 4), lambda s, v: s.sum(2), (), "Reduce"),
    "sum all": ((3, 4), lambda s, v: s.sum((1, 2)), (), "Reduce"),
    "mean": ((3, 4), lambda s, v: v.mean(1, keepdim=True) * s, (), "Reduce"),
    "amax": ((3, 4), lambda s, v: v.amax(2), (), "Reduce"),
    "max": ((4,), lambda s, v: v.max(1).values, (), "Reduce"),
    "amin": ((3, 4), lambda s, v: v.amin(2), (), "Reduce"),
    "prod": ((7,), lambda s, v: (s + 0.5).prod(1), (), "Reduce"),
    "any and all": ((7,), lambda s, v: (s > 0).any(1).float() + (s > 0).all(1), (), "Reduce"),
    "var": ((5,), lambda s, v: v.var(1) + v.std(1, unbiased=False), (), "Reduce"),
    "norm": ((5,), lambda s, v: torch.linalg.vector_norm(v, dim=1), (), "Reduce"),
    "logsumexp": ((5,), lambda s, v: v.logsumexp(1), (), "Reduce"),
    "logsumexp kept": ((5,), lambda s, v: v - v.logsumexp(1, keepdim=True), (), "Reduce"),
    "argmax": ((5,), lambda s, v: v.argmax(1).float(), (), "ArgMax"),
    "winner": (
        (5,),
        lambda s, v: (v.argmax(1, keepdim=True) == torch.arange(5)).float(),
        (),
        "ArgMax",
    ),
    "topk": ((5,), lambda s, v: sum(v.topk(3, 1)), (), "TopK"),
    "sort": ((3, 4), lambda s, v: v.sort(1, descending=True).values + v.argsort(1), (), "TopK"),
    "kthvalue": ((5,), lambda s, v: v.kthvalue(2, 1).values + v.median(1).values, (), "TopK"),
    "scatter": (
        (3, 6),
        lambda s, v: torch.zeros_like(v).scatter(2, v.topk(2).indices, 1.0),
        (),
        "TopK",
    ),
    "scatter along the first axis": (
        (4, 3),
        lambda s, v: v.scatter(1, v.topk(2, 1, largest=False).indices, -0.5),
        (),
        "TopK",
    ),
    "cumsum": ((5,), lambda s, v: s.cumsum(1), (), "Linear"),
    "softmax": ((3, 4), lambda s, v: v.softmax(1), (), "Softmax"),
    "log_softmax": ((4,), lambda s, v: v.log_softmax(1), (), "Softmax"),
    "masked softmax": ((3, 4), lambda s, v: masked(s, v), (), "Softmax"),
    "matmul": ((3, 4), lambda s, v: s @ v.transpose(1, 2), (), "Matmul"),
    "matmul of weights": (
        (3, 4),
        lambda s, v, a: a.weight @ s,
        (lambda: nn.Linear(3, 2),),
        "Linear",
    ),
    "einsum": ((3, 4), lambda s, v: torch.einsum("bnc,bmc->bnm", s, v), (), "Matmul"),
    "einsum of weights": (
        (3, 4),
        lambda s, v, a: torch.einsum("bnc,oc->bno", v, a.weight),
        (lambda: nn.Linear(4, 2),),
        "Linear",
    ),
    "einsum of heads": (
        (3, 2, 4),
        lambda s, v: torch.einsum("bnhc,bmhc->bhnm", s, v),
        (),
        "Matmul",
    ),
    "einsum of groups": (
        (3, 4),
        lambda s, v: torch.einsum("bgc,gcd->bgd", s, torch.ones(3, 4, 2) / 3),
        (),
        "Matmul",
    ),
    "baddbmm": ((3, 3), lambda s, v: torch.baddbmm(v, s, v, beta=0.5, alpha=2), (), "Matmul"),
    "attention": ((3, 4), lambda s, v: f.scaled_dot_product_attention(s, v, v), (), "Softmax"),
    "causal attention": (
        (3, 4),
        lambda s, v: f.scaled_dot_product_attention(s, v, v, is_causal=True),
        (),
        "Softmax",
    ),
    "multihead": (
        (3, 4),
        lambda s, v, a: a(s, v, v, need_weights=False)[0],
        (lambda: nn.MultiheadAttention(4, 2, batch_first=True).eval(),),
        "Softmax",
    ),
    "layer_norm": ((3, 4), lambda s, v, a: a(v), (lambda: nn.LayerNorm(4),), "LayerNorm"),
    "layer_norm of two axes": (
        (3, 4),
        lambda s, v, a: a(v),
        (lambda: nn.LayerNorm((3, 4), bias=False),),
        "LayerNorm",
    ),
    "rms_norm": ((3, 4), lambda s, v, a: a(v), (lambda: nn.RMSNorm(4),), "RMSNorm"),
    "group_norm": ((4, 3, 3), lambda s, v, a: a(v), (lambda: nn.GroupNorm(2, 4),), "LayerNorm"),
    "instance_norm": (
        (4, 3, 3),
        lambda s, v, a: a(v),
        (lambda: nn.InstanceNorm2d(4, affine=True),),
        "LayerNorm",
    ),
    "conv1d": (
        (2, 7),
        lambda s, v, a: a(s),
        (lambda: nn.Conv1d(2, 3, 3, padding="same", dilation=2),),
        "Conv1d",
    ),
    "conv3d": (
        (2, 3, 4, 5),
        lambda s, v, a: a(s),
        (lambda: nn.Conv3d(2, 3, 2, stride=(1, 2, 1)),),
        "Conv3d",
    ),
    "conv_transpose1d": (
        (2, 5),
        lambda s, v, a: a(s),
        (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2),),
        "ConvTranspose1d",
    ),
    "conv_transpose2d": (
        (2, 3, 4),
        lambda s, v, a: a(s),
        (lambda: nn.ConvTranspose2d(2, 4, 3, 2, 1, 1, groups=2, dilation=2),),
        "ConvTranspose2d",
    ),
    "conv_transpose3d": (
        (2, 2, 2, 2),
        lambda s, v, a: a(s),
        (lambda: nn.ConvTranspose3d(2, 1, 2, bias=False),),
        "ConvTranspose3d",
    ),
    "upsample": (
        (2, 3, 3),
        lambda s, v: f.interpolate(s, scale_factor=2, mode="nearest"),
        (),
        "Upsample",
    ),
    "upsample 1d": ((2, 3), lambda s, v: f.interpolate(s, size=9), (), "Upsample"),
    "avg_pool1d": ((2, 7), lambda s, v: f.avg_pool1d(s, 2), (), "AvgPool1d"),
    "avg_pool3d": ((2, 4, 4, 4), lambda s, v: f.avg_pool3d(s, 2), (), "AvgPool3d"),
    "lp_pool1d": ((2, 8), lambda s, v: f.lp_pool1d(s, 1, 2), (), "SumPool1d"),
    "lp_pool3d": ((2, 4, 4, 4), lambda s, v: f.lp_pool3d(s, 1, 2), (), "SumPool3d"),
    "avg_pool without padding": (
        (2, 5, 5),
        lambda s, v: f.avg_pool2d(v, 3, 2, 1, count_include_pad=False),
        (),
        "SumPool2d",
    ),
    "avg_pool with a partial window": (
        (2, 5, 5),
        lambda s, v: f.avg_pool2d(v, 2, ceil_mode=True),
        (),
        "SumPool2d",
    ),
    "avg_pool with padding and a partial window": (
        (2, 6, 6),
        lambda s, v: f.avg_pool2d(v, 3, 2, 1, ceil_mode=True),
        (),
        "SumPool2d",
    ),
    "avg_pool with padding that does not count and a partial window": (
        (2, 6, 6),
        lambda s, v: f.avg_pool2d(v, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        (),
        "SumPool2d",
    ),
    "avg_pool with a divisor": (
        (2, 5, 5),
        lambda s, v: f.avg_pool2d(v, 2, divisor_override=3),
        (),
        "SumPool2d",
    ),
    "max_pool1d": ((2, 7), lambda s, v: f.max_pool1d(v, 3, 2, 1), (), "MaxPool1d"),
    "max_pool3d": ((2, 4, 4, 4), lambda s, v: f.max_pool3d(v, 2), (), "MaxPool3d"),
    "max_pool with dilation": (
        (2, 9, 8),
        lambda s, v: f.max_pool2d(v, (3, 2), (2, 1), (1, 0), (2, 3)),
        (),
        "MaxPool2d",
    ),
    "upsample to any size": ((2, 5), lambda s, v: f.interpolate(s, size=7), (), "Take"),
    "upsample by a fraction": (
        (2, 7),
        lambda s, v: f.interpolate(v, scale_factor=1.7, mode="nearest-exact"),
        (),
        "Take",
    ),
    "index of two axes": (
        (3, 4, 2),
        lambda s, v: v[:, torch.tensor([[2], [0]]), torch.tensor([1, -1])],
        (),
        "Take",
    ),
    "max_pool with a partial window": (
        (2, 5, 5),
        lambda s, v: f.max_pool2d(-v, 2, ceil_mode=True),
        (),
        "MaxPool2d",
    ),
    "max_pool with padding and a partial window": (
        (2, 6, 6),
        lambda s, v: f.max_pool2d(-v, 3, 2, 1, ceil_mode=True),
        (),
        "MaxPool2d",
    ),
    "adaptive pools": (
        (2, 5, 7),
        lambda s, v: f.adaptive_avg_pool2d(v, 3) + f.adaptive_max_pool2d(v, 3),
        (),
        "Reduce",
    ),
    "adaptive_avg_pool1d": ((2, 6), lambda s, v: f.adaptive_avg_pool1d(v, 3), (), "AvgPool1d"),
    "pad": ((2, 3, 3), lambda s, v: f.pad(v, (1, 2, 0, 1), value=0.5), (), "Concat"),
    "crop": ((2, 4, 4), lambda s, v: f.pad(v, (-1, -1, 1, -1)), (), "Slice"),
    "reflect": ((2, 3, 3), lambda s, v: f.pad(v, (1, 2, 2, 0), mode="reflect"), (), "Take"),
    "replicate": ((2, 3, 3), lambda s, v: f.pad(v, (1, 2, 2, 0), mode="replicate"), (), "Take"),
    "prelu": ((3, 2), lambda s, v, a: a(v - 1), (lambda: nn.PReLU(3),), "Pointwise"),
    "glu": ((6,), lambda s, v: f.glu(v), (), "Slice"),
}


def assigned(s: Tensor, v: Tensor) -> Tensor:
    y = torch.zeros_like(v)
    y[:, 1:3] = s[:, :2]
    y[:, 4] = v[:, 0]
    return y


def masked(s: Tensor, v: Tensor) -> Tensor:
    scores = (s @ v.transpose(1, 2)) / 2
    return scores.softmax(-1).masked_fill(scores == 0, 0.0) @ v


def producers(graph: Graph, output: str) -> set[str]:
    """Kinds of the operators behind an output."""
    seen, stack = set(), [output]
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += [e.src for e in graph.in_edges(name)]
    return {type(graph[name].op).__name__ for name in seen}


#: Populations whose operators are quick to trace; the others run with ``-m slow``.
QUICK = {(4, 2, 2), (8,), (2, 3, 3)}


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(shape, id=str(shape), marks=() if shape in QUICK else pytest.mark.slow)
        for shape in sorted({case[0] for case in CASES.values()})
    ],
)
def test_operators_are_exported(shape: tuple[int, ...]) -> None:
    names = [name for name, case in CASES.items() if case[0] == shape]
    parts = [(CASES[n][1], [seeded(make) for make in CASES[n][2]]) for n in names]
    report = exported(shape, parts, names)
    numeric = report.checks["numeric"]
    assert numeric["difference"] < 1e-5
    assert all(share > 0 for name, share in numeric["active"].items() if ".ge" in name)
    for name in names:
        assert CASES[name][3] in producers(report.model.graph, name), name


ACTIVATIONS = {
    **{name: getattr(f, name) for name in ("gelu", "silu", "hardswish", "hardsigmoid", "relu6")},
    **{
        name: getattr(f, name) for name in ("elu", "celu", "selu", "mish", "softsign", "leaky_relu")
    },
    **{name: getattr(f, name) for name in ("logsigmoid", "hardshrink", "softshrink", "tanhshrink")},
    "gelu of tanh": lambda v: f.gelu(v, approximate="tanh"),
    "threshold": lambda v: f.threshold(v, 0.25, 0.5),
    **{name: getattr(torch, name) for name in ("erf", "erfc", "exp2", "isnan")},
    "log2": lambda v: torch.log2(v.abs() + 1) + torch.log10(v.abs() + 1),
    "remainder": lambda v: v % 0.7 + v // 0.7,
}


@pytest.mark.slow
def test_activations_are_exported() -> None:
    def fn(s: Tensor, v: Tensor) -> Tensor:
        return torch.stack([act(v - 1.0).float() for act in ACTIVATIONS.values()], 1)

    assert exported((7,), [(fn, [])], ["y"]).checks["numeric"]["difference"] < 1e-5
