"""Time and memory of the export of a spiking transformer with 17 million parameters.

The network is SpikingJelly's spike-driven transformer 8-384 with random weights; the example is
one image of 64 x 64 pixels over 4 steps.  Export traces three lengths, recovers the loop, proves
it and compares module and graph.  Needs spikingjelly; run

    python -m examples.benchmarks.large_export

which prints one line: parameters, seconds, peak memory of the process and what was checked.
"""

from __future__ import annotations

import resource
import sys
import time

import torch
from spikingjelly.activation_based.model.spike_driven_transformer import sdt_8_384

from snnc.exporting import export


def main() -> None:
    """Export once and print the measurement."""
    torch.manual_seed(0)
    net = sdt_8_384().eval()
    parameters = sum(p.numel() for p in net.parameters())
    image = torch.rand(1, 3, 64, 64)
    start = time.perf_counter()
    report = export(net, image, steps=4)
    seconds = time.perf_counter() - start
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    active = report.checks["numeric"]["active"]
    firing = sum(share > 0 for share in active.values())
    print(
        f"{parameters / 1e6:.1f} M parameters: {seconds:.1f} s, peak {peak:.0f} MiB; "
        f"{report.checks['states']} states, {firing}/{len(active)} populations fire, "
        f"proof {', '.join(sorted(set(report.checks['proof'].values())))}, "
        f"largest difference {report.checks['numeric']['difference']:.1e}"
    )


if __name__ == "__main__":
    main()
