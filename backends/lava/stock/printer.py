"""Prints a plan as data: ``network.json`` for the structure, ``network.safetensors`` for arrays."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import safetensors.numpy

from snnc.backends.lava.stock.matrix import Ints, Matrix
from snnc.backends.lava.stock.plan import Connection, Line, Population, StockPlan
from snnc.params import compact

FORMAT = "snnc.lava-stock/1"
#: From this share of entries on, a dense matrix is faster on a CPU.
DENSE = 0.25


def network_files(plan: StockPlan) -> dict[str, bytes]:
    """The two files that ``stock.py`` reads."""
    tensors: dict[str, npt_array] = {}

    def stored(data: Ints) -> str:
        key = f"t{len(tensors):05d}"
        tensors[key] = compact(np.ascontiguousarray(data))
        return key

    def matrix(m: Matrix) -> dict[str, Any]:
        found: dict[str, Any] = {"shape": list(m.shape)}
        if len(m.values) >= DENSE * m.shape[0] * m.shape[1]:
            return found | {"dense": stored(m.dense())}
        return found | {
            "starts": stored(m.starts),
            "cols": stored(m.cols),
            "values": stored(m.values),
        }

    document = {
        "format": FORMAT,
        "latency": plan.latency,
        "sources": [{"name": s.name, "size": s.size, "lo": s.lo, "hi": s.hi} for s in plan.sources],
        "populations": [_population(p, plan.phases[p.name], stored) for p in plan.populations],
        "lines": [_line(x, stored) for x in plan.lines],
        "connections": [_connection(c, matrix) for c in plan.connections],
        "front": plan.outputs,
        "back": {
            name: {
                "populations": list(carriers),
                "offset": stored(plan.offsets[name]) if name in plan.offsets else None,
            }
            for name, carriers in plan.taken.items()
        },
    }
    text = json.dumps(document, indent=1, ensure_ascii=True) + "\n"
    return {
        "network.json": text.encode(),
        "network.safetensors": safetensors.numpy.save(tensors or {"none": np.zeros(1, np.int8)}),
    }


npt_array = np.ndarray[Any, Any]


def _population(p: Population, phase: int, stored: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": p.name,
        "node": p.node,
        "kind": p.kind,
        "phase": phase,
        "fires": p.fires,
        "size": p.size,
        "index": stored(p.index),
        "words": p.words,
    }
    if p.kind == "lif":
        found |= {"du": p.du, "dv": p.dv, "vth": p.vth}
        assert p.bias_mant is not None, "LIF has a bias"
        assert p.bias_exp is not None, "LIF has a bias"
        found |= {"bias_mant": stored(p.bias_mant), "bias_exp": stored(p.bias_exp)}
    return found


def _line(line: Line, stored: Any) -> dict[str, Any]:
    return {
        "name": line.name,
        "src": line.src,
        "source": stored(line.source),
        "hops": stored(line.hops),
        "bits": line.bits,
        "clears": list(line.clears),
    }


def _connection(c: Connection, matrix: Any) -> dict[str, Any]:
    return {
        "name": c.name,
        "src": c.src,
        "dst": c.dst,
        "exponent": c.exponent,
        "bits": c.bits,
        "clears": list(c.clears),
        **matrix(c.matrix),
    }
