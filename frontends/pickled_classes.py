"""Classes whose objects are rebuilt from a pickle, and nothing else is: torch and three libraries.

A module pickled by ``torch.save(model)`` is its class and its attributes, and is exactly those
again if both are there.  This list says which classes are; all of them are imported from installed
packages by these names alone, and what a pickle asks to be called is not.
"""

from __future__ import annotations

#: Modules, by the Python module that defines them.
LAYERS: dict[str, tuple[str, ...]] = {
    "torch.nn.modules.activation": (
        *("CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid"),
        *("LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax"),
        *("Softplus", "Softsign", "Tanh"),
    ),
    "torch.nn.modules.batchnorm": ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
    "torch.nn.modules.container": ("ModuleDict", "ModuleList", "Sequential"),
    "torch.nn.modules.conv": (
        *("Conv1d", "Conv2d", "Conv3d"),
        *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
    ),
    "torch.nn.modules.dropout": (
        *("AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d"),
        "FeatureAlphaDropout",
    ),
    "torch.nn.modules.flatten": ("Flatten", "Unflatten"),
    "torch.nn.modules.linear": ("Identity", "Linear"),
    "torch.nn.modules.normalization": ("GroupNorm", "LayerNorm", "RMSNorm"),
    "torch.nn.modules.padding": ("ConstantPad1d", "ConstantPad2d", "ZeroPad1d", "ZeroPad2d"),
    "torch.nn.modules.pooling": (
        *("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"),
        *("AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d"),
    ),
    "torch.nn.modules.sparse": ("Embedding",),
    "torch.nn.modules.upsampling": ("Upsample", "UpsamplingNearest2d"),
    "norse.torch.module.iaf": ("IAF",),
    "norse.torch.module.leaky_integrator": ("LI",),
    "norse.torch.module.lif_adex": ("LIFAdEx",),
    "norse.torch.module.lif_ex": ("LIFEx",),
    "norse.torch.module.lift": ("Lift",),
    "norse.torch.module.lsnn": ("LSNN",),
    "norse.torch.module.sequential": ("SequentialState",),
    "sinabs.layers.alif": ("ALIF", "ALIFRecurrent"),
    "sinabs.layers.exp_leak": ("ExpLeak", "ExpLeakSqueeze"),
    "sinabs.layers.iaf": ("IAF", "IAFRecurrent", "IAFSqueeze"),
    "sinabs.layers.lif": ("LIF", "LIFRecurrent", "LIFSqueeze"),
    "sinabs.layers.pool2d": ("SumPool2d",),
    "spikingjelly.activation_based.layer.bn": (
        *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
        *("ThresholdDependentBatchNorm1d", "ThresholdDependentBatchNorm2d"),
    ),
    "spikingjelly.activation_based.layer.container": (
        *("MultiStepContainer", "SeqToANNContainer", "StepModeContainer"),
        *("ElementWiseRecurrentContainer", "LinearRecurrentContainer"),
    ),
    "spikingjelly.activation_based.layer.dropout": ("Dropout", "Dropout2d"),
    "spikingjelly.activation_based.layer.misc": ("SynapseFilter", "VotingLayer"),
    "spikingjelly.activation_based.layer.stateless_wrapper": (
        *("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AvgPool1d", "AvgPool2d"),
        *("AvgPool3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d"),
        *("ConvTranspose3d", "Flatten", "GroupNorm", "Linear", "MaxPool1d", "MaxPool2d"),
        *("MaxPool3d", "Upsample"),
    ),
    "spikingjelly.activation_based.neuron.integrate_and_fire": (
        *("HalfThresholdIFNode", "IFNode", "NonSpikingIFNode", "SimpleIFNode"),
    ),
    "spikingjelly.activation_based.neuron.lif": ("LIFNode", "NonSpikingLIFNode", "SimpleLIFNode"),
    "spikingjelly.activation_based.neuron.lif_variants": (
        *("CUBALIFNode", "ComplementaryLIFNode", "GatedLIFNode", "KLIFNode", "LIAFNode"),
    ),
    "spikingjelly.activation_based.neuron.nonlinear_if": ("EIFNode", "QIFNode"),
    "spikingjelly.activation_based.neuron.plif": ("ParametricLIFNode",),
    "spikingjelly.activation_based.neuron.psn": ("MaskedPSN", "PSN", "SlidingPSN"),
    "spikingjelly.activation_based.surrogate": (
        *("ATan", "DeterministicPass", "Erf", "FakeNumericalGradient", "LeakyKReLU"),
        *("LogTailedReLU", "MultiLevelSpikeCount", "NonzeroSignLogAbs", "PiecewiseExp"),
        *("PiecewiseLeakyReLU", "PiecewiseQuadratic", "QPseudoSpike", "Rect", "S2NN", "Sigmoid"),
        *("SoftSign", "SquarewaveFourierSeries", "SuperSpike"),
    ),
}

#: Settings that layers have: objects with fields.
SETTINGS: dict[str, tuple[str, ...]] = {
    "sinabs.activation.reset_mechanism": ("MembraneReset", "MembraneSubtract"),
    "sinabs.activation.spike_generation": ("MaxSpike",),
    "sinabs.activation.surrogate_gradient_fn": (
        *("Gaussian", "Heaviside", "MultiGaussian", "PeriodicExponential", "SingleExponential"),
    ),
}

#: Named tuples of settings.
TUPLES: dict[str, tuple[str, ...]] = {
    "norse.torch.functional.iaf": ("IAFParameters",),
    "norse.torch.functional.leaky_integrator": ("LIParameters",),
    "norse.torch.functional.lif_adex": ("LIFAdExParameters",),
    "norse.torch.functional.lif_ex": ("LIFExParameters",),
    "norse.torch.functional.lsnn": ("LSNNParameters",),
}

#: Functions and classes that layers keep as they are.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "norse.torch.functional.iaf": ("iaf_feed_forward_step",),
    "norse.torch.functional.leaky_integrator": ("li_feed_forward_step",),
    "norse.torch.functional.lif_adex": ("lif_adex_feed_forward_step",),
    "norse.torch.functional.lif_ex": ("lif_ex_feed_forward_step",),
    "norse.torch.functional.lsnn": ("lsnn_feed_forward_step",),
    "sinabs.activation.spike_generation": ("MultiSpike", "SingleSpike"),
}

#: Types of numbers.
DTYPES = (
    "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool",
)  # fmt: skip


def _names(table: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, str]]:
    """Module and name by dotted name, e.g. ``torch.nn.modules.linear.Linear``."""
    return {f"{module}.{name}": (module, name) for module, names in table.items() for name in names}


LAYER_NAMES, SETTING_NAMES = _names(LAYERS), _names(SETTINGS)
TUPLE_NAMES, FUNCTION_NAMES = _names(TUPLES), _names(FUNCTIONS)
DTYPE_NAMES = {f"torch.{name}": ("torch", name) for name in DTYPES}

#: Values that are made from their arguments.
MADE = ("torch.Size", "torch.device")

#: How a pickle of protocol 2 or later asks for a method of an object, and the one that it gets.
GETATTR = ("__builtin__.getattr", "builtins.getattr")
METHOD = "initial_state"  # of a layer of Norse

#: Every name that a pickled module may hold, beside those of its tensors.
KNOWN = frozenset(
    {*LAYER_NAMES, *SETTING_NAMES, *TUPLE_NAMES, *FUNCTION_NAMES, *DTYPE_NAMES, *MADE, *GETATTR}
)
