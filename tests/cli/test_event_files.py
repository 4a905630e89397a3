"""Event lists from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cli.conftest import Snnc
from tests.core.test_events import counted, recorded, save
from tests.models import model_file
from tests.realgraphs import mlp


def test_commands_read_events(tmp_path: Path, snnc: Snnc) -> None:
    """The same results as from the array that the events are counted into."""
    d = recorded()
    net = tmp_path / "net"
    model = model_file(tmp_path, mlp((24, 10, 3)))
    assert snnc("compile", model, "-o", net, "--target", "c").code == 0
    events = save(tmp_path, **d)
    np.savez(tmp_path / "x.npz", x=counted(d, 20, 5).reshape(5, 5, 24), y=d["label"])
    flags = ("--dt", 20, "--sensor", "2,3,4")
    for out, data, how in (("a", events, flags), ("b", tmp_path / "x.npz", ())):
        done = snnc(
            "run", net, "--data", data, "--backend", "c", "-o", tmp_path / f"{out}.npz", *how
        )
        assert done.code == 0, done.err
    a, b = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    np.testing.assert_array_equal(a["raw:out"], b["raw:out"])
    found = snnc("verify", net, "--data", events, *flags, "--json").document
    assert found["backends"]["c"]["equal"] is True
    assert found["integer"]["accuracy"] is not None
    refused = snnc("run", net, "--data", events, "-o", tmp_path / "c.npz")
    assert (refused.code, "E426" in refused.err) == (3, True)


def test_what_explains_reads_events_too(tmp_path: Path, snnc: Snnc) -> None:
    d = recorded()
    model = model_file(tmp_path, mlp((24, 10, 3)))
    assert snnc("compile", model, "-o", tmp_path / "net", "--bits", "3").code == 0
    flags = ("--data", save(tmp_path, **d), "--dt", 20, "--sensor", "2,3,4")
    explained = snnc("verify", tmp_path / "net", *flags, "--explain", "--json").document
    assert explained["explanation"]["contributions"]["twin"] == 1
    swept = ("sweep", model, "--bits", "3", "--method", "mse", "-o", tmp_path / "s")
    point = snnc(*swept, *flags, "--json").document["points"][0]
    assert point["accuracy"] == explained["integer"]["accuracy"]
    assert snnc("report", tmp_path / "net", *flags, "-o", tmp_path / "page.html").code == 0
