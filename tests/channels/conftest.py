from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sockets import OwningContext

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def context() -> Generator[OwningContext]:
    context = OwningContext()
    yield context
    context.close()
