"""The Lava environment for tests, or the reason why there is none."""

from __future__ import annotations

import pytest

from snnc import lava_env

ENV = lava_env.find()

#: Marks tests that run lava-nc; `snnc lava setup` makes the environment.
needs_lava = pytest.mark.skipif(ENV is None, reason="no Lava environment: run `snnc lava setup`")
