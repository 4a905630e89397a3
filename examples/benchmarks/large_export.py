"""Time and memory of the export of a spiking transformer with 17 million parameters.

The network is SpikingJelly's spike-driven transformer 8-384 with random weights and BatchNorm
statistics of two random images; the example is one image of 64 x 64 pixels over 4 steps.  Export
traces three lengths, recovers the loop, proves it and compares module and graph.
Needs spikingjelly; run

    python -m examples.benchmarks.large_export

which prints one line: parameters, seconds by the clock and by the processor, peak memory of the
process and what was checked.
"""

from __future__ import annotations

import resource
import sys
import time

import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.model.spike_driven_transformer import sdt_8_384

from snnc.exporting import export


def main() -> None:
    """Export once and print the measurement."""
    torch.manual_seed(0)
    net = sdt_8_384().eval()
    parameters = sum(p.numel() for p in net.parameters())
    image = torch.rand(1, 3, 64, 64)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            m.momentum = None
    with torch.no_grad():
        net.train()(torch.rand(2, 3, 64, 64))
    functional.reset_net(net)
    net.eval()
    start, busy = time.perf_counter(), time.process_time()
    report = export(net, image, steps=4)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    active = report.checks["numeric"]["active"]
    firing = sum(share > 0 for share in active.values())
    print(
        f"{parameters / 1e6:.1f} M parameters: {seconds:.1f} s ({busy:.1f} s of processor), "
        f"peak {peak:.0f} MiB; "
        f"{report.checks['states']} states, {firing}/{len(active)} populations fire, "
        f"proof {', '.join(sorted(set(report.checks['proof'].values())))}, "
        f"largest difference {report.checks['numeric']['difference']:.1e}"
    )


if __name__ == "__main__":
    main()
