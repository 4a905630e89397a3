"""The numbers of a tensor of an ONNX file."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Element type → NumPy's. bfloat16 (16) is widened, since NumPy has no such type.
ELEMENTS: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"), 2: np.dtype("u1"), 3: np.dtype("i1"), 4: np.dtype("<u2"),
    5: np.dtype("<i2"), 6: np.dtype("<i4"), 7: np.dtype("<i8"), 9: np.dtype("bool"),
    10: np.dtype("<f2"), 11: np.dtype("<f8"), 12: np.dtype("<u4"), 13: np.dtype("<u8"),
    16: np.dtype("<u2"),
}  # fmt: skip
_BFLOAT16 = 16

#: Element type → field with its elements, if they are not raw bytes.
_FIELDS = {
    1: "float_data", 2: "int32_data", 3: "int32_data", 4: "int32_data", 5: "int32_data",
    6: "int32_data", 7: "int64_data", 9: "int32_data", 10: "int32_data", 11: "double_data",
    12: "uint64_data", 13: "uint64_data", 16: "int32_data",
}  # fmt: skip


def read_tensor(proto: Any, count: int) -> np.ndarray:
    """The tensor as an array of its own, half precision as float32.

    Args:
        proto: A TensorProto whose element type is in ``ELEMENTS``.
        count: Number of elements that its shape has.

    Raises:
        ValueError: It holds another number of elements, or numbers out of range.
    """
    dtype = ELEMENTS[proto.data_type]
    if proto.HasField("raw_data"):
        raw: bytes = proto.raw_data
        if len(raw) != count * dtype.itemsize:
            raise ValueError(f"has {len(raw)} bytes, its shape needs {count * dtype.itemsize}")
        if dtype.kind == "b" and raw.strip(b"\x00\x01"):
            raise ValueError("has truth values other than 0 and 1")
        flat = np.frombuffer(raw, dtype)
    else:
        values = getattr(proto, _FIELDS[proto.data_type])
        if len(values) != count:
            raise ValueError(f"has {len(values)} elements, its shape needs {count}")
        wide = np.array(values)
        if dtype.kind in "iub" and count:
            low, high = 0, 1
            if dtype.kind != "b":
                low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
            if int(wide.min()) < low or int(wide.max()) > high:
                raise ValueError("has numbers that its type does not hold")
        if proto.data_type == 10:  # half precision is written as its bits
            flat = wide.astype(np.uint16).view(np.float16)
        else:
            flat = wide.astype(dtype)
    if proto.data_type == _BFLOAT16:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    if flat.dtype == np.float16:
        flat = flat.astype(np.float32)
    return flat.reshape(tuple(proto.dims)).copy()
