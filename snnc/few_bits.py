"""What weights of very few bits lose: measured on calibration data before anything is written."""

from __future__ import annotations

from snnc.data import Array, Data
from snnc.diagnostics import Diagnostic, warning
from snnc.events import Events
from snnc.graph import Graph
from snnc.layers import input_table
from snnc.measure import FloatRunner, IntegerRunner, Measured, measure
from snnc.preparing import Prepared
from snnc.quantization import KEPT, TRAINED
from snnc.verify import float_graph

#: With so few bits what is lost is always said, …
ALWAYS = 2
#: … with so few if more samples than this share change their class.
OFTEN, SHARE = 3, 0.02
#: Names of layers that a message has.
NAMED = 3


def losses(program: Graph, prepared: Prepared) -> list[Diagnostic]:
    """W342 if weights of few bits were chosen, not trained, and change what the network says."""
    bits = {
        name: width
        for name, facts in prepared.ctx.layers.items()
        if isinstance(width := facts.get("weight_bits"), int)
        and width <= OFTEN
        and facts.get("method") not in (TRAINED, KEPT)
    }
    if not bits or prepared.options.reuse is not None or prepared.options.method == TRAINED:
        return []
    few = {name: b for name, b in bits.items() if b <= ALWAYS}
    data = prepared.ctx.calibration
    if data is None:
        if not few:
            return []
        text = f"{_named(few)}: what that loses is not known without calibration data"
        return [warning("W342", text, help="give --calibration DATA.npz, with labels y if any")]
    chosen = data.chosen
    arrays: dict[str, Array | Events] = {name: a[chosen] for name, a in data.arrays.items()}
    labels = None if data.labels is None else data.labels[chosen]
    samples = Data(arrays, labels)
    runner = IntegerRunner(program, input_table(program, {}, {}), prepared.loaded.outputs)
    reference = FloatRunner(float_graph(prepared.graph), runner.spikes)
    stepped = [e.name for e in runner.inputs if e.clock == "step"]
    steps = arrays[stepped[0]].shape[1] if stepped else program.steps
    found = measure(reference, runner.outputs[0], {"it": runner}, samples, steps)
    real, it = found["float"], found["it"]
    changed = None if it.labels is None else 1 - it.labels
    if not few and (changed is None or changed <= SHARE):
        return []
    hint = "train the integers with snnc finetune, or use more bits: --budget finds where"
    return [
        warning("W342", _text(few or bits, changed, it, samples), None, *_why(real, it), help=hint)
    ]


def _text(bits: dict[str, int], changed: float | None, it: Measured, samples: Data) -> str:
    if changed is not None:
        lost = f"another class for {100 * changed:.1f} % of {len(samples)} calibration samples"
    elif it.error is not None:
        lost = f"outputs off by {100 * it.error:.0f} % of their deviation"
    else:
        lost = "outputs that never change"
    return f"{_named(bits)}: {lost}"


def _why(real: Measured, it: Measured) -> list[str]:
    found = []
    if real.accuracy is not None and it.accuracy is not None:
        found.append(
            f"accuracy there: {100 * real.accuracy:.2f} % in real numbers, "
            f"{100 * it.accuracy:.2f} % in integers"
        )
    if it.f1 is not None:
        found.append(f"F1 of the spikes: {100 * it.f1:.1f} %")
    return found


def _named(bits: dict[str, int]) -> str:
    names = sorted(bits)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{max(bits.values())}-bit weights in {', '.join(names[:NAMED])}{more}"
