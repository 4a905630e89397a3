"""Wall time of a step on Lava: processes of lava-nc itself, and one of ours for every layer.

The network is an MLP 784-512-512-10 of LIF neurons with random weights, reset to zero, in the
arithmetic of Loihi; a tenth of its inputs are spikes.  ``stock`` runs samples one after another,
``custom`` 20 side by side.  Each mode runs a few samples and many: the difference of the
times, by sample and step, leaves out what it takes to start Lava.  They take turns, the least time
counts, and all outputs are compared.

    python -m examples.benchmarks.lava_modes
    python -m examples.benchmarks.lava_modes --samples 4 --repeats 5

Needs torch and `snnc lava setup`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import snnc

STEPS = 25
#: Samples of the short run, whose time is taken off.
FEW = 2
MODES = {"stock": "lava-stock", "custom": "lava"}


class Net(nn.Module):
    """LIF neurons that a spike resets to zero; scores are spike counts."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        with torch.no_grad():
            for layer in self.layers:
                layer.weight *= 3  # so that a tenth of the neurons fire

    def forward(self, x: Tensor) -> Tensor:
        """Counts (N, 10) of spikes (N, T, 784)."""
        states = [torch.zeros(len(x), layer.out_features) for layer in self.layers]
        counts = torch.zeros(len(x), self.layers[-1].out_features)
        for t in range(x.shape[1]):
            spikes = x[:, t]
            for i, layer in enumerate(self.layers):
                v = 0.9 * states[i] + layer(spikes)
                spikes = (v > 1.0).float()
                states[i] = v * (1 - spikes)
            counts = counts + spikes
        return counts


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    sizes = (784, 512, 512, 10)
    rng = np.random.default_rng(0)
    x = (rng.random((options.samples + FEW, STEPS, sizes[0])) < 0.1).astype(np.float32)
    least = {(mode, n): float("inf") for mode in MODES for n in (FEW, len(x))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snnc.export(Net(sizes), torch.from_numpy(x[:4]), folder / "model.pt", time_axis=1)
        nets = {
            mode: snnc.compile(
                folder / "model.pt", folder / mode, target="lava", profile="loihi", lava_mode=mode
            )
            for mode in MODES
        }
        for _ in range(options.repeats):
            found = {}
            for mode, n in least:
                start = time.perf_counter()
                found[mode, n] = nets[mode].run(x[:n], MODES[mode]).outputs
                least[mode, n] = min(least[mode, n], time.perf_counter() - start)
            for n in (FEW, len(x)):
                for output, counts in found["stock", n].items():
                    np.testing.assert_array_equal(found["custom", n][output], counts, strict=True)
    step = {
        mode: (least[mode, len(x)] - least[mode, FEW]) / (options.samples * STEPS) for mode in MODES
    }
    whole = {mode: least[mode, len(x)] for mode in MODES}
    print(
        f"{'-'.join(map(str, sizes))}, {options.samples} samples of {STEPS} steps: "
        f"stock {1e3 * step['stock']:.2f} ms a step, custom {1e3 * step['custom']:.2f} ms, "
        f"{step['stock'] / step['custom']:.1f} times faster "
        f"(with the start of Lava {whole['stock']:.1f} and {whole['custom']:.1f} s); "
        "all outputs equal"
    )


if __name__ == "__main__":
    main()
