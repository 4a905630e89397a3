"""Run this network on Lava: ``python run.py IN.npy OUT.npz``; needs lava-nc and NumPy alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def main(argv: list[str] | None = None) -> int:
    """Run the command line; see ``command.main``."""
    # many processes share the cores already; one thread each for NumPy
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    # isolated Python (-I) does not look beside the script
    sys.path.insert(0, str(FOLDER))
    import command  # type: ignore[import-not-found]

    return int(command.main(FOLDER, argv, _on_lava))


def _on_lava(
    network: Any,
    inputs: dict[str, Any],
    samples: int,
    steps: int,
    words: list[str],
    timeout: float,
) -> tuple[dict[str, Any], dict[str, Any]]:
    return _Run(inputs, samples, steps, words).run(timeout)


class _Run:
    """The host's part in front, Lava, and the host's part behind."""

    def __init__(self, inputs: dict[str, Any], samples: int, steps: int, words: list[str]) -> None:
        from simulator import Simulator  # type: ignore[import-not-found]

        self.samples, self.steps, self.words = samples, steps, words
        self.document = json.loads((FOLDER / "network.json").read_text(encoding="utf-8"))
        self.front = Simulator.load(FOLDER / "front")
        self.back = Simulator.load(FOLDER / "back")
        fed = {name: inputs[name] for name in self.front.inputs}
        mine = [w for w in words if w in self.front.words()]
        self.records: dict[str, Any] = {}
        values: dict[str, Any] = {}
        if self.front.nodes:
            values, self.records = self.front.run(fed, steps, mine)
        self.values = {name: values[out] for name, out in self.document["front"].items()}
        self.progress: dict[str, Any] = {}
        self.kept: dict[tuple[str, str], Any] = {}
        self.own: list[Any] = []

    def run(self, timeout: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Outputs and records, as ``Simulator.run`` gives them."""
        import stock  # type: ignore[import-not-found]
        import supervise  # type: ignore[import-not-found]

        network = stock.build(FOLDER, self.steps)
        total = self.samples * self.steps + network.latency
        self._attach(network, total)
        process = next(iter(network.processes.values()))
        supervise.Supervisor(process, self.progress, timeout).run(total)
        read = {
            name: self._taken(network, name, entry) for name, entry in self.document["back"].items()
        }
        mine = [w for w in self.words if w in self.back.words()]
        outputs, records = self.back.run(read, self.steps, mine)
        for p in self.document["populations"]:
            for word, var in p["words"].items():
                if (name := f"{p['node']}.{word}") in self.words:
                    self._put(records, name, network, p, var)
        return outputs, {**self.records, **records}

    def _attach(self, network: Any, total: int) -> None:
        """Sources for all inputs, and recorders for all that is read."""
        import numpy as np
        from snnc_io import processes as io  # type: ignore[import-not-found]

        for name, ports in network.inputs.items():
            data = self.values[name].reshape(self.samples * self.steps, -1).astype(np.int32)
            feed = io.Feed(data, self._counter(f"source {name}"))
            self.own.append(feed)
            for port in ports:
                feed.s_out.connect(port)
        for p in self.document["populations"]:
            name = p["name"]
            read = any(name in e["populations"] for e in self.document["back"].values())
            wanted = {v for w, v in p["words"].items() if f"{p['node']}.{w}" in self.words}
            if p["kind"] == "tap":
                recorder = self._recorder(io.Recorder, network, p, "a", total)
                for port in network.sums[name]:
                    port.connect(recorder.a_in)
            elif "s" in wanted or (read and p["fires"]):
                recorder = self._recorder(io.Recorder, network, p, "s", total)
                network.outputs[name].connect(recorder.a_in)
            for var in sorted((wanted | ({"v"} if read and not p["fires"] else set())) - {"s"}):
                if p["kind"] != "tap":
                    probe = self._recorder(io.Probe, network, p, var, total)
                    probe.state.connect_var(getattr(network.processes[name], var))

    def _recorder(self, kind: Any, network: Any, p: dict[str, Any], var: str, total: int) -> Any:
        from snnc_memory import shared  # type: ignore[import-not-found]

        data = self.kept[p["name"], var] = shared((total, p["size"]))
        process = kind(data, self._counter(f"{p['name']}.{var}"))
        self.own.append(process)
        return process

    def _counter(self, name: str) -> Any:
        from snnc_memory import shared

        self.progress[name] = shared((1,))
        return self.progress[name]

    def _seen(self, network: Any, p: dict[str, Any], var: str) -> Any:
        """What a population showed in the steps of the program: (N, T, neurons)."""
        phase, count = p["phase"], self.samples * self.steps
        rows = self.kept[p["name"], var][phase : phase + count]
        return rows.reshape(self.samples, self.steps, -1)

    def _taken(self, network: Any, name: str, entry: dict[str, Any]) -> Any:
        """An input of the back: (N, T, ...)."""
        import numpy as np

        shape = self.back.inputs[name][0]
        if not entry["populations"]:
            return self.values[name]
        found = np.zeros((self.samples, self.steps, int(np.prod(shape))), np.int64)
        for p in self.document["populations"]:
            if p["name"] in entry["populations"]:
                var = "a" if p["kind"] == "tap" else "s" if p["fires"] else "v"
                found[..., network.neurons[p["name"]]] = self._seen(network, p, var)
        for carrier in entry["populations"]:
            found += network.offsets.get(carrier, 0)
        return found.reshape(self.samples, self.steps, *shape)

    def _put(self, records: Any, word: str, network: Any, p: dict[str, Any], var: str) -> None:
        """Record a word of the neurons of one population."""
        import numpy as np
        from simulator import Simulator

        if word not in records:
            nodes = {n["name"]: n for n in Simulator.load(FOLDER).nodes}
            shape = nodes[p["node"]]["types"][0]["shape"]
            records[word] = np.zeros((self.samples, self.steps, *shape), np.int64)
        flat = records[word].reshape(self.samples, self.steps, -1)
        flat[..., network.neurons[p["name"]]] = self._seen(network, p, var)


if __name__ == "__main__":
    sys.exit(main())
