"""Operators of ONNX that are read, by name: the list is needed before torch is imported."""

from __future__ import annotations

_TENSORS = """
    Abs Acos Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization Cast CastLike Ceil Celu
    Clip Concat ConcatFromSequence Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum
    DepthToSpace Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
    GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual
    GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization
    LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mod Mul Neg Not
    OneHot Or PRelu Pad Pow RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round
    ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceInsert
    SequenceLength Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign Split
    SplitToSequence Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu
    Unsqueeze Where Xor
"""

#: Operators with a body.
CONTROL = frozenset(("If", "Loop", "Scan"))

OPERATORS = frozenset(_TENSORS.split()) | CONTROL

#: Operators that draw random numbers.
RANDOM = frozenset(
    (
        *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
        *("RandomUniform", "RandomUniformLike"),
    )
)

#: Kind of an attribute, as the format numbers it → names of attributes of this kind.  A name
#: means the same kind in all operators, but for ``split`` and ``axes``, which were lists before.
_ATTRIBUTES = {
    1: """
        alpha beta gamma epsilon value_float cubic_coeff_a extrapolation_value lambd bias momentum
    """,
    2: """
        "" allowzero antialias axis batch_dims blocksize ceil_mode count_include_pad dtype
        end exclude_outside exclusive fmod group k keepdims largest new_axis
        noop_with_empty_axes num_groups num_outputs num_scan_inputs reverse
        saturate select_last_index seed sorted start stash_type storage_order to
        training_mode transA transB upper value_int
    """,
    3: """
        approximate auto_pad coordinate_transformation_mode equation keep_aspect_ratio_policy mode
        nearest_mode reduction round_mode value_string
    """,
    4: "value",
    5: "body else_branch then_branch",
    6: "value_floats",
    7: """
        axes dilations kernel_shape output_padding output_shape pads perm scan_input_axes
        scan_input_directions scan_output_axes scan_output_directions strides value_ints
    """,
}
ATTRIBUTES = {name: kind for kind, names in _ATTRIBUTES.items() for name in names.split()}
