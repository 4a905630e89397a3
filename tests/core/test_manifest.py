import json

import pytest

from snnc.diagnostics import CompileError
from snnc.manifest import (
    FORMAT,
    FileEntry,
    InputEntry,
    LayerEntry,
    Manifest,
    OutputEntry,
    Source,
    Word,
    dump_manifest,
    load_manifest,
)

MANIFEST = Manifest(
    format=FORMAT,
    snnc="0.1.0",
    name="net",
    source=Source("model.pt", "0" * 64),
    profile="default",
    bits=8,
    steps=4,
    max_steps=0,
    fixed_steps=False,
    inputs=(InputEntry("x", (2,), "step", 0, 1, 1.0, "TN"),),
    outputs=(OutputEntry("y", (3,), "end", False, (0.1, 1e-300, 3.0), (3,), False),),
    layers=(
        LayerEntry(
            "fc", "IntLinear", (3,), "step", "net.fc", "m.py", 4, 6, 8,
            Word("value", -(2**62), 2**62, 64), (), {"rms_error": 0.01, "list": [1, 2.5]},
        ),
    ),
    targets=("numpy",),
    warnings=(),
    files={"program/graph.json": FileEntry("1" * 64, 12)},
)  # fmt: skip


def edited(**changes: object) -> bytes:
    return json.dumps(json.loads(dump_manifest(MANIFEST)) | changes).encode()


def test_round_trip_is_exact_and_stable() -> None:
    raw = dump_manifest(MANIFEST)
    assert load_manifest(raw) == MANIFEST
    assert dump_manifest(load_manifest(raw)) == raw


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "E402"),
        (b"\xff\xfe", "E402"),
        (b"[" * 100_000, "E402"),
        (b'{"format": 1}', "E402"),
        (dump_manifest(MANIFEST)[:200], "E402"),
        (edited(format="snnc.artifact/99"), "E403"),
        (edited(bits="8"), "E402"),
        (edited(surprise=1), "E402"),
        (edited(files={"../x": {"sha256": "", "size": 0}}), "E404"),
        (edited(files={"/etc/passwd": {"sha256": "", "size": 0}}), "E404"),
        (edited(files={"a\\..\\b": {"sha256": "", "size": 0}}), "E404"),
        (edited(files={"": {"sha256": "", "size": 0}}), "E404"),
        (edited(files={"a\x00b": {"sha256": "", "size": 0}}), "E404"),
        (edited(files={".hidden": {"sha256": "", "size": 0}}), "E404"),
    ],
)
def test_refuses_what_it_did_not_write(raw: bytes, code: str) -> None:
    with pytest.raises(CompileError) as e:
        load_manifest(raw)
    assert e.value.diagnostics[0].code == code
