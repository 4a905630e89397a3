"""Sizes behind windows that slide over one, two or three axes."""

from __future__ import annotations

Sizes = tuple[int, ...]


def windowed(sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> Sizes:
    """Number of windows along every axis, rounded down.

    >>> windowed((8, 8), (3, 3), (2, 2), (1, 1))
    (4, 4)
    """
    if not len(sizes) == len(kernel) == len(stride) == len(padding):
        raise ValueError(f"window {kernel}, stride {stride}, padding {padding} for {sizes}")
    if min(*kernel, *stride) < 1 or min(padding) < 0:
        raise ValueError(f"window {kernel}, stride {stride}, padding {padding}")
    count = tuple(
        (n + 2 * p - k) // s + 1 for n, k, s, p in zip(sizes, kernel, stride, padding, strict=True)
    )
    if min(count) < 1:
        raise ValueError(f"window {kernel} is larger than the padded input {sizes}")
    return count


_NEEDS = {1: "(channels, length)", 2: "(channels, height, width)"}


def _channels(shape: Sizes, rank: int) -> None:
    if len(shape) != rank + 1:
        needs = _NEEDS.get(rank, "(channels, depth, height, width)")
        raise ValueError(f"needs {needs}, got {shape}")


def pooled(shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> Sizes:
    """Shape ``(C, …)`` after a window of ``kernel`` over ``(C, …)``, rounded down."""
    _channels(shape, len(kernel))
    return (shape[0], *windowed(shape[1:], kernel, stride, padding))


def _reach(kernel: Sizes, dilation: Sizes) -> Sizes:
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def convolved(
    shape: Sizes, weight: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Sizes:
    """Shape after a convolution with a weight of shape (C_out, C_in/groups, k, …)."""
    rank = len(stride)
    if len(weight) != rank + 2:
        raise ValueError(f"weight must be (out, in/groups, {'size, ' * rank}), got {weight}")
    _channels(shape, rank)
    out, per_group, *kernel = weight
    if groups < 1 or shape[0] != per_group * groups or out % groups:
        raise ValueError(f"weight {weight} with {groups} group(s) does not fit input {shape}")
    reach = _reach(tuple(kernel), dilation)
    return (out, *windowed(shape[1:], reach, stride, padding))


def spread(
    shape: Sizes,
    weight: Sizes,
    stride: Sizes,
    padding: Sizes,
    extra: Sizes,
    dilation: Sizes,
    groups: int,
) -> Sizes:
    """Shape after a transposed convolution, weight (C_in, C_out/groups, k, …).

    ``extra`` elements are added at the end of every axis (torch's ``output_padding``).
    """
    rank = len(stride)
    if len(weight) != rank + 2:
        raise ValueError(f"weight must be (in, out/groups, {'size, ' * rank}), got {weight}")
    _channels(shape, rank)
    fan_in, per_group, *kernel = weight
    if groups < 1 or shape[0] != fan_in or fan_in % groups or min(stride) < 1:
        raise ValueError(f"weight {weight} with {groups} group(s) does not fit input {shape}")
    reach = _reach(tuple(kernel), dilation)
    sizes = tuple(
        (n - 1) * s - 2 * p + r + e
        for n, s, p, r, e in zip(shape[1:], stride, padding, reach, extra, strict=True)
    )
    if min(sizes) < 1:
        raise ValueError(f"padding {padding} leaves nothing of the output {sizes}")
    return (per_group * groups, *sizes)
