"""The program of a ``.pt2`` archive: a list of calls of operators that are known to be harmless.

The schema is that of ``torch/_export/serde/schema.py``, major version 8.  Values are named; an
argument is a plain value, a :class:`Ref`, or a list of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snnc.diagnostics import CompileError, Diagnostic, Loc, error, fail
from snnc.frontends.readings import FileInput
from snnc.untrusted import UnsafeError, parse_json

_SCHEMA = 8
#: Calls of the largest program.
_LARGEST = 500_000

#: Operators of ATen that compute tensors from tensors.  None opens files, runs code or names
#: memory of its own; in-place forms (``add_``) are meant, too.
_COMPUTING = """
    _adaptive_avg_pool2d _assert_async _assert_scalar _assert_tensor_metadata _conj _log_softmax
    _native_batch_norm_legit _native_batch_norm_legit_functional
    _native_batch_norm_legit_no_training _softmax _to_copy _unsafe_view abs adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_max_pool2d add addcdiv addcmul addmm alias amax amin any arange
    atan2 avg_pool1d avg_pool2d baddbmm batch_norm bernoulli bitwise_and bitwise_not bitwise_or
    bitwise_xor bmm cat ceil chunk clamp clamp_max clamp_min clone concat concatenate contiguous
    conv1d conv2d conv_transpose2d convolution copy cos cosh cummax cumprod cumsum detach div
    divide dot dropout einsum empty empty_like empty_strided eq erf exp expand expand_as expm1
    exponential fill flatten flip floor floor_divide fmod full full_like gather ge gelu geometric
    group_norm gt hardsigmoid hardswish hardtanh heaviside hstack index index_put index_select
    instance_norm layer_norm le leaky_relu lerp lift lift_fresh lift_fresh_copy linear log log10
    log1p log2 log_softmax logical_and logical_not logical_or logical_xor logsumexp lt masked_fill
    matmul max max_pool1d max_pool2d max_pool2d_with_indices maximum mean min minimum mm movedim
    mul multinomial multiply mv narrow native_batch_norm native_dropout native_group_norm
    native_layer_norm ne neg new_empty new_empty_strided new_full new_ones new_zeros norm normal
    numpy_T ones ones_like outer permute poisson pow prod rand rand_like randint randint_like
    randn randn_like randperm reciprocal relu relu6 remainder repeat repeat_interleave reshape
    roll round rrelu_with_noise rsqrt rsub scalar_tensor scaled_dot_product_attention select
    select_scatter selu sigmoid sign silu sin sinh slice slice_scatter softmax softplus sort split
    split_with_sizes sqrt square squeeze stack std sub subtract sum swapaxes sym_numel sym_size t
    tan tanh tensor_split threshold tile to topk transpose tril triu true_divide trunc fix
    type_as unbind
    unflatten uniform unsqueeze upsample_nearest2d var view view_as vstack where zero zeros
    zeros_like
    __and__ __lshift__ __or__ __rshift__ __xor__ bitwise_left_shift bitwise_right_shift bucketize
    complex conj_physical gru_cell imag lstm_cell polar real resolve_conj rnn_relu rnn_relu_cell
    rnn_tanh rnn_tanh_cell view_as_complex view_as_real
    _adaptive_avg_pool3d _fused_rms_norm _prelu_kernel
    _scaled_dot_product_flash_attention_for_cpu _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool3d all argmax argmin avg_pool3d celu constant_pad_nd conv3d
    conv_transpose1d conv_transpose3d cummin elu embedding erfc exp2 glu hardshrink isnan
    linalg_vector_norm log_sigmoid log_sigmoid_forward max_pool1d_with_indices max_pool3d
    max_pool3d_with_indices mish pad prelu reflection_pad1d reflection_pad2d reflection_pad3d
    replication_pad1d replication_pad2d replication_pad3d rms_norm softshrink upsample_nearest1d
    upsample_nearest3d argsort kthvalue median scatter
"""
ALLOWED = frozenset(_COMPUTING.split())

#: Arithmetic on sizes.
SIZES = frozenset(
    ("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge")
)

_TARGET = re.compile(r"torch\.ops\.aten\.(\w{1,60})\.(\w{1,60})", re.ASCII)
_FRAME = re.compile(r'File "([^"\x00-\x1f]{1,300})", line (\d{1,7})')


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that an earlier call has computed, or an input."""

    name: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A type of numbers, a device, a layout or a memory format, as the archive numbers it."""

    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class PtCall:
    """One call.

    Attributes:
        operator: ``name.overload`` of ATen, or a name of ``SIZES``.
        args: Positional arguments.
        kwargs: Arguments by name.
        results: Name of its result; a tuple of names for an operator with several.
        path: Of the module around it.
        owner: Class of that module.
        frames: (file, line) of the user's code, outermost first.
    """

    operator: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: str | tuple[str, ...] | None
    path: str
    owner: str
    frames: tuple[tuple[str, int], ...]

    @property
    def loc(self) -> Loc:
        """Where the user wrote it."""
        return innermost(self.path, self.frames)


@dataclass(frozen=True)
class PtProgram:
    """A checked program.

    Attributes:
        inputs: In order.
        tensors: Value → name of the parameter, buffer or constant.
        calls: In order.
        outputs: Values that are returned.
        output_names: Keys, if the module returns a dict.
        torch: Version that wrote it.
    """

    inputs: tuple[FileInput, ...]
    tensors: Mapping[str, str]
    calls: tuple[PtCall, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    torch: str


def parse_program(document: Mapping[str, Any], name: str) -> PtProgram:
    """Check a program and bring it into plain form.

    Raises:
        CompileError: E103 damaged, E111 another version, E137 a state kept between calls, E210
            every operator that is not supported.
    """
    try:
        version = document["schema_version"]["major"]
        if version != _SCHEMA:
            text = f"{name} has schema {version!a:.20} of torch.export, this snnc reads {_SCHEMA}"
            raise fail("E111", text, help="use snnc.export, or another version of torch")
        return _Parser(document, name).program()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        why = str(e) if isinstance(e, UnsafeError) else f"{type(e).__name__}: {e}"
        raise fail("E103", f"{name} is damaged: {why:.200}", help="export the model again") from e


class _Parser:
    def __init__(self, document: Mapping[str, Any], name: str) -> None:
        self.name = name
        module = document["graph_module"]
        self.graph, self.signature = module["graph"], module["signature"]
        self.entry = next((e for e in module["module_call_graph"] if e["fqn"] == ""), None)
        self.torch = _text(document.get("torch_version", ""))
        self.known: set[str] = set()
        self.found: list[Diagnostic] = []

    def program(self) -> PtProgram:
        """Inputs, calls, outputs."""
        inputs, tensors = self._inputs()
        if len(self.graph["nodes"]) > _LARGEST:
            raise UnsafeError(f"{len(self.graph['nodes'])} operators")
        calls = tuple(self._call(node) for node in self.graph["nodes"])
        outputs = self._outputs()
        if self.found:
            raise CompileError(list({(d.message, str(d.loc)): d for d in self.found}.values()))
        names = self._output_names(len(outputs))
        return PtProgram(inputs, tensors, calls, outputs, names, self.torch)

    def _inputs(self) -> tuple[tuple[FileInput, ...], dict[str, str]]:
        inputs: list[FileInput] = []
        tensors: dict[str, str] = {}
        for spec in self.signature["input_specs"]:
            ((kind, value),) = spec.items()
            if kind == "user_input" and "as_tensor" in value["arg"]:
                key = _text(value["arg"]["as_tensor"]["name"])
                inputs.append(self._input(key))
            elif kind in ("parameter", "buffer", "tensor_constant"):
                key = _text(value["arg"]["name"])
                tensors[key] = _text(value[f"{kind}_name"])
            else:
                text = f"{self.name} has an input that is no tensor"
                raise fail("E210", text, help="export a module that takes tensors only")
            self._define(key)
        return tuple(inputs), tensors

    def _input(self, key: str) -> FileInput:
        meta = self.graph["tensor_values"][key]
        shape = []
        for size in meta["sizes"]:
            fixed = "as_int" in size
            hint = size if fixed else size["as_expr"]["hint"] or {}
            shape.append((_integer(hint.get("as_int", 2)), fixed))
        return FileInput(key, _integer(meta["dtype"]), tuple(shape))

    def _define(self, key: str) -> str:
        if key in self.known:
            raise UnsafeError(f"value {key!a:.60} is computed twice")
        self.known.add(key)
        return key

    def _call(self, node: Mapping[str, Any]) -> PtCall:
        path, owner, frames = _origin(node.get("metadata") or {})
        target = _text(node["target"])
        operator = self._operator(target)
        if operator is None:
            loc = Loc(path, *(frames[-1] if frames else (None, None)))
            text = f"operator {target!a:.80} is not supported"
            hint = "`snnc ops` lists what is supported"
            self.found.append(error("E210", text, loc, help=hint))
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for argument in node["inputs"] if operator else ():
            value = self._value(argument["arg"])
            if argument.get("kind", 2) == 1 and not kwargs:
                args.append(value)
            else:
                kwargs[_text(argument["name"])] = value
        results = self._results(node["outputs"])
        return PtCall(operator or "", tuple(args), kwargs, results, path, owner, frames)

    def _operator(self, target: str) -> str | None:
        if found := _TARGET.fullmatch(target):
            operator, overload = found.groups()
            plain = operator if operator in ALLOWED else operator.removesuffix("_")
            return f"{operator}.{overload}" if plain in ALLOWED else None
        short = target.removeprefix("_operator.")
        return short if short in SIZES and short != target else None

    def _value(self, arg: Mapping[str, Any]) -> Any:
        ((kind, value),) = arg.items()
        match kind:
            case "as_none":
                return None
            case "as_tensor" | "as_optional_tensor":
                return self._ref(value if kind == "as_tensor" else value.get("as_tensor"))
            case "as_tensors":
                return [self._ref(v) for v in value]
            case "as_optional_tensors":
                return [self._ref(v.get("as_tensor")) for v in value]
            case "as_float":
                return float(value)  # infinity is written as text
            case "as_int" | "as_bool" | "as_string":
                return _plain(value)
            case "as_floats":
                return [float(v) for v in value]
            case "as_ints" | "as_bools":
                return [_plain(v) for v in value]
            case "as_sym_int" | "as_sym_float" | "as_sym_bool":
                return self._symbol(value)
            case "as_sym_ints" | "as_sym_floats" | "as_sym_bools":
                return [self._symbol(v) for v in value]
            case "as_scalar_type" | "as_layout" | "as_memory_format":
                return Setting(kind, _integer(value))
            case "as_device":
                return Setting(kind, "cpu")
            case _:
                raise UnsafeError(f"an argument of kind {kind!a:.40}")

    def _ref(self, value: Mapping[str, Any] | None) -> Ref | None:
        if value is None:
            return None
        key = _text(value["name"])
        if key not in self.known:
            raise UnsafeError(f"value {key!a:.60} is used before it is computed")
        return Ref(key)

    def _symbol(self, value: Mapping[str, Any]) -> Any:
        if "as_name" in value:
            return self._ref({"name": value["as_name"]})
        ((_, plain),) = value.items()
        return _plain(plain)

    def _results(self, outputs: list[Mapping[str, Any]]) -> str | tuple[str, ...] | None:
        def key(value: Mapping[str, Any]) -> str:
            ((kind, inner),) = value.items()
            named = {"as_tensor": "name"}.get(kind, "as_name")
            if kind not in ("as_tensor", "as_sym_int", "as_sym_bool", "as_sym_float"):
                raise UnsafeError(f"a result of kind {kind!a:.40}")
            return self._define(_text(inner[named]))

        if not outputs:
            return None
        if len(outputs) == 1 and "as_tensors" in outputs[0]:
            return tuple(self._define(_text(v["name"])) for v in outputs[0]["as_tensors"])
        return key(outputs[0]) if len(outputs) == 1 else tuple(map(key, outputs))

    def _outputs(self) -> tuple[str, ...]:
        outputs = []
        for spec in self.signature["output_specs"]:
            ((kind, value),) = spec.items()
            if kind != "user_output":
                what = _text(value.get("buffer_name") or value.get("parameter_name") or kind)
                raise state_is_kept(self.name, what)
            if "as_tensor" in value["arg"]:
                ref = self._ref(value["arg"]["as_tensor"])
                if ref is None:
                    raise UnsafeError("an output without a name")
                outputs.append(ref.name)
        if not outputs:
            raise fail("E205", f"{self.name} returns no tensor")
        return tuple(outputs)

    def _output_names(self, count: int) -> tuple[str, ...]:
        """Keys of a dict; else ``out``, or ``out0`` and so on."""
        default = ("out",) if count == 1 else tuple(f"out{i}" for i in range(count))
        if self.entry is None or not self.entry.get("signature"):
            return default
        spec = parse_json(_text(self.entry["signature"]["out_spec"]))[1]
        if spec["type"] != "builtins.dict":
            return default
        keys = [_text(k) for k in parse_json(_text(spec["context"])) if isinstance(k, str)]
        return tuple(keys) if len({*keys}) == count == len(keys) else default


def state_is_kept(name: str, what: str) -> CompileError:
    """E137: the program changes its own tensors, so that a second call differs from the first."""
    return fail(
        "E137",
        f"{name} changes its tensor {what!a:.80}: a state that lasts from call to call",
        None,
        "an exported program with one step in it does not say how often it is called",
        help="export a module with the loop over time in its forward(), or use snnc.export",
    )


def _origin(metadata: Mapping[str, Any]) -> tuple[str, str, tuple[tuple[str, int], ...]]:
    """Module path, its class, and the frames of the user's code by file name alone."""
    path = owner = ""
    stack = _text(metadata.get("nn_module_stack", ""))
    if stack:
        parts = stack.rpartition(";")[2].split(",")
        if len(parts) >= 3:
            path, owner = parts[1], parts[-1]
    return path, owner, user_frames(_text(metadata.get("stack_trace", "")))


def innermost(path: str, frames: Sequence[tuple[str, int]]) -> Loc:
    """A place in the network, at the last of its frames."""
    file, line = frames[-1] if frames else (None, None)
    return Loc(path, file, line)


def user_frames(text: str) -> tuple[tuple[str, int], ...]:
    """Frames of the user's code in a stack trace, by file name alone."""
    frames = [
        (re.split(r"[/\\]", file)[-1] or "?", int(line))
        for file, line in _FRAME.findall(text)
        if not any(part in file for part in ("site-packages", "dist-packages", "<"))
    ]
    return tuple(frames[-20:])


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"expected text, got {value!a:.40}")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"expected an integer, got {value!a:.40}")
    return value


def _plain(value: Any) -> Any:
    if value is not None and type(value) not in (bool, int, float, str):
        raise TypeError(f"expected a number, got {value!a:.40}")
    return value
