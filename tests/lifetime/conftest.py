"""Both backends for whoever asks for ``anyio_backend``; asyncio with its own loop and with uvloop's."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

BACKENDS: list[Any] = [
    pytest.param(("trio", {}), id="trio"),
    pytest.param(("asyncio", {}), id="asyncio"),
    pytest.param(
        ("asyncio", {"use_uvloop": True}),
        id="uvloop",
        marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed"),
    ),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param
