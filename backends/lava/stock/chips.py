"""Descriptions of chips: limits of a core, each with its source, and what synapses cost."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnc.diagnostics import fail

_FOLDER = Path(__file__).parent.parent / "chips"
#: What a core has a limited number of.
RESOURCES = ("neurons", "synapse_words", "axons_in", "axons_out", "groups")


@dataclass(frozen=True)
class Limit:
    """A figure; ``certain`` is false if the maker has not published it."""

    value: int
    source: str
    certain: bool = True


@dataclass(frozen=True)
class SynapseFormat:
    """How a core stores the synapses of one axon.

    Attributes:
        word_bits: Memory comes in words.
        header_bits: Of every block.
        block: Most synapses of a block.
        weight_bits: Possible sizes of a weight, ascending.
        index_bits: Possible sizes of the number of a target; 0: targets follow one another.
        delay_bits: Of a synapse with a delay.
        source: Of all that.
        certain: As of a limit.
    """

    word_bits: int
    header_bits: int
    block: int
    weight_bits: tuple[int, ...]
    index_bits: tuple[int, ...]
    delay_bits: int
    source: str
    certain: bool = True

    def words(self, synapses: int, span: int, weight_bits: int, delayed: bool) -> int:
        """Words of an axon's synapses, one after another or each with the number of its target.

        Args:
            synapses: How many.
            span: From the first target to the last.
            weight_bits: Of a weight; the next possible size is taken.
            delayed: Whether any has a delay.
        """
        size = next((b for b in self.weight_bits if b >= weight_bits), self.weight_bits[-1])
        size += self.delay_bits if delayed else 0
        wanted = max(1, (span - 1).bit_length())
        index = next((b for b in self.index_bits if b >= wanted), None)
        ways = [self._stored(span, size)]
        if index is not None:
            ways.append(self._stored(synapses, size + index))
        return min(ways)

    def _stored(self, count: int, bits: int) -> int:
        full, rest = divmod(count, self.block)
        words = full * math.ceil((self.block * bits + self.header_bits) / self.word_bits)
        return words + (math.ceil((rest * bits + self.header_bits) / self.word_bits) if rest else 0)


@dataclass(frozen=True)
class Chip:
    """A chip, from its TOML file."""

    key: str
    name: str
    description: str
    cores: Limit
    neurons: Limit
    axons_in: Limit
    axons_out: Limit
    groups: Limit
    synapse_words: Limit
    payload_bits: Limit
    longest_delay: Limit
    synapses: SynapseFormat

    def limit(self, resource: str) -> int:
        """Of a core."""
        found: Limit = getattr(self, resource)
        return found.value

    @property
    def uncertain(self) -> tuple[str, ...]:
        """Resources whose limits are inferred."""
        found = [r for r in RESOURCES if not getattr(self, r).certain]
        return (*found, *([] if self.synapses.certain else ["synapse format"]))


def names() -> tuple[str, ...]:
    """The chips that there are."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def find_chip(key: str) -> Chip:
    """A chip by the name of its file; CompileError E002 if there is none."""
    if key not in names():
        text = f"there is no chip {key!r}"
        raise fail("E002", text, help=f"chips are {', '.join(f'lava:{n}' for n in names())}")
    fields = tomllib.loads((_FOLDER / f"{key}.toml").read_text(encoding="utf-8"))
    form = fields.pop("synapses")
    form |= {k: tuple(form[k]) for k in ("weight_bits", "index_bits")}
    plain = {k: fields.pop(k) for k in ("name", "description")}
    limits: dict[str, Any] = {k: Limit(**v) for k, v in fields.items()}
    return Chip(key=key, synapses=SynapseFormat(**form), **plain, **limits)
