"""Every NIR neuron against its equations, written out once more in plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from snnc.backends.float_sim import FloatSimulator
from snnc.diagnostics import CompileError
from snnc.frontends.nir_time import round_number
from tests.nirfiles import chain_of, kernel_lines, read, write_nir

Array = npt.NDArray[Any]
N, STEPS, DT = 5, 80, 1e-3


def parameters(kind: str, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    names = {
        "I": ("r",),
        "IF": ("r", "v_threshold", "v_reset"),
        "LI": ("tau", "r", "v_leak"),
        "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
        "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
        "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    }[kind]
    ranges = {
        "tau": (0.002, 0.02),
        "tau_mem": (0.002, 0.02),
        "tau_syn": (0.002, 0.01),
        "r": (5.0, 20.0) if "tau" in "".join(names) else (300.0, 900.0),
        "v_leak": (-0.2, 0.2),
        "v_threshold": (0.5, 1.5),
        "v_reset": (-0.2, 0.1),
        "w_in": (1.0, 3.0),
    }
    return {name: rng.uniform(*ranges[name], N) for name in names}


def reference(
    kind: str, p: dict[str, Array], x: Array, reset: str, timing: str, compare: str, decay: str
) -> tuple[Array, Array]:
    """(spikes, membrane before the reset) of every step."""
    fires = np.greater if compare == "gt" else np.greater_equal
    v, current = np.zeros(N), np.zeros(N)
    spikes, membranes = [], []

    def keep(tau: Array) -> Array:
        return 1 - DT / tau if decay == "euler" else np.exp(-DT / tau)

    for i in x:
        late = fires(v, p["v_threshold"]) if timing != "same" and "v_threshold" in p else None
        if late is not None and timing == "next" and reset == "zero":
            v = np.where(late, p["v_reset"], v)
        if "tau_syn" in p:
            a = keep(p["tau_syn"])
            current = a * current + (1 - a) * p["w_in"] * i
            i = current
        if kind in ("I", "IF"):
            v = v + DT * p["r"] * i
        else:
            b = keep(p["tau"] if "tau" in p else p["tau_mem"])
            v = b * v + (1 - b) * (p["v_leak"] + p["r"] * i)
        if late is not None and reset == "subtract":
            v = v - late * p["v_threshold"]
        membranes.append(v)
        if "v_threshold" not in p:
            spikes.append(np.zeros(N))
            continue
        s = fires(v, p["v_threshold"])
        spikes.append(s)
        if timing == "same" and reset == "zero":
            v = np.where(s, p["v_reset"], v)
        elif timing == "same" and reset == "subtract":
            v = np.where(s, v - p["v_threshold"], v)
        elif timing == "snntorch" and reset == "subtract":
            assert late is not None
            v = v - (s.astype(int) - late.astype(int)) * p["v_threshold"]
    return np.array(spikes, float), np.array(membranes)


@pytest.mark.parametrize("kind", ["I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"])
@pytest.mark.parametrize(
    ("reset", "timing", "compare", "decay"),
    [
        ("zero", "same", "gt", "euler"),
        ("subtract", "same", "ge", "euler"),
        ("zero", "next", "gt", "exp"),
        ("subtract", "next", "gt", "euler"),
        ("subtract", "snntorch", "gt", "euler"),
        ("none", "same", "ge", "exp"),
    ],
)
def test_neurons_follow_their_equations(
    tmp_path: Path, kind: str, reset: str, timing: str, compare: str, decay: str
) -> None:
    p = parameters(kind)
    path = write_nir(tmp_path / "n.nir", *chain_of((N,), {"type": kind, **p}, out=(N,)))
    options = f"dt={DT},reset={reset},timing={timing},compare={compare},decay={decay}"
    graph = read(path, options).graph
    x = np.random.default_rng(1).uniform(0, 1, (STEPS, N))
    out, _ = FloatSimulator(graph).run(x[None])
    spikes, membranes = reference(kind, p, x, reset, timing, compare, decay)
    if "v_threshold" in p:
        assert 10 < spikes.sum() < spikes.size
        np.testing.assert_array_equal(out["output"][0], spikes)
    else:
        np.testing.assert_allclose(out["output"][0], membranes, rtol=1e-12)


def lif_by_hand(p: dict[str, Array], x: Array, options: str) -> tuple[Array, Array]:
    """(spikes, kept membranes) of a LIF with one of the rarer options."""
    v, spikes, kept = np.zeros(N), [], []
    k, theta = DT / p["tau"], p["v_threshold"]
    for i in x:
        late = v > theta
        v = (1 - k) * v + k * (p["v_leak"] + p["r"] * i)
        s = (v > theta).astype(float)
        match options:
            case "timing=drop":
                v = np.where(late, p["v_reset"], v)
                s = (v > theta).astype(float)
            case "floor=zero":
                v = np.maximum(np.where(s, p["v_reset"], v), 0)
            case "spikes=many":
                s = np.array([max(m - 1, 0) for m in np.ceil(v / theta)])
                v = np.where(s > 0, p["v_reset"], v)
            case "spikes=many,reset=subtract,compare=ge":
                s = np.array([max(m, 0) for m in np.floor(v / theta)])
                v = v - s * theta
        spikes.append(s)
        kept.append(v)
    return np.array(spikes), np.array(kept)


@pytest.mark.parametrize(
    "options",
    ["timing=drop", "floor=zero", "spikes=many", "spikes=many,reset=subtract,compare=ge"],
)
def test_rarer_options(tmp_path: Path, options: str) -> None:
    p = parameters("LIF") | {"v_threshold": np.random.default_rng(3).uniform(0.2, 0.4, N)}
    path = write_nir(tmp_path / "n.nir", *chain_of((N,), {"type": "LIF", **p}, out=(N,)))
    x = np.random.default_rng(1).uniform(-0.8, 1, (STEPS, N))
    graph = read(path, f"dt={DT},{options}").graph
    out, records = FloatSimulator(graph).run(x[None], record=["0.v"])
    spikes, kept = lif_by_hand(p, x, options)
    assert spikes.sum() > 10
    assert (spikes.max() > 1) == ("many" in options)
    np.testing.assert_array_equal(out["output"][0], spikes)
    np.testing.assert_allclose(records["0.v"][0], kept, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "options",
    ["timing=drop,reset=subtract", "spikes=many,timing=next", "exporter=snntorch,spikes=many"],
)
def test_options_that_exclude_each_other(tmp_path: Path, options: str) -> None:
    layer = {"type": "LIF", "tau": 0.01, "v_threshold": 1.0}
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))
    with pytest.raises(CompileError, match=r"E148.*exclude"):
        read(path, options)


def test_several_spikes_need_a_positive_threshold(tmp_path: Path) -> None:
    layer = {"type": "LIF", "tau": 0.01, "v_threshold": 0.0}
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))
    with pytest.raises(CompileError, match=r"E202.*above 0"):
        read(path, "spikes=many")


def test_a_loop_without_a_bias_remembers_spikes(tmp_path: Path) -> None:
    """Both readings of the loop are the same then, and spikes are exact in integers."""
    nodes, edges = chain_of((3,), {"type": "LIF", "tau": 0.01, "v_threshold": 1.0}, out=(3,))
    back = {"type": "Affine", "weight": np.eye(3), "bias": np.zeros(3)}
    delayed = {}
    for name, bias in (("without", np.zeros(3)), ("with", np.ones(3))):
        nodes["back"] = {**back, "bias": bias}
        path = write_nir(tmp_path / "n.nir", nodes, [*edges, ("0", "back"), ("back", "0")])
        graph = read(path, "loop=current").graph
        delayed[name] = [(e.src, e.dst) for e in graph.edges if e.delay]
    assert delayed == {"without": [("0", "back")], "with": [("back", "0")]}


def test_threshold_has_no_state(tmp_path: Path) -> None:
    layer = {"type": "Threshold", "threshold": np.float64(0.5)}
    graph = read(write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))).graph
    assert kernel_lines(graph, "0") == ["s = i > threshold"]
    out, _ = FloatSimulator(graph).run(np.array([[[0.4, 0.5, 0.6]]]))
    assert out["output"].tolist() == [[[0, 0, 1]]]


def test_the_kernel_is_the_users_formula(tmp_path: Path) -> None:
    layer = {"type": "LIF", "tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}
    graph = read(write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))).graph
    assert kernel_lines(graph, "0") == [
        "k = dt / tau",
        "decay = one - k",
        "kept = decay * v",
        "drive = k * i",
        "v1 = kept + drive",
        "s = v1 > v_threshold",
        "v2 = where(s, v_reset, v1)",
        "v' = v2",
    ]
    origins = {c.name: c.origin for c in graph["0"].op.kernel.consts}  # type: ignore[attr-defined]
    assert origins["tau"] == "0.tau"


@pytest.mark.parametrize(
    ("options", "drive", "synapse"),
    [
        ("gain=ode", "drive = gain * current1", "drive_syn = gain_syn * i"),
        ("gain=r,synapse=jump", "drive = r * current1", "drive_syn = w_in * i"),
        ("gain=one,synapse=decayed", "v1 = kept + current1", "drive_syn = decay_syn * i"),
    ],
)
def test_gains(tmp_path: Path, options: str, drive: str, synapse: str) -> None:
    p = {"tau_syn": 0.01, "tau_mem": 0.02, "r": 3.0, "w_in": 2.0, "v_threshold": 1.0}
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), {"type": "CubaLIF", **p}, out=(3,)))
    lines = kernel_lines(read(path, options).graph, "0")
    assert drive in lines
    assert synapse in lines


@pytest.mark.parametrize(
    ("layer", "dt"),
    [
        ({"type": "LIF", "tau": 0.001, "r": 10.0, "v_threshold": 1.0}, 1e-4),
        ({"type": "LIF", "tau": np.float32(0.005), "r": np.float32(5), "v_threshold": 1.0}, 1e-3),
        ({"type": "LIF", "tau": 0.02, "r": 1.0, "v_threshold": 1.0}, 1e-4),
        ({"type": "LIF", "tau": 5.0, "v_threshold": 1.0}, 1.0),
        ({"type": "IF", "r": 1e4, "v_threshold": 1.0}, 1e-4),
        ({"type": "IF", "r": 1.0, "v_threshold": 1.0}, 1.0),
        ({"type": "CubaLI", "tau_syn": 0.002, "tau_mem": 0.02, "r": 20.0, "w_in": 2.0}, 1e-3),
    ],
)
def test_the_length_of_a_step_is_found(tmp_path: Path, layer: dict[str, Any], dt: float) -> None:
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))
    assert read(path).meta["options"]["dt"] == dt
    assert read(path, "dt=2e-5").meta["options"]["dt"] == 2e-5


def test_exporters_have_their_own_reading(tmp_path: Path) -> None:
    layer = {"type": "LIF", "tau": 2e-4, "r": 2.0, "v_threshold": 1.0, "v_leak": 0.0}
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))
    spikingjelly = kernel_lines(read(path, "exporter=spikingjelly").graph, "0")
    assert "s = v1 >= v_threshold" in spikingjelly
    snntorch = read(path, "exporter=snntorch")
    assert "late = v > v_threshold" in kernel_lines(snntorch.graph, "0")
    (remark,) = snntorch.diagnostics
    assert remark.code == "R140"
    assert any("reset_delay" in note for note in remark.notes)
    sinabs = read(path, "exporter=sinabs,dt=1e-4,reset=none")
    lines = kernel_lines(sinabs.graph, "0")
    assert "decay = exp(nk)" in lines
    assert "v' = v1" in lines


def test_steps_longer_than_a_time_constant_are_refused(tmp_path: Path) -> None:
    layer = {"type": "LIF", "tau": np.array([0.01, -1.0, 0.02]), "v_threshold": 1.0}
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))
    with pytest.raises(CompileError, match=r"E322.*tau is -1"):
        read(path)
    layer["tau"] = np.float64(0.01)
    path = write_nir(tmp_path / "n.nir", *chain_of((3,), layer, out=(3,)))
    with pytest.raises(CompileError, match="dt="):
        read(path, "dt=0.1")
    read(path, "dt=0.1,decay=exp")


@pytest.mark.parametrize(
    "options",
    ["reset=later", "dt=-1", "dt=nan", "dt=x", "steps=0", "exporter=me", "typo=1", "input_lo=2"],
)
def test_wrong_options(options: str) -> None:
    from snnc.frontends.nir_options import NirOptions

    with pytest.raises(CompileError, match="E148"):
        NirOptions.parse(options)


def test_round_numbers() -> None:
    assert [round_number(x) for x in (1e-4, 2.5e-3, 1.04e-4, 0.0, float("inf"))] == [
        1e-4,
        2.5e-3,
        None,
        None,
        None,
    ]
