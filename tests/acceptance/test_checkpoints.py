"""Files that other people saved with ``torch.save``: read as data, or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from snnc.container import read_model
from snnc.diagnostics import CompileError
from snnc.frontends.weights_file import read_bytes, read_weights
from snnc.ops import Constant
from tests.realdata import real_files


@pytest.mark.parametrize(
    ("folder", "name", "part", "tensors"),
    [
        ("ecg_alif", "ecg_alif_srnn_36.pth", "", 10),  # tensors of a GPU
        ("neurobench", "dvs_gesture_snn", "", 24),
        ("neurobench", "s2s_gsc_snntorch", "", 24),
        ("neurobench", "SNN2_indy_20160622_01.pt", "model_state_dict", 10),
        ("neurobench", "SNN3_indy_20160622_01.pth", "", 22),
        ("sinabs_nets", "mnist_params.pt", "", 5),
        ("sinabs_nets", "dvs_gesture_params.pt", "", 9),
    ],
)
def test_weights_are_read_as_torch_reads_them(
    folder: str, name: str, part: str, tensors: int
) -> None:
    path = real_files(folder, name)
    whole: Any = torch.load(path, map_location="cpu", weights_only=True)
    expected = whole[part] if part else whole
    read = read_bytes(path.read_bytes(), name, {"expected": list(expected)})
    found = {n.loc.path: n.op.value.data for n in read.graph if isinstance(n.op, Constant)}
    assert len(found) == len(expected) == tensors
    for key, tensor in expected.items():
        np.testing.assert_array_equal(found[key], tensor.numpy(), strict=True)


def test_a_pickled_module_is_refused_by_the_names_it_asks_for() -> None:
    path = real_files("shd_alif_ckpt", "original_pickled_module.pth")
    for read in (lambda: read_weights(path, ["h2o.weight"]), lambda: read_model(path)):
        with pytest.raises(CompileError) as caught:
            read()
        (found,) = caught.value.diagnostics
        assert found.code == "E110"
        assert "__main__.RNN_custom" in str(found)
        assert "help: " in str(found)
