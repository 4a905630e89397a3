"""All families, in the order of the table."""

from __future__ import annotations

import importlib
import importlib.util

from examples.families.family import Family

#: File of families → the library it needs.
FILES = {
    "adaptive_spiking": "torch",
    "spiking_attention": "torch",
    "learned_lif": "torch",
    "parametric_lif": "spikingjelly",
    "lif_family": "torch",
    "encoders": "torch",
    "spikformer": "torch",
    "meta_spikeformer": "torch",
    "max_former": "torch",
    "spike_gpt": "torch",
    "symbolic_light": "torch",
    "spiking_brain": "torch",
    "spiking_vgg": "torch",
    "converted_ann": "torch",
    "early_exit": "torch",
    "learned_delays": "torch",
    "ts_lif": "torch",
    "spikf_go": "torch",
    "ultra_lif": "torch",
    "lateral_inhibition": "torch",
    "delta_layers": "torch",
    "diffusion_unet": "torch",
    "event_voxels": "torch",
    "spike_point": "torch",
    "bessel_decoder": "torch",
    "izhikevich": "torch",
    "snntorch_tutorial": "snntorch",
    "neuron_zoo": "torch",
}


def families() -> list[Family]:
    """Those whose library is installed."""
    found: list[Family] = []
    for file, library in FILES.items():
        if importlib.util.find_spec(library) is not None:
            found += importlib.import_module(f"examples.families.{file}").FAMILIES
    return found
