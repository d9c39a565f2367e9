"""Benchmarks that run in the tests take their ports as all tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.connection import CHANNELS, Connection
from tests.e2e.harness.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="session", autouse=True)
def _ports_of_benchmarks() -> Generator[None]:
    def choose() -> Connection:
        return Connection(dict(zip(CHANNELS, free_ports(len(CHANNELS)), strict=True)))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Connection, "choose", choose)
        yield
