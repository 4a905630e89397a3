"""A layer of a library, and the file that the library's own exporter writes for it.

The parameters are computed as in ``snntorch/export_nir.py`` (1.0.0), SpikingJelly's
``nir_exchange/to_nir.py`` (2.0.0), ``norse/torch/utils/export_nir.py`` (1.1.0) and
``sinabs/nir.py`` (3.1.3); read with ``exporter=``, the float graph spikes exactly as the library's
layer does in float64.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from snnc.backends.float_sim import FloatSimulator
from tests.nirfiles import chain_of, read, write_nir

torch = pytest.importorskip("torch")
# the libraries' own deprecation warnings are not ours
pytestmark = pytest.mark.filterwarnings("ignore")

Array = npt.NDArray[Any]
N, STEPS, DT = 24, 100, 1e-4
RNG = np.random.default_rng(0)
BETA, ALPHA, THETA = (RNG.uniform(*r, N) for r in ((0.5, 0.97), (0.3, 0.9), (0.7, 1.4)))
X = RNG.uniform(-0.1, 0.8, (STEPS, N))


def spikes_of(tmp_path: Path, layer: dict[str, Any], options: str) -> Array:
    path = write_nir(tmp_path / "n.nir", *chain_of((N,), layer, out=(N,)))
    return FloatSimulator(read(path, options).graph).run(X[None])[0]["output"][0]


def snntorch_lif() -> dict[str, Any]:
    tau = DT / (1 - BETA)
    zero = np.zeros(N)
    return {
        "type": "LIF",
        "tau": tau,
        "r": tau / DT,
        "v_leak": zero,
        "v_threshold": THETA,
        "v_reset": zero,
    }


def snntorch_cuba() -> dict[str, Any]:
    lif = snntorch_lif()
    synapse = DT / (1 - ALPHA)
    rest = {k: v for k, v in lif.items() if k not in ("type", "tau")}
    mine = {"type": "CubaLIF", "tau_mem": lif["tau"], "tau_syn": synapse, "w_in": synapse / DT}
    return {**mine, **rest}


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
@pytest.mark.parametrize(
    ("reset", "delay", "options"),
    [
        ("subtract", True, ""),
        ("subtract", False, ",timing=snntorch"),
        ("zero", True, ",reset=zero"),
        ("zero", False, ",reset=zero,timing=same"),
        ("none", True, ",reset=none"),
    ],
)
def test_snntorch(tmp_path: Path, kind: str, reset: str, delay: bool, options: str) -> None:
    snntorch = pytest.importorskip("snntorch")
    if (kind, reset, delay) == ("Synaptic", "zero", True):
        options += ",timing=drop"
    given = {"beta": torch.tensor(BETA), "threshold": torch.tensor(THETA)}
    if kind == "Synaptic":
        given["alpha"] = torch.tensor(ALPHA)
    layer = getattr(snntorch, kind)(**given, reset_mechanism=reset, reset_delay=delay)
    state = layer.reset_mem()
    state = [s.double() for s in (state if isinstance(state, tuple) else (state,))]
    expected = []
    with torch.no_grad():
        for x in torch.tensor(X):
            spikes, *state = layer(x, *state)
            expected.append(spikes.numpy())
    written = snntorch_lif() if kind == "Leaky" else snntorch_cuba()
    mine = spikes_of(tmp_path, written, "exporter=snntorch" + options)
    assert np.sum(expected) > 100
    np.testing.assert_array_equal(mine, expected)


def jelly_layer(name: str) -> tuple[Any, dict[str, Any]]:
    neuron: Any = pytest.importorskip("spikingjelly.activation_based.neuron")
    full = np.full
    if name == "IF":
        layer = {"type": "IF", "r": full(N, 1 / DT), "v_threshold": full(N, 1.0)}
        return neuron.IFNode(v_reset=0.0), {**layer, "v_reset": full(N, 0.0)}
    if name == "CUBALIF":
        c, v = 0.6, 0.8
        syn, mem = DT / (1 - c), DT / (1 - v)
        return neuron.CUBALIFNode(c_decay=c, v_decay=v, v_threshold=1.0, v_reset=0.0), {
            "type": "CubaLIF",
            "tau_syn": full(N, syn),
            "tau_mem": full(N, mem),
            "r": full(N, mem / DT),
            "w_in": full(N, syn / DT),
            "v_leak": full(N, 0.0),
            "v_threshold": full(N, 1.0),
            "v_reset": full(N, 0.0),
        }
    reset, decay_input = (-0.1, name == "LIF with decayed input")
    layer = neuron.LIFNode(tau=2.5, v_reset=reset, decay_input=decay_input, v_threshold=0.3)
    return layer, {
        "type": "LIF",
        "tau": full(N, 2.5 * DT),
        "r": full(N, 1.0 if decay_input else 2.5),
        "v_leak": full(N, reset),
        "v_threshold": full(N, 0.3),
        "v_reset": full(N, reset),
    }


@pytest.mark.parametrize("name", ["IF", "LIF", "LIF with decayed input", "CUBALIF"])
def test_spikingjelly(tmp_path: Path, name: str) -> None:
    layer, written = jelly_layer(name)
    with torch.no_grad():
        expected = [layer(x[None]).numpy()[0] for x in torch.tensor(X)]
    mine = spikes_of(tmp_path, written, "exporter=spikingjelly")
    assert np.sum(expected) > 50
    np.testing.assert_array_equal(mine, expected)


def norse_layer(name: str) -> tuple[Any, dict[str, Any]]:
    """A cell with Norse's step of 1e-3, and what it writes: time constants times the step."""
    box: Any = pytest.importorskip("norse.torch.module.lif_box")
    lif: Any = pytest.importorskip("norse.torch.module.lif")
    iaf: Any = pytest.importorskip("norse.torch.module.iaf")

    def values(**given: float) -> dict[str, Any]:
        return {k: torch.tensor(v, dtype=torch.float64) for k, v in given.items()}

    ends = {"r": 1.0, "v_leak": 0.1, "v_threshold": 0.2}
    if name == "LIFBox":
        p = values(tau_mem_inv=100.0, v_leak=0.1, v_th=0.2, v_reset=0.0)
        cell = box.LIFBoxCell(box.LIFBoxParameters(**p), dt=1e-3)
        return cell, {"type": "LIF", "tau": 1e-3 / 100, **ends}
    if name == "LIF":
        p = values(tau_mem_inv=100.0, tau_syn_inv=200.0, v_leak=0.1, v_th=0.2, v_reset=0.0)
        cell = lif.LIFCell(lif.LIFParameters(**p), dt=1e-3)
        return cell, {"type": "CubaLIF", "tau_mem": 1e-3 / 100, "tau_syn": 1e-3 / 200, **ends}
    cell = iaf.IAFCell(iaf.IAFParameters(**values(v_th=1.0, v_reset=0.0)))
    return cell, {"type": "IF", "r": 1.0, "v_threshold": 1.0}


@pytest.mark.parametrize(("name", "options"), [("LIFBox", ""), ("LIF", ""), ("IAF", ",gain=r")])
def test_norse(tmp_path: Path, name: str, options: str) -> None:
    cell, written = norse_layer(name)
    state, expected = None, []
    with torch.no_grad():
        for x in torch.tensor(X):
            spikes, state = cell(x, state)
            expected.append(spikes.numpy())
    assert np.sum(expected) > 100
    mine = spikes_of(tmp_path, written, "exporter=norse" + options)
    np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("spikes", ["one", "many"])
@pytest.mark.parametrize(
    ("name", "options"), [("LIF", ""), ("LIF, input as it is", ",gain=r"), ("IAF", "")]
)
def test_sinabs(tmp_path: Path, name: str, options: str, spikes: str) -> None:
    layers: Any = pytest.importorskip("sinabs.layers")
    activation: Any = pytest.importorskip("sinabs.activation")
    given: dict[str, Any] = {}
    if spikes == "one":  # MultiSpike is the default of sinabs, and of exporter=sinabs
        given, options = {"spike_fn": activation.SingleSpike}, options + ",spikes=one"
    if name == "IAF":
        layer = layers.IAF(spike_threshold=torch.tensor(0.4), **given)
        written = {"type": "IF", "r": 1.0, "v_threshold": 0.4}
    else:
        given |= {"tau_mem": torch.tensor(10.0), "spike_threshold": torch.tensor(0.25)}
        layer = layers.LIF(**given, norm_input=name == "LIF")
        written = {"type": "LIF", "tau": 10.0, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.25}
    with torch.no_grad():
        expected = layer.double()(torch.tensor(X)[None]).numpy()[0]
    assert expected.sum() > 100
    assert name == "LIF" or (expected.max() > 1) == (spikes == "many")
    mine = spikes_of(tmp_path, written, "exporter=sinabs" + options)
    np.testing.assert_array_equal(mine, expected)
