"""SANA-FE gets the network with the program's events; it need not be installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.backends.lava.stock.legalise import legalise
from snnc.backends.lava.stock.sana_fe import network_yaml
from snnc.diagnostics import CompileError
from snnc.graph import Graph
from snnc.operations import count
from tests.intgraphs import random_inputs, simulator
from tests.netfiles import cuba, dense, program, read, write_net
from tests.stockgraphs import long_network

STEPS = 12


def written(graph: Graph, x: np.ndarray[Any, Any]) -> str:
    plan = legalise(graph)
    values, _ = simulator(plan.front).run(x)
    return network_yaml(plan, {s.name: values[plan.outputs[s.name]][0] for s in plan.sources})


def test_every_synapse_and_input_is_written() -> None:
    graph = long_network()
    x = random_inputs(graph, np.random.default_rng(0), 1, STEPS)["image"]
    text = written(graph, x)
    assert text == written(graph, x)
    weights = sum(int((n.op.weight.data != 0).sum()) for n in graph if "fc" in n.name)  # type: ignore[attr-defined]
    assert len(re.findall(r" -> .*weight", text)) == weights
    spikes = re.findall(r"spikes: \[(.*)\]\]", text)
    assert sum(line.count("1") for line in spikes) == x.sum()


def test_currents_are_refused(tmp_path: Path) -> None:
    net = write_net(tmp_path / "a.net", dense(2 * np.ones((2, 3)), cuba(700, 100, 6)))
    graph = program(read(net).graph, 64)
    with pytest.raises(CompileError, match="a current that stays, SANA-FE's Loihi has none"):
        written(graph, np.ones((1, STEPS, 3), np.int64))


def test_it_counts_the_same_events(tmp_path: Path) -> None:
    """Without leak all voltages are whole numbers, which floats hold exactly."""
    sanafe: Any = pytest.importorskip("sanafe", exc_type=ImportError)
    net = write_net(
        tmp_path / "a.net",
        dense(2 * np.random.default_rng(1).integers(-20, 30, (9, 8)), cuba(4096, 0, 90)),
        dense(2 * np.random.default_rng(2).integers(-20, 30, (5, 9)), cuba(4096, 0, 60)),
    )
    graph = program(read(net).graph, 64)
    x = random_inputs(graph, np.random.default_rng(0), 1, STEPS)
    path = tmp_path / "net.yaml"
    path.write_text(written(graph, x["input"]))
    chip_description = sanafe.load_loihi()
    chip = sanafe.SpikingChip(chip_description)
    chip.load(sanafe.load_net(path, chip_description))
    result = chip.sim(STEPS + 2)
    counts = count(graph, simulator(graph), x, STEPS)
    effective = sum(x.effective for x in counts.layers)
    assert result["spikes"] == effective
    assert result["energy"]["total"] > 0
