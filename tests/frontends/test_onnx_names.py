"""Names that are read in ONNX files, against the schemas of the format."""

from __future__ import annotations

import onnx
import pytest

from snnc.frontends.onnx_file import OLDEST
from snnc.frontends.onnx_names import ATTRIBUTES, OPERATORS

#: Of ``Constant``: what no network computes with.
NOT_READ = {"value_strings", "sparse_value"}


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_every_attribute_of_an_operator_is_known_with_its_kind(operator: str) -> None:
    every = [
        s
        for s in onnx.defs.get_all_schemas_with_history()
        if s.name == operator and s.domain in ("", "ai.onnx")
    ]
    oldest = max((s.since_version for s in every if s.since_version <= OLDEST), default=0)
    for schema in (s for s in every if s.since_version >= oldest):
        for name, attribute in schema.attributes.items():
            if name not in NOT_READ:
                assert ATTRIBUTES[name] == attribute.type.value, (schema.since_version, name)
