"""Which encoder an input gets, as a user writes it: ``rate``, ``image=latency:steps=12``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from snnc.diagnostics import CompileError, fail

#: Options of every encoder with their defaults; what is None must be given.
ENCODERS: Mapping[str, Mapping[str, float | str | None]] = MappingProxyType(
    {
        "direct": {},
        "rate": {"seed": 0, "max": 1.0},
        "sigma-delta": {"start": 0.5, "max": 1.0},
        "latency": {"steps": 0, "max": 1.0},
        "phase": {"bits": 8, "max": 1.0},
        "population": {
            "neurons": None,
            "width": 0.5,
            "code": "sigma-delta",
            "max": 1.0,
            "seed": 0,
            "start": 0.5,
            "steps": 0,
        },
        "delta": {"threshold": 0.125, "signed": 0},
    }
)
#: Options that are counts, with the least and largest; the others are positive numbers.
_COUNTS = {
    "seed": (0, (1 << 32) - 1),
    "steps": (1, 1 << 16),
    "bits": (1, 30),
    "neurons": (2, 1 << 10),
    "signed": (0, 1),
}
#: Encoders that a population may be followed by.
CODES = ("direct", "rate", "sigma-delta", "latency")


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder for an input.

    Attributes:
        kind: A name of ``ENCODERS``.
        text: The encoder as the user wrote it, without the input.
        input: The input's name; empty for the only input that is read at every step.
        options: All of the encoder, the user's and defaults.
    """

    kind: str
    text: str
    input: str = ""
    options: Mapping[str, float | str] = field(default_factory=dict)

    def number(self, option: str) -> float:
        """The value of an option that is a number."""
        return float(self.options[option])

    def count(self, option: str) -> int:
        """The value of an option that is a count."""
        return int(self.options[option])


def parse_encoder(text: str) -> EncoderChoice:
    """Read ``[INPUT=]NAME[:OPTION=VALUE,…]``.

    >>> choice = parse_encoder("image=rate:seed=7")
    >>> choice.input, choice.kind, choice.count("seed"), choice.number("max")
    ('image', 'rate', 7, 1.0)

    Raises:
        CompileError: E230 for unknown encoders and options, and values that cannot be.
    """
    head, _, tail = text.strip().partition(":")
    name, _, kind = head.rpartition("=")
    kind = kind.strip()
    if kind not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise fail("E230", f"--encode {text}: no encoder {kind!r}", help=f"encoders are {known}")
    known_options = ENCODERS[kind]
    options = {k: v for k, v in known_options.items() if v is not None}
    for part in filter(None, (p.strip() for p in tail.split(","))):
        option, equals, value = (p.strip() for p in part.partition("="))
        if option not in known_options or not equals:
            takes = ", ".join(f"{o}=…" for o in known_options) or "no options"
            raise fail("E230", f"--encode {text}: {part!r} is no option of {kind}", help=takes)
        options[option] = _value(text, option, value)
    if missing := [o for o in known_options if o not in options]:
        raise fail("E230", f"--encode {text}: {kind} needs {missing[0]}=…")
    own = f"{kind}:{tail}" if tail else kind
    return EncoderChoice(kind, own, name.strip(), options)


def _value(text: str, option: str, value: str) -> float | str:
    if option == "code":
        if value in CODES:
            return value
        raise _bad(text, option, value, f"one of {', '.join(CODES)}")
    if option in _COUNTS:
        low, high = _COUNTS[option]
        if value.isascii() and value.isdigit() and low <= int(value[:20]) <= high:
            return int(value)
        raise _bad(text, option, value, f"a whole number from {low} to {high}")
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if 0 < number < float("inf") or (option == "start" and value in ("0", "0.0")):
        return number
    raise _bad(text, option, value, "a number above 0")


def _bad(text: str, option: str, value: str, wanted: str) -> CompileError:
    return fail("E230", f"--encode {text}: {option} is {value!r}, must be {wanted}")
