"""Sums of the weights of spikes in C: rows of 8-bit weights are added where a list says so.

Word ``j`` of a row is ``(w[j] + b) + 256 (w[j + P] + b)``, for a tile of 2 P outputs; the offset b
makes every byte non-negative.  For n spikes two sums of 16 bits are kept by word, modulo 2**16:
``lo`` of words, and ``hi`` of their high bytes.  Then ``w[j + P]`` sums to ``hi - b n`` and
``w[j]`` to ``lo - 256 hi - b n``, exactly wherever the true sum has 16 bits.  The C backend adds
the same pairs (``snnc.backends.c.packing``); here the rows of a tile follow each other, so that
they stay in the cache while many samples pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snnc.backends.torch.program import Bounds

#: Outputs by which tiles grow: the bytes of a vector of 512 bits.
UNIT = 64
#: Units of the largest tile, whose sums stay in registers; bytes of one that stays in the cache.
_UNITS, _HELD = 8, 1 << 19
#: Inputs up to here are that many spikes, and so many inputs have numbers of 16 bits.
_REPEATS, _INPUTS = 7, 1 << 16


@dataclass(frozen=True)
class Rows:
    """How the weights of a layer are added.

    Attributes:
        fan_in: Inputs.
        repeats: The largest of them: a 2 is listed twice.
        offset: b.
        most: Spikes after which the sums must be read; 0 if they hold any number.
        own: The output of the population, one step late, that is the input; -1 for another's.
    """

    fan_in: int
    repeats: int
    offset: int
    most: int
    own: int = -1

    @property
    def type(self) -> str:
        """C type of the sums."""
        return "int32_t" if self.most else "int16_t"


def rows_of(weight: Tensor, x: Bounds, own: int = -1) -> Rows | None:
    """How to add the rows of a weight (out, in), or None if they are not for that.

    Args:
        weight: Integers.
        x: Proven range of the input.
        own: As in ``Rows``.
    """
    out, fan_in = weight.shape
    if x[0] < 0 or not 0 < x[1] <= _REPEATS or not 0 < fan_in < _INPUTS or not out:
        return None
    low, high = min(0, int(weight.min())), max(0, int(weight.max()))
    if high - low > 255:
        return None
    least, greatest = int(weight.clamp(max=0).sum(1).min()), int(weight.clamp(min=0).sum(1).max())
    fits = least * x[1] >= -(1 << 15) and greatest * x[1] < 1 << 15
    most = 0 if fits else ((1 << 15) - 1) // max(-low, high)
    return Rows(fan_in, x[1], -low, most, own)


def units_of(out: int, fan_ins: list[int]) -> int:
    """Units of a tile: tiles of one size whose weights stay in the cache, with little padding."""
    units = -(-out // UNIT)
    most = max(1, min(_UNITS, _HELD // (UNIT * max(fan_ins))))
    return -(-units // -(-units // most))


def packed(weight: Tensor, offset: int, units: int) -> Tensor:
    """Rows (tiles, in, P) of a weight (out, in), in words of 16 bits; absent outputs weigh 0."""
    out, fan_in = weight.shape
    tile = units * UNIT
    padded = torch.full((-(-out // tile) * tile, fan_in), offset, dtype=torch.uint8)
    padded[:out] = (weight + offset).to(torch.uint8)
    halves = padded.to(torch.int16).reshape(-1, 2, tile // 2, fan_in).transpose(2, 3)
    return (halves[:, 0] | halves[:, 1] << 8).contiguous()


#: ``run``: the sum of all bytes (T, N, size).  Sizes: T, N, distances of steps and samples, size.
COUNT = """\
#include <stdint.h>
void run(const int64_t *d, void *const *p) {
  int64_t sum = 0;
  for (int64_t t = 0; t < d[0]; t++) for (int64_t n = 0; n < d[1]; n++) {
    const int8_t *x = (const int8_t *)p[0] + t * d[2] + n * d[3];
    for (int64_t k = 0; k < d[4];) {
      uint8_t part[64] = {0};
      const int64_t last = d[4] - k < 128 ? d[4] : k + 128;
      for (; k + 64 <= last; k += 64) for (int i = 0; i < 64; i++) part[i] += (uint8_t)x[k + i];
      for (int i = 0; i < 64; i++) sum += part[i];
      for (; k < last; k++) sum += x[k];
    }
  }
  *(int64_t *)p[1] = sum;
}
"""
#: Vectors of the processor; the parts of a list of spikes.
HEAD = """\
#if defined(__AVX512BW__)
#define VECTOR 64
#elif defined(__AVX2__)
#define VECTOR 32
#else
#define VECTOR 16
#endif
typedef uint16_t vector __attribute__((vector_size(VECTOR), aligned(2), may_alias));
#if defined(__AVX512BW__) && defined(__AVX512VBMI2__)
#include <immintrin.h>
static uint16_t *list(const int8_t *x, int n, int least, uint16_t *end) {
  const __m512i step = _mm512_set1_epi16(64), limit = _mm512_set1_epi8((char)least);
  uint16_t first[32];
  for (int i = 0; i < 32; i++) first[i] = (uint16_t)i;
  __m512i low = _mm512_loadu_si512(first);
  __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(32));
  for (int i = 0; i < n; i += 64) {
    const __mmask64 in = n - i < 64 ? (UINT64_C(1) << (n - i)) - 1 : ~UINT64_C(0);
    const uint64_t m = _mm512_mask_cmpge_epi8_mask(in, _mm512_maskz_loadu_epi8(in, x + i), limit);
    _mm512_storeu_si512(end, _mm512_maskz_compress_epi16((__mmask32)m, low));
    end += __builtin_popcount((uint32_t)m);
    _mm512_storeu_si512(end, _mm512_maskz_compress_epi16((__mmask32)(m >> 32), high));
    end += __builtin_popcount((uint32_t)(m >> 32));
    low = _mm512_add_epi16(low, step), high = _mm512_add_epi16(high, step);
  }
  return end;
}
#else
static uint16_t *list(const int8_t *x, int n, int least, uint16_t *end) {
  for (int i = 0; i < n; i++) *end = (uint16_t)i, end += x[i] >= least;
  return end;
}
#endif
"""
#: Elements behind a list that may be written.
SLACK = 64


def helpers(rows: Rows, units: int, name: str) -> str:
    """C of ``name_list(x, ids)``, which gives the length of a list, and of ``name_sum``.

    ``name_sum(w, ids, count, y)`` writes the sums of a tile; ``w`` are its rows.
    """
    levels = "".join(
        f"  end = list(x, {rows.fan_in}, {k}, end);\n" for k in range(1, rows.repeats + 1)
    )
    words = units * UNIT // 2
    wide, whole = _add(4 if units % 2 == 0 else 2, words), _add(units, words)
    add = f"#if VECTOR == 64\n{whole}#else\n{wide}#endif\n"
    head = "const uint16_t *w, const uint16_t *ids, int64_t count"
    out = [
        f"static int64_t {name}_list(const int8_t *x, uint16_t *ids) {{",
        f"  uint16_t *end = ids;\n{levels}  return end - ids;\n}}",
        f"static void {name}_add({head}, uint16_t *__restrict__ y) {{",
        f"  const uint16_t base = (uint16_t)(count * {rows.offset});\n{add}}}",
        f"static void {name}_sum({head}, {rows.type} *__restrict__ y) {{",
    ]
    if not rows.most:
        return "\n".join([*out, f"  {name}_add(w, ids, count, (uint16_t *)y);", "}", ""])
    return "\n".join([
        *out,
        f"  int16_t part[{2 * words}] __attribute__((aligned(64)));",
        f"  for (int64_t n = 0; n == 0 || n < count; n += {rows.most}) {{",
        f"    const int64_t some = count - n < {rows.most} ? count - n : {rows.most};",
        f"    {name}_add(w, ids + n, some, (uint16_t *)part);",
        f"    for (int k = 0; k < {2 * words}; k++) y[k] = n ? y[k] + part[k] : part[k];",
        "  }", "}", "",
    ])  # fmt: skip


def _add(vectors: int, words: int) -> str:
    """Sums of 16 bits, of as many vectors at a time as registers hold."""
    each = range(vectors)
    out = [f"  for (int j = 0; j < {words}; j += {vectors} * VECTOR / 2) {{"]
    out += [f"    vector a{i} = {{0}}, h{i} = {{0}};" for i in each]
    out.append("    for (int64_t n = 0; n < count; n++) {")
    out.append(f"      const vector *row = (const vector *)(w + (int64_t)ids[n] * {words} + j);")
    out += [f"      const vector v{i} = row[{i}];" for i in each]
    out += [f"      a{i} += v{i}, h{i} += v{i} >> 8;" for i in each]
    out += ["    }", f"    vector *low = (vector *)(y + j), *high = (vector *)(y + {words} + j);"]
    out += [f"    low[{i}] = a{i} - (h{i} << 8) - base, high[{i}] = h{i} - base;" for i in each]
    return "\n".join([*out, "  }", ""])
