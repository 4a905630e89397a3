"""From an exported program to terms: batch is stripped, time becomes one term per step.

Each tensor of the program is a :class:`Traced`: its axes say where batch and time are, its terms
are one sample's computation at every step.  A rule per operator (see ``pointwise_rules``,
``shape_rules`` and ``layer_rules``) acts on the slices.  A rule that cannot refuses; refusals are
collected and reported together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree

from snnc.diagnostics import CompileError, Diagnostic, Loc, error
from snnc.frontends.built_matrices import built_matrices
from snnc.frontends.dag import CONSTANT, Dag, Form, Source
from snnc.frontends.layout import TIME, Axes, Extents, first_step, inner, timed
from snnc.frontends.parameter_calls import Operand, frozen
from snnc.frontends.trace import NAMES, memory_of
from snnc.frontends.traced import AfterZeros, Call, Random, Refusal, Traced, Unknown
from snnc.frontends.user_code import source_of

_ALTERNATIVES = (
    "write it with operators that `snnc ops` lists, or keep it out of the exported module: "
    "what comes before the first or after the last layer can run outside"
)

#: Operators that only rearrange what was drawn.
_CARRIES = frozenset(
    ("view", "reshape", "expand", "detach", "_to_copy", "to", "clone", "select", "unsqueeze")
)

Rule = Callable[["Scalarizer", Call], Any]

#: Rules that refuse whatever the operands are.
_REFUSING: set[Rule] = set()


def refuses(rule: Rule) -> Rule:
    """Mark a rule that always refuses, so that it does so for unknown operands, too."""
    _REFUSING.add(rule)
    return rule


class Scalarizer:
    """Interprets one exported program over a shared table of terms."""

    def __init__(self, dag: Dag, extents: Extents, time_axes: tuple[int | None, ...]) -> None:
        self.dag = dag
        self.extents = extents
        self.time_axes = time_axes
        self.refusals: dict[tuple[str, str, str], Diagnostic] = {}

    # ---- helpers for rules

    def soft(self, x: Traced) -> bool:
        """Whether the tensor has one value everywhere, so that its shape does not matter."""
        if any(self.dag.shape(t) != () for t in x.terms):
            return False
        same = len(set(x.terms)) == 1 and self.dag[x.terms[0]].reach == CONSTANT
        return same or inner(x.axes) != ()

    def solid(self, x: Traced) -> Traced:
        """Give every term its full shape."""
        shape = inner(x.axes)
        return Traced(x.axes, tuple(self.dag.solid(t, shape) for t in x.terms), x.dtype)

    def constant(self, x: Any) -> bool:
        """Whether the tensor depends on parameters alone and has no batch or time axis."""
        plain = all(isinstance(f, int) for axis in x.axes for f in axis)
        return plain and all(self.dag[t].reach == CONSTANT for t in x.terms)

    def per_step(self, axes: Axes, dtype: torch.dtype, compute: Callable[[int], int]) -> Traced:
        """A tensor from one term per step."""
        count = self.extents.steps - first_step(axes) if timed(axes) else 1
        return Traced(axes, tuple(compute(t) for t in range(count)), dtype)

    def operand(self, x: Any) -> Traced:
        """A tensor, or a Python number as a tensor."""
        if isinstance(x, Traced):
            return x
        if isinstance(x, Unknown):
            raise Refusal("", "")
        if isinstance(x, bool | int | float):
            kind = {bool: torch.bool, int: torch.int64, float: torch.float64}[type(x)]
            return Traced((), (self.dag.literal(float(x)),), kind)
        raise Refusal("E210", f"an operand is {type(x).__name__}")

    # ---- the interpreter

    def run(self, program: torch.export.ExportedProgram) -> list[Traced]:
        """Return the outputs.

        Raises:
            CompileError: Everything that a rule refused, E135 for statistics that change.
        """
        env: dict[Any, Any] = self._placeholders(program)
        outputs: list[Traced] = []
        used = _used(program)
        built, skipped = built_matrices(program)
        for node in program.graph.nodes:
            if node in built:
                env[node] = self.parameter(*built[node])
            elif node.op == "call_function" and node in used and node not in skipped:
                self.dag.source = source_of(node.meta)
                env[node] = self._call(node, env)
            elif node.op == "output":
                outputs = self._outputs(program, node, env)
        if self.refusals:
            raise CompileError(self.refusals.values())
        return outputs

    def _placeholders(self, program: torch.export.ExportedProgram) -> dict[Any, Any]:
        signature = program.graph_signature
        named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        lifted = signature.inputs_to_lifted_tensor_constants
        attributes = program.graph_module.meta.get(NAMES, {})
        env: dict[Any, Any] = {}
        index = 0
        for node in program.graph.nodes:
            if node.op != "placeholder":
                continue
            value = node.meta.get("val")
            if node.name in named:
                key = named[node.name]
                tensor = program.state_dict.get(key, program.constants.get(key))
                env[node] = self.parameter(key.removeprefix("model."), tensor)
            elif node.name in lifted:
                tensor = program.constants[lifted[node.name]]
                assert isinstance(tensor, torch.Tensor), "a lifted constant is a tensor"
                # numbered per trace; equal contents must be equal terms in every trace
                name = attributes.get(memory_of(tensor)) or self.constant_name(tensor)
                env[node] = self.parameter(name, tensor)
            elif isinstance(value, torch.Tensor):
                env[node] = self._input(index, value)
                index += 1
                if value.is_complex():
                    text, hint = "an input is complex", "take two inputs and use torch.complex"
                    env[node] = self._refuse(Refusal("E210", text, hint))
            else:
                env[node] = value
        return env

    def constant_name(self, tensor: torch.Tensor) -> str:
        count = 0
        for name, known in self.dag.tensors.items():
            if name.startswith("constant"):
                if known.dtype == tensor.dtype and torch.equal(known, tensor):
                    return name
                count += 1
        return f"constant{count}"

    def parameter(self, name: str, tensor: Any) -> Traced:
        self.dag.tensors[name] = tensor.detach()
        shape = tuple(tensor.shape)
        self.dag.source = Source(Loc(name), owned=True)
        return Traced(tuple((n,) for n in shape), (self.dag.param(name, shape),), tensor.dtype)

    def _input(self, index: int, value: torch.Tensor) -> Traced:
        shape = tuple(int(n) for n in value.shape)
        axes = list(self.extents.classify(shape))
        time = self.time_axes[index]
        self.dag.source = Source(Loc(f"input{index}"), owned=True)
        # classify() goes by size; the axes of inputs are known
        for i, axis in enumerate(axes):
            if timed((axis,)) and i != time:
                axes[i] = (shape[i],)
        sample = inner(tuple(axes))
        steps = range(self.extents.steps) if time is not None else [None]
        terms = tuple(self.dag.input(index, t, sample) for t in steps)
        return Traced(tuple(axes), terms, value.dtype)

    def _call(self, node: Any, env: dict[Any, Any]) -> Any:
        from snnc.frontends.rules import RULES

        def look(x: Any) -> Any:
            return env[x] if isinstance(x, torch.fx.Node) else x

        args, kwargs = (
            pytree.tree_map(look, v, is_leaf=lambda x: isinstance(x, torch.fx.Node))
            for v in (node.args, node.kwargs)
        )
        name = getattr(node.target, "overloadpacket", node.target)
        name = getattr(name, "__name__", str(name))
        call = Call(name, node.target, tuple(args), dict(kwargs), node.meta.get("val"))
        leaves = pytree.tree_leaves((call.args, call.kwargs))
        if any(isinstance(x, Unknown) for x in leaves):
            usable = name == "getitem" and not isinstance(call.args[0], Unknown)
            refused = name not in RULES or RULES[name] in _REFUSING
            return self._apply(call) if usable or refused else Unknown()
        return self._apply(call)

    def _apply(self, call: Call) -> Any:
        from snnc.frontends.complex_rules import complex_call, is_complex, is_pair
        from snnc.frontends.rules import MOVES, RULES

        leaves = pytree.tree_leaves((call.args, call.kwargs))
        tensors = [x for x in leaves if isinstance(x, Traced)]
        padded = any(isinstance(x, AfterZeros) for x in leaves)
        constant = bool(tensors) and not any(map(is_pair, leaves)) and not padded
        complex_numbers = any(map(is_complex, (*leaves, *pytree.tree_leaves(call.result))))
        rule = complex_call if complex_numbers else RULES.get(call.name)
        drawn = next((x for x in leaves if isinstance(x, Random)), None)
        if drawn is not None:
            return self._with_random(call, leaves, drawn)
        try:
            if rule is None:
                raise self._unsupported(call)
            if padded and call.name != "conv1d":
                raise self._no_operand()
            moves = complex_numbers or call.name in MOVES
            if moves and constant and all(self._weights(x) for x in tensors):
                return self._parameter_call(call)
            return rule(self, call)
        except Refusal as refusal:
            if constant and all(self.constant(x) for x in tensors) and call.name != "getitem":
                return self._parameter_call(call)
            if not refusal.code:
                return Unknown()
            if refusal.code == "E134":
                return Random(refusal, self.dag.source)
            return self._refuse(refusal)

    def _with_random(self, call: Call, leaves: list[Any], drawn: Random) -> Any:
        """Noise whose amplitude is zero is zero, as in Rockpool's neurons after training."""
        if call.name in _CARRIES:
            return drawn
        if call.name in ("mul", "multiply") and any(map(self._is_zero, leaves)):
            axes = self.extents.classify(call.shape)
            return self.per_step(axes, call.dtype, lambda _: self.dag.fill(0.0, ()))
        self.dag.source = drawn.source
        return self._refuse(drawn.refusal)

    def _is_zero(self, x: Any) -> bool:
        from snnc.frontends.fold import Folder

        if not isinstance(x, Traced):
            return isinstance(x, int | float) and x == 0
        constant = all(self.dag[t].reach == CONSTANT for t in x.terms)
        return constant and all(Folder(self.dag).neutral(t, 0.0) for t in x.terms)

    def _unsupported(self, call: Call) -> Refusal:
        random = torch.Tag.nondeterministic_seeded in getattr(call.target, "tags", ())
        if random and "rnn" not in call.name and call.name not in ("lstm", "gru"):
            hint = "move the random encoder out of the model"
            if "dropout" in call.name:
                hint = "write training=self.training"
            return Refusal("E134", f"operator {call.target} draws random numbers", hint)
        return Refusal("E210", f"operator {call.target} is not supported")

    def _no_operand(self) -> Refusal:
        """Steps of zeros that something else than a convolution reads."""
        text = "padding reorders or joins values of different steps or samples"
        return Refusal("E133", text)

    def _weights(self, x: Traced) -> bool:
        """Whether the tensor is made of parameters, not of numbers that could be a state."""
        return self.constant(x) and not self.soft(x)

    def _parameter_call(self, call: Call) -> Any:
        """Any operator on parameters alone, computed when the graph is built."""
        several = isinstance(call.result, tuple | list)
        results = list(call.result) if several else [call.result]
        if not all(isinstance(y, torch.Tensor) for y in results):
            return self._refuse(Refusal("E210", f"operator {call.target} on parameters"))
        operands: list[int] = []

        def strip(x: Any) -> Any:
            if isinstance(x, Traced):
                operands.append(self.solid(x).terms[0])
                return Operand(len(operands) - 1)
            return x

        args, kwargs = pytree.tree_map(strip, (call.args, call.kwargs))
        found = []
        for i, y in enumerate(results):
            attrs = (str(call.target), frozen(args), frozen(kwargs), *((i,) if several else ()))
            shape = tuple(int(n) for n in y.shape)
            term = self.dag.make(Form("aten", attrs), tuple(operands), shape)
            found.append(Traced(tuple((n,) for n in shape), (term,), y.dtype))
        return found if several else found[0]

    def entries(self, x: Traced, axis: int) -> Traced:
        """A parameter with one entry per step as a sequence."""
        axes = (*x.axes[:axis], (TIME,), *x.axes[axis + 1 :])
        (whole,) = self.solid(x).terms

        def entry(t: int) -> int:
            form = Form("aten", ("aten.select.int", (Operand(0), axis, t), ()))
            return self.dag.make(form, (whole,), inner(axes))

        return self.per_step(axes, x.dtype, entry)

    def _refuse(self, refusal: Refusal) -> Unknown:
        loc = self.dag.source.loc
        hint = refusal.help or (_ALTERNATIVES if refusal.code == "E210" else None)
        found = error(refusal.code, refusal.message, loc, help=hint)
        self.refusals.setdefault((refusal.code, refusal.message, str(loc)), found)
        return Unknown()

    def _outputs(
        self, program: torch.export.ExportedProgram, node: Any, env: dict[Any, Any]
    ) -> list[Traced]:
        flat = pytree.tree_leaves(node.args, is_leaf=lambda x: isinstance(x, torch.fx.Node))
        outputs = []
        for spec, x in zip(program.graph_signature.output_specs, flat, strict=True):
            if spec.kind.name == "USER_OUTPUT":
                value = env[x] if isinstance(x, torch.fx.Node) else None
                if isinstance(value, Random):
                    self.dag.source = value.source
                    self._refuse(value.refusal)
                elif isinstance(value, Traced) and not value.dtype.is_complex:
                    outputs.append(self.solid(value))
                elif value is not None and not isinstance(value, Unknown):
                    text = "an output is complex"
                    hint = "return real and imaginary part as two outputs: z.real, z.imag"
                    self._refuse(Refusal("E210", text, hint))
            elif str(spec.target).rsplit(".", 1)[-1] in (
                *("running_mean", "running_var", "num_batches_tracked"),
            ):
                path = str(spec.target).removeprefix("model.").rpartition(".")[0]
                text = "BatchNorm updates its statistics while the network runs"
                hint = "call .eval() where forward switches the layer to training mode"
                found = error("E135", text, Loc(path), help=hint)
                self.refusals[("E135", path, "")] = found
        return outputs


def _used(program: torch.export.ExportedProgram) -> set[Any]:
    """Calls on which an output depends: what a module only keeps for a look at it is not."""
    used: set[Any] = set()
    (output,) = (n for n in program.graph.nodes if n.op == "output")
    flat = pytree.tree_leaves(output.args, is_leaf=lambda x: isinstance(x, torch.fx.Node))
    pairs = zip(program.graph_signature.output_specs, flat, strict=True)
    stack = [x for spec, x in pairs if spec.kind.name == "USER_OUTPUT" and hasattr(x, "users")]
    while stack:
        node = stack.pop()
        if node not in used:
            used.add(node)
            stack += node.all_input_nodes
    return used
