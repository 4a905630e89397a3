"""Reads the NIR file of a network in other libraries and counts the spikes that are the same.

The network is an MLP 64-48-10 of LIF neurons with random weights, once with a reset to zero, as
NIR's equations have it, and once by subtraction, which NIR does not record.  ``snnc compile
--target nir`` writes the file; each library reads it in a process of its own, with its defaults,
and runs 32 samples of 100 steps.  Their output spikes are compared with those of the compiled
network in real numbers: how many there are, and the share of equal entries.

What they make of a file is theirs.  All reset to zero, or by subtraction (sinabs), whatever was
written.  sinabs 3.1.3 also takes tau as a number of steps, ``v = exp(-1 / tau) v + I``, and allows
several spikes in a step; ``sinabs, set`` is the network that it read with its neurons' attributes
set to what the file says.

    python -m examples.benchmarks.nir_readers
    python -m examples.benchmarks.nir_readers --python spikingjelly=/other/bin/python

Versions of NIR exclude each other (sinabs needs 1.0.4, SpikingJelly 2.0 and snnTorch 1.0 a later
one): name an interpreter for each library that the current one cannot import.  Needs torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ("nir", "snntorch", "spikingjelly", "norse", "sinabs", "sinabs, set")
DT = 1e-4


def read_and_run(library: str, file: Path, spikes: Path, out: Path) -> None:
    """In the library's own process: read the file, run (N, T, 64) and store the outputs."""
    import nir

    graph = nir.read(file)
    if library == "nir":
        print(f"{len(graph.nodes)} nodes, {len(graph.edges)} edges")
        return
    import torch

    x = torch.from_numpy(np.load(spikes))
    with torch.no_grad():
        found = _outputs(library, graph, x)
    np.save(out, found.numpy())


def _outputs(library: str, graph: Any, x: Any) -> Any:
    import torch

    if library.startswith("sinabs"):
        from sinabs.nir import from_nir as from_nir_sinabs

        net = from_nir_sinabs(graph, batch_size=len(x))
        if library.endswith("set"):
            _as_written(net)
        result = net(x.flatten(0, 1))  # its layers take all steps in the axis of samples
        return result[0] if isinstance(result, tuple) else result
    if library == "snntorch":
        from snntorch.import_nir import import_from_nir

        net = import_from_nir(graph)
    elif library == "norse":
        from norse.torch import from_nir as from_nir_norse

        net = from_nir_norse(graph, dt=DT)
    else:
        from spikingjelly.activation_based.nir_exchange import import_from_nir as import_jelly

        net = import_jelly(graph, dt=DT)
    state, steps = None, []
    for t in range(x.shape[1]):
        y = net(x[:, t]) if state is None else net(x[:, t], state)
        y, state = y if isinstance(y, tuple) else (y, None)
        steps.append(y)
    return torch.stack(steps, 1)


def _as_written(net: Any) -> None:
    """``v = (1 - dt / tau) v + (dt / tau) I``, one spike in a step, a reset to zero."""
    import torch
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import LIF

    for layer in net.modules():
        if isinstance(layer, LIF):
            tau = -1 / torch.log(1 - DT / layer.tau_mem.double())  # exp(-1 / tau) is 1 - dt / tau
            layer.tau_mem.data = tau.float()
            layer.norm_input, layer.spike_fn = True, SingleSpike
            layer.reset_fn = MembraneReset()


def network(reset: str) -> Any:
    """LIF neurons in a loop, as a user writes them."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(64, 48), nn.Linear(48, 10)

        def forward(self, spikes: torch.Tensor) -> torch.Tensor:
            v, u, steps = torch.zeros(len(spikes), 48), torch.zeros(len(spikes), 10), []
            for t in range(spikes.shape[1]):
                v = 0.9 * v + self.fc1(spikes[:, t])
                hidden = (v > 1.0).float()
                u = 0.8 * u + self.fc2(hidden)
                out = (u > 1.0).float()
                if reset == "zero":
                    v, u = v * (1 - hidden), u * (1 - out)
                else:
                    v, u = v - hidden, u - out
                steps.append(out)
            return torch.stack(steps, 1)

    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.fc1.weight *= 2.5
        net.fc2.weight *= 3
    return net


def compare(reset: str, folder: Path, pythons: dict[str, str]) -> None:
    """Print a line for every library."""
    import torch

    import snnc
    from snnc.backends.float_sim import FloatSimulator
    from snnc.verify import float_graph

    rng = np.random.default_rng(0)
    x = (rng.random((32, 100, 64)) < 0.3).astype(np.float32)
    snnc.export(network(reset), torch.from_numpy(x[:4]), folder / "model.pt", time_axis=1)
    artifact = snnc.compile(folder / "model.pt", folder / "net", target="nir")
    (want,) = FloatSimulator(float_graph(artifact.model())).run(x)[0].values()
    np.save(folder / "x.npy", x)
    print(f"reset {reset}: snnc {int(want.sum())} output spikes of {want.size}")
    for library in LIBRARIES:
        out = folder / f"{library}.npy"
        files = [folder / "net/nir/model.nir", folder / "x.npy", out]
        python = pythons.get(library.partition(",")[0], sys.executable)
        command = [python, __file__, "--child", library, *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
            print(f"  {library:13} cannot read it here: {reason[:100]}")
        elif library == "nir":
            print(f"  {library:13} {done.stdout.strip()}")
        else:
            got = np.load(out).reshape(want.shape)
            print(
                f"  {library:13} {int(got.sum()):6} spikes, {(got == want).mean():8.3%} of all "
                f"entries equal, {np.minimum(got, want).sum() / max(want.sum(), 1):7.2%} of spikes"
            )


def main() -> None:
    """Print a table for each reset."""
    if sys.argv[1:2] == ["--child"]:
        warnings.simplefilter("ignore")
        read_and_run(sys.argv[2], *map(Path, sys.argv[3:]))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=INTERPRETER")
    pythons = dict(text.split("=", 1) for text in parser.parse_args().python)
    for reset in ("zero", "subtract"):
        with tempfile.TemporaryDirectory() as name:
            compare(reset, Path(name), pythons)


if __name__ == "__main__":
    main()
