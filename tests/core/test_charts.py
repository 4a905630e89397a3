"""Geometry of the page's charts."""

import re

import numpy as np

from snnc.page.charts import ROW, confusion, histogram, network, raster


def heights(path: str, base: int) -> list[float]:
    return [base - float(v) for v in re.findall(r"V([0-9.]+)H", path)]


def test_a_histogram_shows_where_weights_go() -> None:
    real = np.concatenate([np.linspace(-1, 1, 480), np.zeros(4)])
    codes = np.rint(real).astype(int)
    h = histogram("fc", real, codes.astype(float), codes, 2)
    assert (h.low, h.high, h.levels, h.possible) == (-1, 1, 3, 3)
    lower = np.where(real < -0.9, -2, codes)  # as training may have it
    assert histogram("fc", real, lower.astype(float), lower, 2).possible == 4
    assert h.zeros == float(np.mean(codes == 0))
    assert min(heights(h.before, h.height)) > 0  # weights everywhere
    assert sum(x > 0 for x in heights(h.after, h.height)) == 3  # and at three places afterwards


def test_a_raster_tells_lost_spikes_from_new_ones() -> None:
    real, found = np.zeros((20, 500)), np.zeros((20, 500))
    real[3, 7] = found[3, 7] = real[4, 7] = found[9, 400] = found[10, 400] = 1
    r = raster("lif", real, found)
    assert r.counts == (1, 1, 2)
    assert r.neurons == (2, 500)
    assert [p.count("M") for p in (r.both, r.lost, r.extra)] == [1, 1, 2]
    assert raster("silent", np.zeros((5, 3)), np.zeros((5, 3))).neurons == (3, 3)


def test_connections_that_pass_layers_by_are_arcs() -> None:
    found = network(["a", "b", "c"], [("a", "b", 0), ("b", "c", 0), ("a", "c", 0), ("c", "c", 2)])
    assert found.height == 3 * ROW
    assert found.straight == (True, True)
    assert [arc.delay for arc in found.arcs] == [0, 2]
    assert network(["a", "b"], [("a", "b", 1), ("x", "b", 0)]).straight == (False,)


def test_rows_of_a_confusion_are_labels() -> None:
    found = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), 4)
    assert [c[0] for c in found.cells[0]] == [1, 1, 0, 0]
    assert found.recall == (0.5, 1.0, 0.0, None)
