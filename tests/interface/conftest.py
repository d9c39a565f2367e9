"""Interfaces in this process, in homes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from async_kernel.slot import slot

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty homes of Jupyter and IPython, and none of the variables that an interface sets."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("MPLBACKEND", "UV_PROJECT_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def free_slot(homes: Path) -> Generator[None]:
    """Whatever interface the test leaves is let go."""
    yield
    slot.release(slot.get())
