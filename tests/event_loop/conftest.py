"""Screens and toolkits for the tests of hosts."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.event_loop.display import display

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module")
def screen() -> Generator[dict[str, str]]:
    """The environment variables of a screen that nobody looks at."""
    with display() as variables:
        yield variables


@pytest.fixture(params=["tk", "qt"])
def host(request: pytest.FixtureRequest) -> str:
    """The name of a host whose toolkit is installed."""
    needed = {"tk": "tkinter", "qt": "PySide6"}[request.param]
    if find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    return request.param
